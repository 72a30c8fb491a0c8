//! The text encoders of FLUX and Stable Diffusion 3: CLIP's for the pooled vector, T5 for the states.

use candle_core::{DType, Device, Tensor};

use super::conditioning::{Conditioning, Encoded};
use super::encode::{no_such_skip, EncodeOptions};
use super::encoder::{Batch, Layer, States, TextEncoder};
use super::prompt::attention::Piece;
use super::t5_tokenizer::T5Tokenizer;
use crate::error::{Error, Result};
use crate::models::t5::T5Encoder;
use crate::request::Weighting;

/// T5 with its tokenizer.
#[derive(Debug, Clone)]
pub struct T5TextEncoder {
    tokenizer: T5Tokenizer,
    model: T5Encoder,
    device: Device,
}

impl T5TextEncoder {
    /// `device` is the model's.
    ///
    /// # Errors
    /// [`Error::Model`] when tokenizer and model do not belong together.
    pub fn new(tokenizer: T5Tokenizer, model: T5Encoder, device: &Device) -> Result<Self> {
        if tokenizer.size() > model.vocabulary() {
            let message = "T5's tokenizer knows tokens that the text encoder does not";
            return Err(Error::model(message, "take tokenizer and text encoder of one model"));
        }
        Ok(T5TextEncoder { tokenizer, model, device: device.clone() })
    }

    /// The states of a text at `places` places, [1, places, width] f32, and the end of the text that found no place.
    fn states(&self, text: &str, places: usize) -> Result<(Tensor, Option<String>)> {
        let tokens = self.tokenizer.encode(text, places)?;
        let ids = Tensor::from_vec(tokens.ids, (1, places), &self.device)?;
        Ok((self.model.forward(&ids)?, tokens.cut))
    }
}

/// What the encoders' results become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JointKind {
    /// T5's states and the pooled vector of the one CLIP encoder, which is not projected.
    Flux,
    /// The states of both CLIP encoders side by side, before T5's or zeros in their place, all as wide as T5's; both pooled vectors.
    Sd3 {
        /// Width of T5's states.
        width: usize,
    },
}

/// The text encoders of FLUX or Stable Diffusion 3.
#[derive(Debug, Clone)]
pub struct JointText {
    /// FLUX has one, Stable Diffusion 3 two.
    pub clips: Vec<TextEncoder>,
    /// `None` where it is left out.
    pub t5: Option<T5TextEncoder>,
    /// What becomes of their results.
    pub kind: JointKind,
}

/// Places of T5 where nothing is said; what is not text is padding, which is attended to.
const PLACES: usize = 512;

impl JointText {
    /// Encodes a prompt, `text` for the first encoder. `text_2` is that of the second one: T5 in FLUX, OpenCLIP in Stable Diffusion 3.
    ///
    /// # Errors
    /// [`Error::Usage`] when `clip_skip` skips too much, otherwise when a tokenizer or the tensor library fails.
    pub fn encode(&self, text: &str, text_2: Option<&str>, options: &EncodeOptions) -> Result<Encoded> {
        let (second, places) = (text_2.unwrap_or(text), options.max_tokens.unwrap_or(PLACES));
        let (hidden, pooled, cut) = match self.kind {
            JointKind::Flux => {
                let clip = self.clips.first().ok_or_else(missing)?;
                let layer = Layer { skip: 0, normed: true, pooled: true };
                let (states, of_clip) = clip_states(clip, text, layer)?;
                let (hidden, of_t5) = self.t5.as_ref().ok_or_else(missing)?.states(second, places)?;
                // What T5 has room for is not lost, where it reads the same text.
                let lost = of_clip.filter(|_| text != second);
                (hidden, states.pooled, lost.into_iter().chain(of_t5).collect())
            }
            JointKind::Sd3 { width } => self.of_sd3([text, second], [width, places], options)?,
        };
        let mut notes = Vec::new();
        if options.weighting == Weighting::A1111 && [text, second].iter().any(|text| has_brackets(text)) {
            notes.push("brackets in the prompt are taken as text: this model's encoders know no weights".to_string());
        }
        let warnings = cut.into_iter().map(|cut| format!("the prompt is too long; cut off: `{cut}`")).collect();
        let conditioning = Conditioning { hidden, pooled };
        Ok(Encoded { schedule: vec![(usize::MAX, conditioning)], notes, warnings })
    }

    fn of_sd3(
        &self,
        texts: [&str; 2],
        [width, places]: [usize; 2],
        options: &EncodeOptions,
    ) -> Result<(Tensor, Option<Tensor>, Vec<String>)> {
        let layer = Layer { skip: self.skipped(options.clip_skip)?, normed: false, pooled: true };
        let (mut hidden, mut pooled, mut cut) = (Vec::new(), Vec::new(), Vec::new());
        for (clip, text) in self.clips.iter().zip(texts) {
            let (states, rest) = clip_states(clip, text, layer)?;
            hidden.push(states.hidden);
            pooled.extend(states.pooled);
            // T5 has room for more than CLIP: what is cut here is not lost, where it reads the same text.
            let lost = rest.filter(|rest| (self.t5.is_none() || text != texts[0]) && !cut.contains(rest));
            cut.extend(lost);
        }
        let clips = Tensor::cat(&hidden, 2)?;
        let (_, _, clips_width) = clips.dims3()?;
        let padding = width.checked_sub(clips_width).ok_or_else(missing)?;
        let clips = clips.pad_with_zeros(2, 0, padding)?;
        let t5 = match &self.t5 {
            Some(t5) => {
                let (states, rest) = t5.states(texts[0], places)?;
                cut.extend(rest);
                states
            }
            None => Tensor::zeros((1, places, width), DType::F32, clips.device())?,
        };
        Ok((Tensor::cat(&[clips, t5], 1)?, Some(Tensor::cat(&pooled, 1)?), cut))
    }

    /// Layers that are left out: the last one at least.
    fn skipped(&self, clip_skip: Option<usize>) -> Result<usize> {
        let skip = clip_skip.unwrap_or(1);
        let largest = self.clips.iter().map(TextEncoder::num_layers).min().unwrap_or(0).saturating_sub(1);
        if skip == 0 || skip > largest {
            return Err(no_such_skip(skip, largest));
        }
        Ok(skip)
    }
}

/// What a CLIP encoder makes of a text, cut to its places, and what was cut.
fn clip_states(clip: &TextEncoder, text: &str, layer: Layer) -> Result<(States, Option<String>)> {
    let (chunk, cut) = clip.chunker().truncated(&[Piece::plain(text)])?;
    let texts = [vec![chunk]];
    Ok((clip.states(&Batch { texts: &texts, counts: &[1] }, layer)?, cut))
}

/// Whether A1111 would read something else than text.
fn has_brackets(text: &str) -> bool {
    text.contains(['(', '['])
}

fn missing() -> Error {
    Error::model("the model's text encoders do not belong together", "take all parts from one model")
}
