//! The prompt as the denoiser sees it.

use std::time::Instant;

use candle_core::{Device, Tensor};

use crate::pipeline::model::Model;
use crate::pipeline::{Event, Events, Machine, Phase, Plan};
use crate::request::{Prompt, Weighting};
use crate::text::prompt::tags::without_tags;
use crate::text::{EncodeOptions, Encoded};
use crate::{Request, Result};

/// The encoded prompts of the last request, kept because a series of seeds asks for the same ones again.
#[derive(Default)]
pub struct Encodings {
    last: Option<(Key, Encoding)>,
}

/// Everything an encoding depends on beside the model.
#[derive(Clone, PartialEq)]
struct Key {
    prompt: Prompt,
    steps: usize,
    guided: bool,
}

/// Prompt and negative prompt, encoded.
#[derive(Clone)]
pub struct Encoding {
    /// What to paint, step by step where the prompt changes.
    pub positive: Encoded,
    /// What not to paint; `None` when guidance is off.
    pub negative: Option<Encoded>,
}

/// Encodes the prompts of a plan, with text encoders that are loaded again if they were freed.
///
/// # Errors
/// [`crate::Error::Usage`] when a prompt asks for what the model does not have, such as a clip skip beyond its layers.
pub fn encode(
    plan: &Plan,
    model: &mut Model,
    machine: &Machine,
    cache: &mut Encodings,
    events: &mut dyn Events,
) -> Result<Encoding> {
    let key = Key { prompt: plan.request.prompt.clone(), steps: plan.schedule.steps(), guided: plan.guided() };
    if let Some((_, encoding)) = cache.last.as_ref().filter(|(last, _)| *last == key) {
        return Ok(encoding.clone());
    }
    let start = Instant::now();
    events.on(Event::Begin { phase: Phase::Encode, total: 1 })?;
    model.restore_text(plan, machine)?;
    let encoding = encode_now(plan, model, events)?;
    events.on(Event::End { phase: Phase::Encode, seconds: start.elapsed().as_secs_f64() })?;
    cache.last = Some((key, encoding.clone()));
    Ok(encoding)
}

/// As [`encode`], without a look at what is kept.
pub(super) fn encode_now(plan: &Plan, model: &Model, events: &mut dyn Events) -> Result<Encoding> {
    let prompt = &plan.request.prompt;
    let options = EncodeOptions {
        clip_skip: prompt.clip_skip,
        weighting: prompt.weighting,
        long_prompt: prompt.long_prompt,
        max_tokens: prompt.max_tokens,
    };
    // Of a run that begins with a picture, prompts count the steps that are made.
    let steps = plan.schedule.steps();
    let text_stack = model.text()?;
    // The LoRAs that they name are in the model by now.
    let untagged = |text: &String| match prompt.weighting {
        Weighting::A1111 => without_tags(text),
        Weighting::None => text.clone(),
    };
    let (text, text_2) = (untagged(&prompt.text), prompt.text_2.as_ref().map(untagged));
    let positive = text_stack.encode(&text, text_2.as_deref(), steps, &options)?;
    tell(&positive, events)?;
    if !plan.guided() {
        return Ok(Encoding { positive, negative: None });
    }
    let absent = prompt.negative.is_none() && prompt.negative_2.is_none();
    let negative = if absent && plan.family.zeros_for_absent_negative {
        positive.zeros_like()?
    } else {
        // As in diffusers, whose pipelines skip layers for the prompt alone.
        let options = EncodeOptions { clip_skip: None, ..options };
        let text = prompt.negative.as_deref().unwrap_or_default();
        text_stack.encode(text, prompt.negative_2.as_deref(), steps, &options)?
    };
    tell(&negative, events)?;
    Ok(Encoding { positive, negative: Some(negative) })
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
