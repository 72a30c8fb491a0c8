//! Whole differences: LyCORIS "full", trained norms and biases.

use std::ops::Range;

use candle_core::Tensor;

use super::super::module::Stored;
use super::{Base, Delta, Result};

/// A difference of the tensor's own shape, times a number.
pub(super) struct Full {
    diff: Stored,
    scale: f64,
}

impl Full {
    pub(super) fn new(diff: &Stored, scale: f64) -> Self {
        Full { diff: diff.clone(), scale }
    }
}

impl Delta for Full {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        self.diff.first() == outputs && self.diff.rest() == inputs.iter().product::<usize>()
    }

    fn kind(&self) -> &'static str {
        "whole difference"
    }

    fn is_whole(&self) -> bool {
        true
    }

    fn shape(&self) -> String {
        format!("{:?}", self.diff.shape())
    }

    fn rows(&self, _: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        self.diff.matrix()?.narrow(0, rows.start, rows.len())?.affine(self.scale, 0.0)
    }
}
