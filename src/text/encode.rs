//! The text encoders of a model family, and a prompt through all of them: the schedule of conditionings.

use candle_core::Tensor;

use super::chunks::Chunk;
use super::conditioning::{Conditioning, Encoded};
use super::encoder::{Batch, Layer, States, TextEncoder};
use super::prompt::attention::{parse_attention, Piece};
use super::prompt::has_and;
use super::prompt::schedule::{is_unedited, schedule, Span};
use crate::error::{Error, Result};
use crate::request::{LongPrompt, Weighting};

/// Characters of a text that a message quotes.
const LONGEST_QUOTE: usize = 1000;

/// How a prompt is read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EncodeOptions {
    /// As A1111 counts: 1, the default, skips nothing. For SDXL it counts from the last but one layer.
    pub clip_skip: Option<usize>,
    /// Whether brackets are a language.
    pub weighting: Weighting,
    /// What happens to a prompt of more than 75 tokens.
    pub long_prompt: LongPrompt,
    /// Places of T5, for models that have one; absent, 512.
    pub max_tokens: Option<usize>,
}

/// The text encoders of Stable Diffusion 1, 2 and SDXL.
#[derive(Debug, Clone)]
pub struct ClipStack {
    encoders: Vec<TextEncoder>,
    family: Family,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// The last layer's state behind the final norm.
    Sd,
    /// The last layer's input without the final norm, of both encoders, and the second one's pooled vector.
    Sdxl,
}

impl ClipStack {
    /// Stable Diffusion 1.x and 2.x.
    #[must_use]
    pub fn sd(encoder: TextEncoder) -> Self {
        ClipStack { encoders: vec![encoder], family: Family::Sd }
    }

    /// SDXL and SDXL Turbo.
    #[must_use]
    pub fn sdxl(first: TextEncoder, second: TextEncoder) -> Self {
        ClipStack { encoders: vec![first, second], family: Family::Sdxl }
    }

    /// The encoders in their order, for words to be added.
    pub fn encoders_mut(&mut self) -> &mut [TextEncoder] {
        &mut self.encoders
    }

    /// Encodes a prompt for a run of `steps` steps. `text_2` is the prompt of the second encoder, if it has one of its own.
    /// Texts of different length are padded with chunks of the empty prompt, as in A1111.
    ///
    /// # Errors
    /// [`Error::Usage`] when `clip_skip` skips too much, otherwise when the tokenizer or the tensor library fails.
    pub fn encode(&self, text: &str, text_2: Option<&str>, steps: usize, options: &EncodeOptions) -> Result<Encoded> {
        let skip = self.layers_to_skip(options.clip_skip)?;
        let texts = [text, text_2.unwrap_or(text)];
        let mut plans = Vec::with_capacity(self.encoders.len());
        for (encoder, text) in self.encoders.iter().zip(texts) {
            plans.push(Plan::new(encoder, text, steps, options)?);
        }
        let chunks = plans.iter().map(Plan::chunks).max().unwrap_or(1);
        let mut states = Vec::with_capacity(plans.len());
        for (index, (encoder, plan)) in self.encoders.iter().zip(&mut plans).enumerate() {
            plan.pad(chunks, &encoder.chunker().empty());
            let batch = Batch { texts: &plan.texts, counts: &plan.counts };
            states.push(encoder.states(&batch, self.layer(skip, index))?);
        }
        let (notes, warnings) = remarks(&texts[..self.encoders.len()], options, &plans);
        Ok(Encoded { schedule: join(&plans, &states)?, notes, warnings })
    }

    fn layers_to_skip(&self, clip_skip: Option<usize>) -> Result<usize> {
        let clip_skip = clip_skip.unwrap_or(1);
        let layers = self.encoders.iter().map(TextEncoder::num_layers).min().unwrap_or(0);
        let largest = match self.family {
            Family::Sd => layers,
            Family::Sdxl => layers.saturating_sub(1),
        };
        if clip_skip == 0 || clip_skip > largest {
            return Err(no_such_skip(clip_skip, largest));
        }
        Ok(match self.family {
            Family::Sd => clip_skip - 1,
            Family::Sdxl => clip_skip,
        })
    }

    fn layer(&self, skip: usize, encoder: usize) -> Layer {
        match self.family {
            Family::Sd => Layer { skip, normed: true, pooled: false },
            Family::Sdxl => Layer { skip, normed: false, pooled: encoder == 1 },
        }
    }
}

/// What one encoder has to encode.
struct Plan {
    /// The last step of each span.
    ends: Vec<usize>,
    /// The text of each span.
    text_of_span: Vec<usize>,
    /// The chunks of each different text.
    texts: Vec<Vec<Chunk>>,
    /// How many spans each text has.
    counts: Vec<usize>,
    /// What did not fit.
    cut: Vec<String>,
}

