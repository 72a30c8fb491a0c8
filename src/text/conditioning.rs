//! What a denoiser is conditioned on, and when.

use candle_core::{Result, Tensor};

/// The text as a denoiser takes it.
#[derive(Debug, Clone)]
pub struct Conditioning {
    /// States of the text encoders, `[1, 77 * chunks, width]` f32; those of several encoders side by side along the width.
    pub hidden: Tensor,
    /// SDXL's pooled vector, `[1, width]` f32.
    pub pooled: Option<Tensor>,
}

impl Conditioning {
    /// All zeros: SDXL's stand-in for an absent negative prompt (`force_zeros_for_empty_prompt` of `model_index.json`).
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn zeros_like(&self) -> Result<Self> {
        let pooled = self.pooled.as_ref().map(Tensor::zeros_like).transpose()?;
        Ok(Conditioning { hidden: self.hidden.zeros_like()?, pooled })
    }

    /// Tokens, padding included.
    ///
    /// # Errors
    /// When `hidden` has not three dimensions.
    pub fn tokens(&self) -> Result<usize> {
        Ok(self.hidden.dims3()?.1)
    }
}

/// An encoded prompt.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Conditionings with the last step (counted from 1, inclusive) of each, in order; never empty, all of one length. More
    /// than one only where the prompt edits itself (`[a:b:0.5]`, `[a|b]`).
    pub schedule: Vec<(usize, Conditioning)>,
    /// What the user may want to know.
    pub notes: Vec<String>,
    /// What the user should know: text that had no effect.
    pub warnings: Vec<String>,
}

impl Encoded {
    /// What holds at a step, counted from 1.
    #[must_use]
    pub fn at_step(&self, step: usize) -> &Conditioning {
        let found = self.schedule.iter().position(|(last, _)| step <= *last);
        &self.schedule[found.unwrap_or(self.schedule.len() - 1)].1
    }

    /// The same schedule with zeros for every conditioning; see [`Conditioning::zeros_like`].
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn zeros_like(&self) -> Result<Self> {
        let zeros = |(last, conditioning): &(usize, Conditioning)| Ok((*last, conditioning.zeros_like()?));
        let schedule = self.schedule.iter().map(zeros).collect::<Result<_>>()?;
        Ok(Encoded { schedule, notes: Vec::new(), warnings: Vec::new() })
    }
}
