//! DoRA (Liu et al. 2024): the changed weight keeps its direction and gets a trained length, for each output or for each input.

use std::ops::Range;

use candle_core::Tensor;

use super::super::module::{Module, Stored};
use super::super::roles::Role;
use super::{Base, Result};

pub(super) struct Dora {
    lengths: Stored,
    rule: Rule,
}

/// Programs agree at multiplier 1 only.
enum Rule {
    /// Of kohya's and LyCORIS's files: the way from the weight to the changed one is walked by so much, as A1111 and ComfyUI do.
    Interpolated,
    /// Of PEFT's files, as diffusers does: the low-rank change is scaled, the lengths are as trained.
    Rescaled,
}

impl Dora {
    /// What of a module is DoRA.
    pub(super) fn of(module: &Module) -> Option<Self> {
        let stored = |role, rule| Some(Dora { lengths: module.get(role)?.clone(), rule });
        stored(Role::DoraScale, Rule::Interpolated).or_else(|| stored(Role::Magnitude, Rule::Rescaled))
    }

    /// Whether there is a length for each input, as the shape [1, inputs] tells. PEFT has them for outputs alone, and that shape for
    /// convolutions.
    pub(super) fn by_input(&self) -> bool {
        matches!((&self.rule, self.lengths.shape()), (Rule::Interpolated, [1, inputs, ..]) if *inputs > 1)
    }

    pub(super) fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        let count = self.lengths.shape().iter().product::<usize>();
        count == if self.by_input() { inputs.first().copied().unwrap_or(1) } else { outputs }
    }

    /// What is added to the rows of the weight, `delta` being the change before its length is set. Lengths for each input are those
    /// of all rows, so that only whole weights have them.
    pub(super) fn rows(&self, delta: &Tensor, base: &Base<'_>, rows: &Range<usize>, multiplier: f64) -> Result<Tensor> {
        let weight = base.matrix()?;
        match self.rule {
            Rule::Interpolated => {
                let changed = self.with_lengths(&(weight + delta)?, rows)?;
                (changed - weight)?.affine(multiplier, 0.0)
            }
            Rule::Rescaled => self.with_lengths(&(weight + delta.affine(multiplier, 0.0)?)?, rows)? - weight,
        }
    }

    fn with_lengths(&self, weight: &Tensor, rows: &Range<usize>) -> Result<Tensor> {
        let lengths = self.lengths.read()?.flatten_all()?;
        let (shaped, axes, lengths) = if self.by_input() {
            let inputs = lengths.elem_count();
            (weight.reshape((rows.len(), inputs, ()))?, [0, 2], lengths.reshape((1, inputs, 1))?)
        } else {
            let lengths = lengths.narrow(0, rows.start, rows.len())?.reshape((rows.len(), 1, 1))?;
            (weight.unsqueeze(2)?, [1, 2], lengths)
        };
        let norms = shaped.sqr()?.sum_keepdim(axes)?.sqrt()?;
        // A row of zeros has no direction, and stays one.
        let norms = norms.maximum(f32::MIN_POSITIVE)?;
        shaped.broadcast_mul(&lengths.div(&norms)?)?.reshape(weight.shape())
    }
}
