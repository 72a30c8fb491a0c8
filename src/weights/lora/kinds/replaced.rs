//! Weights that take the place of the model's: LoRAs of FLUX.1 Canny and Depth bring the scales of norms.

use std::ops::Range;

use candle_core::Tensor;

use super::super::module::Stored;
use super::{Base, Delta, Result};

/// Another weight of the tensor's own shape.
pub(super) struct Replaced(pub(super) Stored);

impl Delta for Replaced {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        self.0.first() == outputs && self.0.rest() == inputs.iter().product::<usize>()
    }

    fn shape(&self) -> String {
        format!("{:?}", self.0.shape())
    }

    fn kind(&self) -> &'static str {
        "a weight of its own"
    }

    fn builds_on_weight(&self) -> bool {
        true
    }

    fn replaces(&self) -> bool {
        true
    }

    fn rows(&self, base: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        self.0.matrix()?.narrow(0, rows.start, rows.len())? - base.matrix()?
    }
}
