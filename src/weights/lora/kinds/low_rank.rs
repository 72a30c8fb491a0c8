//! LoRA (Hu et al. 2021) and LoCon, which is LoRA of convolutions: the product of two thin matrices, `alpha / rank * up * down`; with a
//! core between them (`lora_mid`) a Tucker decomposition.

use std::ops::Range;

use candle_core::Tensor;

use super::super::module::{Module, Stored};
use super::super::roles::Role;
use super::super::Fault;
use super::{scale, tucker, Base, Delta, Result};

/// `up` [outputs, rank], `down` [rank, inputs...], and a core [rank, rank, kernel...] if there is one.
pub(super) struct LowRank {
    down: Stored,
    up: Stored,
    mid: Option<Stored>,
    scale: f64,
}

impl LowRank {
    pub(super) fn new(module: &Module, alpha: Option<f64>) -> Result<Self, Fault> {
        let down = module.need(Role::Down, "down matrix (`lora_down`, `lora_A`)")?.clone();
        let up = module.need(Role::Up, "up matrix (`lora_up`, `lora_B`)")?.clone();
        let mid = module.get(Role::Mid).cloned();
        let rank = down.first();
        let meets = match &mid {
            None => up.rest() == rank,
            Some(mid) => mid.shape().len() > 2 && mid.shape()[..2] == [up.rest(), rank],
        };
        if up.shape().len() < 2 || down.shape().len() < 2 || !meets {
            return Err(Fault::Rank { first: down.shape().to_vec(), second: up.shape().to_vec() });
        }
        Ok(LowRank { scale: scale(alpha, Some(rank)), down, up, mid })
    }

    fn kernel(&self) -> usize {
        self.mid.as_ref().map_or(1, |mid| mid.shape()[2..].iter().product())
    }
}

impl Delta for LowRank {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        self.up.first() == outputs && self.down.rest() * self.kernel() == inputs.iter().product::<usize>()
    }

    fn shape(&self) -> String {
        format!("[{}, {}]", self.up.first(), self.down.rest() * self.kernel())
    }

    fn rank(&self) -> Option<usize> {
        Some(self.down.first())
    }

    fn rows(&self, _: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        // The smaller factor is scaled.
        let up = self.up.matrix()?.narrow(0, rows.start, rows.len())?.affine(self.scale, 0.0)?;
        match &self.mid {
            None => up.matmul(&self.down.matrix()?),
            Some(mid) => tucker(&up, &mid.read()?, &self.down.matrix()?),
        }
    }
}
