//! The prompt as the denoiser sees it.

use std::time::Instant;

use candle_core::{Device, Tensor};

use crate::pipeline::model::Model;
use crate::pipeline::{Event, Events, Machine, Phase, Plan};
use crate::request::{Prompt, Redux, Weighting};
use crate::text::prompt::tags::without_tags;
use crate::text::{EncodeOptions, Encoded};
use crate::{Request, Result};

/// Encoded texts that are kept: those of FLUX have some 8 MB each.
const MOST_KEPT: usize = 16;

/// Texts that were encoded, the last used at the end: seeds, lines of a file and cells of a sheet ask for the same ones again.
#[derive(Default)]
pub struct Encodings {
    kept: Vec<(Text, Encoded)>,
    /// The pictures that stood for words last, and what became of them.
    pub(super) pictures: Option<(Redux, Tensor)>,
}

/// A text, and all else that its encoding depends on beside the model.
#[derive(Clone, PartialEq)]
struct Text {
    text: String,
    text_2: Option<String>,
    options: EncodeOptions,
    /// The steps of the run, where the text may change from one to the other.
    steps: Option<usize>,
}

impl Encodings {
    fn find(&mut self, text: &Text) -> Option<Encoded> {
        let at = self.kept.iter().position(|(kept, _)| kept == text)?;
        let found = self.kept.remove(at);
        let encoded = found.1.clone();
        self.kept.push(found);
        Some(encoded)
    }

    fn keep(&mut self, text: Text, encoded: Encoded) {
        if self.kept.len() == MOST_KEPT {
            self.kept.remove(0);
        }
        self.kept.push((text, encoded));
    }
}

impl Text {
    fn new(text: &str, text_2: Option<&str>, plan: &Plan, options: EncodeOptions) -> Self {
        let edited = text.contains('[') || text_2.is_some_and(|text| text.contains('['));
        // Of a run that begins with a picture, prompts count the steps that are made.
        let steps = edited.then_some(plan.schedule.steps());
        Text { text: text.into(), text_2: text_2.map(str::to_owned), options, steps }
    }

    /// What a plan wants to be painted. The LoRAs that it names are in the model by now.
    fn positive(plan: &Plan) -> Self {
        let prompt = &plan.request.prompt;
        let untagged = |text: &String| match prompt.weighting {
            Weighting::A1111 => without_tags(text),
            Weighting::None => text.clone(),
        };
        Text::new(&untagged(&prompt.text), prompt.text_2.as_ref().map(untagged).as_deref(), plan, options(prompt))
    }

    /// What it wants not to be painted; `None` where that is nothing at all, for which zeros stand. As in diffusers, whose
    /// pipelines skip layers for the prompt alone.
    fn negative(plan: &Plan) -> Option<Self> {
        let prompt = &plan.request.prompt;
        let absent = prompt.negative.is_none() && prompt.negative_2.is_none();
        if absent && plan.family.zeros_for_absent_negative {
            return None;
        }
        let options = EncodeOptions { clip_skip: None, ..options(prompt) };
        let text = prompt.negative.as_deref().unwrap_or_default();
        Some(Text::new(text, prompt.negative_2.as_deref(), plan, options))
    }
}

fn options(prompt: &Prompt) -> EncodeOptions {
    EncodeOptions {
        clip_skip: prompt.clip_skip,
        weighting: prompt.weighting,
        long_prompt: prompt.long_prompt,
        max_tokens: prompt.max_tokens,
    }
}

/// Prompt and negative prompt, encoded.
#[derive(Clone)]
pub struct Encoding {
    /// What to paint, step by step where the prompt changes.
    pub positive: Encoded,
    /// What not to paint; `None` when guidance is off.
    pub negative: Option<Encoded>,
}

