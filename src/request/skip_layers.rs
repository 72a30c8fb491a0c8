//! [`SkipLayers`]: skip-layer guidance of Stable Diffusion 3.5.

use serde::{Deserialize, Serialize};

use super::{limits, within};
use crate::{Error, Result};

/// Guidance away from what the transformer predicts without some of its blocks, as diffusers' `StableDiffusion3Pipeline`; its
/// defaults are that pipeline's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SkipLayers {
    /// The blocks that are left out, counted from 0.
    pub layers: Vec<usize>,
    /// How far to lead away, 0 to 20.
    pub scale: f64,
    /// The part of the steps after which it begins, 0 to 1.
    pub start: f64,
    /// The part of the steps at which it ends, 0 to 1.
    pub stop: f64,
}

impl Default for SkipLayers {
    fn default() -> Self {
        SkipLayers { layers: Vec::new(), scale: 2.8, start: 0.01, stop: 0.2 }
    }
}

impl SkipLayers {
    /// Whether it takes part in a step, counted from 0, of so many: both ends are outside, so the first step never has it.
    #[must_use]
    pub fn applies(&self, step: usize, steps: usize) -> bool {
        let (step, steps) = (step as f64, steps as f64);
        step > steps * self.start && step < steps * self.stop
    }

    pub(super) fn validate(&self) -> Result<()> {
        within("skip_layers.scale", Some(self.scale), &limits::LED_AWAY)?;
        within("skip_layers.start", Some(self.start), &limits::FRACTION)?;
        within("skip_layers.stop", Some(self.stop), &limits::FRACTION)?;
        if self.layers.is_empty() {
            return Err(Error::usage("skip-layer guidance names no layers", "`--skip-layers 7,8,9` names three"));
        }
        if self.start >= self.stop {
            let message = format!("skip-layer guidance would begin at {} and end at {}", self.start, self.stop);
            return Err(Error::usage(message, "give `--skip-layer-stop` more than `--skip-layer-start`"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_outside() {
        let applied =
            |skip: SkipLayers, steps| (0..steps).filter(|step| skip.applies(*step, steps)).collect::<Vec<_>>();
        assert_eq!(applied(SkipLayers::default(), 28), [1, 2, 3, 4, 5]);
        assert_eq!(applied(SkipLayers { start: 0.25, stop: 0.75, ..SkipLayers::default() }, 8), [3, 4, 5]);
        assert_eq!(applied(SkipLayers { start: 0.0, stop: 1.0, ..SkipLayers::default() }, 3), [1, 2]);
    }
}
