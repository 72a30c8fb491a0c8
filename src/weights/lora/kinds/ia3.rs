//! IA3 (Liu et al. 2022), as LyCORIS has it: rows or columns of the weight are multiplied by one number each. The bias stays as it is.

use std::ops::Range;

use candle_core::Tensor;

use super::super::module::{Module, Stored};
use super::super::roles::Role;
use super::super::Fault;
use super::{Base, Delta, Result};

/// What is added to 1: for each output, or for each input.
pub(super) struct Ia3 {
    factors: Stored,
    on_input: bool,
}

impl Ia3 {
    pub(super) fn new(module: &Module) -> Result<Self, Fault> {
        let on_input = module.need(Role::OnInput, "flag `on_input`")?.number()? != 0.0;
        Ok(Ia3 { factors: module.need(Role::Ia3, "factors (`weight`)")?.clone(), on_input })
    }

    fn count(&self) -> usize {
        self.factors.shape().iter().product()
    }
}

impl Delta for Ia3 {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        let side = if self.on_input { inputs.first() } else { Some(&outputs) };
        side == Some(&self.count())
    }

    fn kind(&self) -> &'static str {
        "IA3"
    }

    fn builds_on_weight(&self) -> bool {
        true
    }

    fn shape(&self) -> String {
        format!("{} {}", self.count(), if self.on_input { "inputs" } else { "outputs" })
    }

    fn rows(&self, base: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        let (factors, weight) = (self.factors.read()?.flatten_all()?, base.matrix()?);
        if !self.on_input {
            return weight.broadcast_mul(&factors.narrow(0, rows.start, rows.len())?.reshape((rows.len(), 1))?);
        }
        let by_input = weight.reshape((rows.len(), self.count(), ()))?;
        by_input.broadcast_mul(&factors.reshape((1, self.count(), 1))?)?.reshape(weight.shape())
    }
}