impl Plan {
    fn new(encoder: &TextEncoder, text: &str, steps: usize, options: &EncodeOptions) -> Result<Self> {
        let spans = match options.weighting {
            Weighting::A1111 => schedule(text, steps),
            Weighting::None => vec![Span { last_step: steps, text: text.to_string() }],
        };
        let mut plan = Plan {
            ends: spans.iter().map(|span| span.last_step).collect(),
            text_of_span: Vec::with_capacity(spans.len()),
            texts: Vec::new(),
            counts: Vec::new(),
            cut: Vec::new(),
        };
        let mut known: Vec<&str> = Vec::new();
        for span in &spans {
            let index = match known.iter().position(|text| *text == span.text) {
                Some(index) => index,
                None => {
                    known.push(&span.text);
                    plan.add_text(encoder, &span.text, options)?;
                    known.len() - 1
                }
            };
            plan.counts[index] += 1;
            plan.text_of_span.push(index);
        }
        Ok(plan)
    }

    fn add_text(&mut self, encoder: &TextEncoder, text: &str, options: &EncodeOptions) -> Result<()> {
        let pieces = match options.weighting {
            Weighting::A1111 => parse_attention(text),
            Weighting::None => vec![Piece::plain(text)],
        };
        let chunks = match options.long_prompt {
            LongPrompt::Chunk => encoder.chunker().chunks(&pieces)?,
            LongPrompt::Truncate => {
                let (chunk, cut) = encoder.chunker().truncated(&pieces)?;
                self.cut.extend(cut);
                vec![chunk]
            }
        };
        self.texts.push(chunks);
        self.counts.push(0);
        Ok(())
    }

    fn chunks(&self) -> usize {
        self.texts.iter().map(Vec::len).max().unwrap_or(1)
    }

    fn pad(&mut self, chunks: usize, empty: &Chunk) {
        for text in &mut self.texts {
            text.resize(chunks, empty.clone());
        }
    }

    /// The text that stands at a step.
    fn text_at(&self, step: usize) -> usize {
        let span = self.ends.iter().position(|end| step <= *end);
        self.text_of_span[span.unwrap_or(self.text_of_span.len() - 1)]
    }
}

/// One conditioning for each span of steps in which no encoder's text changes.
fn join(plans: &[Plan], states: &[States]) -> Result<Vec<(usize, Conditioning)>> {
    let mut ends: Vec<usize> = plans.iter().flat_map(|plan| plan.ends.iter().copied()).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut known: Vec<(Vec<usize>, Conditioning)> = Vec::new();
    let mut schedule = Vec::with_capacity(ends.len());
    for end in ends {
        let texts: Vec<usize> = plans.iter().map(|plan| plan.text_at(end)).collect();
        let conditioning = match known.iter().find(|(key, _)| *key == texts) {
            Some((_, conditioning)) => conditioning.clone(),
            None => {
                let conditioning = join_texts(&texts, states)?;
                known.push((texts, conditioning.clone()));
                conditioning
            }
        };
        schedule.push((end, conditioning));
    }
    Ok(schedule)
}

/// The states of a text a encoder, side by side.
fn join_texts(texts: &[usize], states: &[States]) -> Result<Conditioning> {
    let mut hidden = Vec::with_capacity(states.len());
    let mut pooled = None;
    for (text, states) in texts.iter().zip(states) {
        hidden.push(states.hidden.narrow(0, *text, 1)?);
        if let Some(vectors) = &states.pooled {
            pooled = Some(vectors.narrow(0, *text, 1)?.contiguous()?);
        }
    }
    Ok(Conditioning { hidden: Tensor::cat(&hidden, 2)?.contiguous()?, pooled })
}

/// Notes and warnings, each once.
fn remarks(texts: &[&str], options: &EncodeOptions, plans: &[Plan]) -> (Vec<String>, Vec<String>) {
    let mut notes = Vec::new();
    if options.weighting == Weighting::A1111 {
        if texts.iter().any(|text| has_and(text)) {
            notes.push("`AND` in the prompt is taken as text: composed prompts are not supported".to_string());
        }
        if texts.iter().any(|text| is_unedited(text)) {
            notes.push("a `|` outside of `[a|b]` keeps all of the prompt's `[a:b:0.5]` and `[a|b]` as text, as in A1111; `\\|` does not".into());
        }
    }
    let mut warnings: Vec<String> = Vec::new();
    for cut in plans.iter().flat_map(|plan| &plan.cut) {
        let warning = format!("the prompt is too long; cut off: {}", quoted(cut));
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    (notes, warnings)
}

/// The error for a clip skip that a model has too few layers for.
pub(super) fn no_such_skip(clip_skip: usize, largest: usize) -> Error {
    let message = format!("a clip skip of {clip_skip} is not possible with this model");
    Error::usage(message, format!("give 1 (nothing is skipped) to {largest}"))
}

/// A text in a message: its beginning, and how much more there is.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("`{} ...` and {} more characters", &text[..end], text[end..].chars().count()),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests;
