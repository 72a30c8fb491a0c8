//! LoRA (Hu et al. 2021) and LoCon, which is LoRA of convolutions: the product of two thin matrices, `alpha / rank * up * down`; with a
//! core between them (`lora_mid`) a Tucker decomposition.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::super::module::{Module, Stored};
use super::super::roles::Role;
use super::super::Fault;
use super::{scale, tucker, Base, Delta, Factors, Result};

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

    /// The smaller factor, which is the one that is scaled.
    fn scaled_up(&self, rows: &Range<usize>) -> Result<Tensor> {
        self.up.matrix()?.narrow(0, rows.start, rows.len())?.affine(self.scale, 0.0)
    }

    fn kernel(&self) -> usize {
        self.mid.as_ref().map_or(1, |mid| mid.shape()[2..].iter().product())
    }
}

impl Delta for LowRank {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        self.up.first() == outputs && self.down.rest() * self.kernel() == inputs.iter().product::<usize>()
    }

    fn kind(&self) -> &'static str {
        if self.mid.is_some() || self.down.shape().len() > 2 {
            "LoCon"
        } else {
            "LoRA"
        }
    }

    fn is_product(&self) -> bool {
        true
    }

    /// A core becomes a part of the second matrix.
    fn factors(&self, rows: &Range<usize>) -> Result<Option<Factors>> {
        let down = match &self.mid {
            None => self.down.matrix()?,
            Some(mid) => {
                let same = Tensor::eye(mid.first(), DType::F32, &Device::Cpu)?;
                tucker(&same, &mid.read()?, &self.down.matrix()?)?
            }
        };
        Ok(Some(Factors { up: self.scaled_up(rows)?, down }))
    }

    fn shape(&self) -> String {
        format!("[{}, {}]", self.up.first(), self.down.rest() * self.kernel())
    }

    fn rank(&self) -> Option<usize> {
        Some(self.down.first())
    }

    fn rows(&self, _: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        let up = self.scaled_up(rows)?;
        match &self.mid {
            None => up.matmul(&self.down.matrix()?),
            Some(mid) => tucker(&up, &mid.read()?, &self.down.matrix()?),
        }
    }
}
