//! GLoRA (Chavan et al. 2023), as LyCORIS has it: `W a1 a2 + b1 b2`, times alpha by rank.

use std::ops::Range;

use candle_core::Tensor;

use super::super::module::{Module, Stored};
use super::super::roles::{Factor, Half, Role};
use super::super::Fault;
use super::{scale, Base, Delta, Result};

/// `a1` [inputs, rank], `a2` [rank, inputs], `b1` [outputs, rank], `b2` [rank, inputs].
pub(super) struct Glora {
    a: [Stored; 2],
    b: [Stored; 2],
    scale: f64,
}

impl Glora {
    pub(super) fn new(module: &Module, alpha: Option<f64>) -> Result<Self, Fault> {
        let get = |half, factor, name| module.need(Role::Glora(half, factor), name).cloned();
        let a = [get(Half::First, Factor::Left, "`a1`")?, get(Half::First, Factor::Right, "`a2`")?];
        let b = [get(Half::Second, Factor::Left, "`b1`")?, get(Half::Second, Factor::Right, "`b2`")?];
        for [left, right] in [&a, &b] {
            if left.shape().len() < 2 || left.rest() != right.first() {
                return Err(Fault::Rank { first: left.shape().to_vec(), second: right.shape().to_vec() });
            }
        }
        Ok(Glora { scale: scale(alpha, Some(b[1].first())), a, b })
    }
}

impl Delta for Glora {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        let columns = inputs.iter().product::<usize>();
        self.b[0].first() == outputs
            && [self.b[1].rest(), self.a[0].first(), self.a[1].rest()].iter().all(|side| *side == columns)
    }

    fn kind(&self) -> &'static str {
        "GLoRA"
    }

    fn builds_on_weight(&self) -> bool {
        true
    }

    fn shape(&self) -> String {
        format!("[{}, {}]", self.b[0].first(), self.b[1].rest())
    }

    fn rank(&self) -> Option<usize> {
        Some(self.b[1].first())
    }

    fn rows(&self, base: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        let of_base = base.matrix()?.matmul(&self.a[0].matrix()?)?.matmul(&self.a[1].matrix()?)?;
        let own = self.b[0].matrix()?.narrow(0, rows.start, rows.len())?.matmul(&self.b[1].matrix()?)?;
        (of_base + own)?.affine(self.scale, 0.0)
    }
}
