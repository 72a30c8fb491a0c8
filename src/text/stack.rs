//! [`TextStack`]: the text encoders of a model, whichever family it is of.

use super::conditioning::Encoded;
use super::encode::{ClipStack, EncodeOptions};
use super::inversion::Inversion;
use super::joint::JointText;
use crate::{Error, Result};

/// The text encoders of a model.
#[derive(Debug, Clone)]
pub enum TextStack {
    /// CLIP alone: Stable Diffusion 1, 2 and SDXL.
    Clip(ClipStack),
    /// CLIP and T5: FLUX and Stable Diffusion 3.
    Joint(Box<JointText>),
}

impl TextStack {
    /// Encodes a prompt for a run of `steps` steps. `text_2` is the prompt of the second encoder, if it has one of its own.
    ///
    /// # Errors
    /// [`Error::Usage`] for options that the encoders cannot follow, otherwise when a tokenizer or the tensor library fails.
    pub fn encode(&self, text: &str, text_2: Option<&str>, steps: usize, options: &EncodeOptions) -> Result<Encoded> {
        match self {
            TextStack::Clip(stack) => stack.encode(text, text_2, steps, options),
            TextStack::Joint(stack) => stack.encode(text, text_2, options),
        }
    }

    /// Makes the words of a textual inversion stand for its vectors in all prompts.
    ///
    /// # Errors
    /// [`Error::Model`] when it was made for other encoders.
    pub fn add_inversion(&mut self, inversion: &Inversion) -> Result<()> {
        match self {
            TextStack::Clip(stack) => stack.add_inversion(inversion),
            TextStack::Joint(_) => Err(Error::model(
                "embeddings (textual inversion) are for Stable Diffusion 1, 2 and SDXL",
                "leave out `--embedding`, or take such a model",
            )),
        }
    }
}
