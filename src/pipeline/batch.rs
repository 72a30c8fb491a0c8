//! [`Batch`]: what networks are asked at a step, prompts and their absence side by side.

use candle_core::{Result, Tensor};

use crate::models::unet::{AddedCond, PreparedText, UNetInput};
use crate::pipeline::control::Said;
use crate::text::Conditioning;

/// Samples whose conditionings share the batch evenly, each of them one row after the other.
pub(super) struct Batch<'a> {
    /// [b, channels, h, w].
    pub sample: Tensor,
    pub timestep: f64,
    /// The texts, in the order of the batch: the negative prompt's first where it takes part.
    pub conditionings: Vec<&'a Conditioning>,
    /// SDXL's pooled texts, [b, p].
    pub text_embeds: Option<Tensor>,
    /// SDXL's sizes, [b, 6].
    pub time_ids: Tensor,
    /// The embedded guidance scale, [b, width].
    pub timestep_cond: Option<Tensor>,
}

impl<'a> Batch<'a> {
    /// `time_ids` are those of one sample, [1, 6], and so is `timestep_cond`.
    pub(super) fn new(
        sample: Tensor,
        timestep: f64,
        conditionings: Vec<&'a Conditioning>,
        time_ids: &Tensor,
        timestep_cond: Option<&Tensor>,
    ) -> Result<Self> {
        let batch = sample.dim(0)?;
        let each = batch / conditionings.len();
        let pooled = conditionings.iter().filter_map(|c| c.pooled.as_ref()).map(|p| p.repeat((each, 1)));
        let pooled = pooled.collect::<Result<Vec<_>>>()?;
        Ok(Batch {
            timestep,
            text_embeds: if pooled.is_empty() { None } else { Some(Tensor::cat(&pooled, 0)?) },
            time_ids: time_ids.repeat((batch, 1))?,
            timestep_cond: timestep_cond.map(|cond| cond.repeat((batch, 1))).transpose()?,
            conditionings,
            sample,
        })
    }

    /// Samples of each conditioning.
    pub(super) fn each(&self) -> Result<usize> {
        Ok(self.sample.dim(0)? / self.conditionings.len())
    }

    /// The samples of the last conditioning alone: those with the prompt.
    pub(super) fn last(&self) -> Result<Self> {
        let each = self.each()?;
        let rows = |t: &Tensor| t.narrow(0, t.dim(0)? - each, each)?.contiguous();
        Ok(Batch {
            sample: rows(&self.sample)?,
            timestep: self.timestep,
            conditionings: self.conditionings.last().copied().into_iter().collect(),
            text_embeds: self.text_embeds.as_ref().map(rows).transpose()?,
            time_ids: rows(&self.time_ids)?,
            timestep_cond: self.timestep_cond.as_ref().map(rows).transpose()?,
        })
    }

    /// The same as the input of a network that prepared the texts, with what ControlNets and their kin said.
    pub(super) fn input<'b>(&'b self, text: &'b PreparedText, said: Option<&'b Said>) -> UNetInput<'b> {
        let added = |text_embeds| AddedCond { text_embeds, time_ids: &self.time_ids };
        UNetInput {
            sample: &self.sample,
            timestep: self.timestep,
            text,
            added: self.text_embeds.as_ref().map(added),
            timestep_cond: self.timestep_cond.as_ref(),
            residuals: said.and_then(|said| said.residuals.as_ref()),
            features: said.map_or(&[], |said| &said.features),
        }
    }
}
