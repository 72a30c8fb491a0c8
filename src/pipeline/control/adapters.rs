//! [`Adapter`]: a T2I-Adapter at work. It sees the picture alone, so that what it says is known once the run begins.

use candle_core::Tensor;

use super::guide::{sees_unprompted, Parts};
use crate::models::t2i_adapter::T2iAdapter;
use crate::request::{Control, ControlMode};
use crate::Result;

/// How much each level counts where the prompt is to count more, the finest first (`sd-webui-controlnet`).
const DECAY: [f64; 4] = [0.25, 0.62, 0.825, 1.0];

/// What an adapter says of its picture.
pub(super) struct Adapter<'a> {
    pub control: &'a Control,
    /// What is added to each block, [1, channels, h, w].
    features: Vec<Tensor>,
}

impl<'a> Adapter<'a> {
    /// Shows the adapter its picture `[1, 3, height, width]`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(control: &'a Control, adapter: &T2iAdapter, picture: &Tensor) -> Result<Self> {
        let factor = |level: usize| match control.mode {
            ControlMode::Balanced | ControlMode::Guess => 1.0,
            ControlMode::Prompt | ControlMode::Control => DECAY.get(level).copied().unwrap_or(1.0),
        };
        let features = adapter.forward(picture)?;
        let scaled = |(level, feature): (usize, Tensor)| feature * (control.scale * factor(level));
        Ok(Adapter { control, features: features.into_iter().enumerate().map(scaled).collect::<Result<_, _>>()? })
    }

    /// What is added for a batch of so many samples: one row for all, or a row each where some of them do not see the picture.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn say(&self, samples: usize, parts: Parts) -> Result<Vec<Tensor>> {
        if sees_unprompted(self.control.mode) {
            return Ok(self.features.clone());
        }
        let half = |feature: &Tensor| {
            let prompted = feature.repeat((samples / 2, 1, 1, 1))?;
            Tensor::cat(&[&prompted.zeros_like()?, &prompted], 0)
        };
        match parts {
            Parts::Conditional => Ok(self.features.clone()),
            Parts::Unconditional => Ok(Vec::new()),
            Parts::Both => Ok(self.features.iter().map(half).collect::<Result<_, _>>()?),
        }
    }
}

/// The sum of what several adapters add to each block; one of them may have less to add than the other.
///
/// # Errors
/// When the tensor library fails.
pub(super) fn sum(a: Vec<Tensor>, b: Vec<Tensor>) -> Result<Vec<Tensor>> {
    let (mut long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    for (one, other) in long.iter_mut().zip(&short) {
        // Rows for each sample, or one for all.
        *one = if one.dim(0)? >= other.dim(0)? { one.broadcast_add(other)? } else { other.broadcast_add(one)? };
    }
    Ok(long)
}