/// Encodes the prompts of a plan, unless they are kept, with text encoders that are loaded again if they were freed.
///
/// # Errors
/// [`crate::Error::Usage`] when a prompt asks for what the model does not have, such as a clip skip beyond its layers.
pub fn encode(
    plan: &Plan,
    model: &mut Model,
    machine: &Machine,
    kept: &mut Encodings,
    events: &mut dyn Events,
) -> Result<Encoding> {
    let positive = Text::positive(plan);
    let negative = plan.guided().then(|| Text::negative(plan)).flatten();
    if std::iter::once(&positive).chain(&negative).all(|text| kept.find(text).is_some()) {
        return encoding(plan, model, kept, events);
    }
    let start = Instant::now();
    events.on(Event::Begin { phase: Phase::Encode, total: 1 })?;
    model.restore_text(plan, machine)?;
    let encoding = encoding(plan, model, kept, events)?;
    events.on(Event::End { phase: Phase::Encode, seconds: start.elapsed().as_secs_f64() })?;
    Ok(encoding)
}

/// As [`encode`], without a look at what is kept.
pub(super) fn encode_now(plan: &Plan, model: &Model, events: &mut dyn Events) -> Result<Encoding> {
    encoding(plan, model, &mut Encodings::default(), events)
}

fn encoding(plan: &Plan, model: &Model, kept: &mut Encodings, events: &mut dyn Events) -> Result<Encoding> {
    let positive = encode_text(Text::positive(plan), plan, model, kept, events)?;
    let negative = match plan.guided().then(|| Text::negative(plan)) {
        None => None,
        Some(None) => Some(positive.zeros_like()?),
        Some(Some(text)) => Some(encode_text(text, plan, model, kept, events)?),
    };
    Ok(Encoding { positive, negative })
}

fn encode_text(
    text: Text,
    plan: &Plan,
    model: &Model,
    kept: &mut Encodings,
    events: &mut dyn Events,
) -> Result<Encoded> {
    if let Some(encoded) = kept.find(&text) {
        return Ok(encoded);
    }
    let steps = plan.schedule.steps();
    let encoded = model.text()?.encode(&text.text, text.text_2.as_deref(), steps, &text.options)?;
    tell(&encoded, events)?;
    kept.keep(text, encoded.clone());
    Ok(encoded)
}

fn tell(encoded: &Encoded, events: &mut dyn Events) -> Result<()> {
    for note in &encoded.notes {
        events.on(Event::Note(note))?;
    }
    for warning in &encoded.warnings {
        events.on(Event::Warning(warning))?;
    }
    Ok(())
}

/// The sizes that SDXL is told, `[1, 6]` f32: original height and width, crop top and left, target height and width.
///
/// # Errors
/// When the tensor library fails.
pub fn time_ids(request: &Request, device: &Device) -> Result<Tensor> {
    let image = &request.image;
    let size = (image.width.unwrap_or_default(), image.height.unwrap_or_default());
    let (original_width, original_height) = image.original_size.unwrap_or(size);
    let (left, top) = image.crop.unwrap_or((0, 0));
    let ids = [original_height, original_width, top, left, size.1, size.0].map(|v| v as f32);
    Ok(Tensor::new(&[ids], device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Conditioning;

    fn text(text: &str) -> Text {
        Text { text: text.into(), text_2: None, options: EncodeOptions::default(), steps: None }
    }

    #[test]
    fn the_texts_that_were_used_last_are_kept() {
        let hidden = Tensor::zeros((1, 1, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
        let encoded = |note: String| Encoded {
            schedule: vec![(1, Conditioning { hidden: hidden.clone(), pooled: None })],
            notes: vec![note],
            warnings: Vec::new(),
        };
        let mut kept = Encodings::default();
        for number in 0..MOST_KEPT {
            kept.keep(text(&number.to_string()), encoded(number.to_string()));
        }
        assert_eq!(kept.find(&text("0")).unwrap().notes, ["0"]);
        kept.keep(text("new"), encoded("new".into()));
        assert!(kept.find(&text("1")).is_none(), "the one that was used longest ago makes room");
        assert!(kept.find(&text("0")).is_some() && kept.find(&text("new")).is_some());
        assert!(kept.find(&Text { steps: Some(3), ..text("0") }).is_none());
    }
}
