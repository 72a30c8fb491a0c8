//! LoHa (Hyeon-Woo et al. 2021, FedPara): the element-wise product of two low-rank matrices, of twice the rank for the same size.

use std::ops::Range;

use candle_core::Tensor;

use super::super::module::{Module, Stored};
use super::super::roles::{Factor, Half, Role};
use super::super::Fault;
use super::{narrow, scale, tucker, Base, Delta, Result};

pub(super) struct LoHa {
    halves: [LowRankHalf; 2],
    scale: f64,
}

/// `left` [outputs, rank] and `right` [rank, inputs...]; with a core [rank, rank, kernel...], `left` is stored [rank, outputs].
struct LowRankHalf {
    left: Stored,
    right: Stored,
    core: Option<Stored>,
}

impl LoHa {
    pub(super) fn new(module: &Module, alpha: Option<f64>) -> Result<Self, Fault> {
        let halves = [half(module, Half::First)?, half(module, Half::Second)?];
        let [first, second] = &halves;
        if first.size() != second.size() {
            return Err(Fault::Rank { first: first.left.shape().to_vec(), second: second.left.shape().to_vec() });
        }
        Ok(LoHa { scale: scale(alpha, Some(halves[0].right.first())), halves })
    }
}

fn half(module: &Module, which: Half) -> Result<LowRankHalf, Fault> {
    let get = |factor, name| module.need(Role::Hada(which, factor), name).cloned();
    let (left, right) =
        (get(Factor::Left, "left factor (`hada_w_a`)")?, get(Factor::Right, "right factor (`hada_w_b`)")?);
    let core = module.get(Role::Hada(which, Factor::Core)).cloned();
    let meets = match (left.shape(), right.shape(), core.as_ref().map(Stored::shape)) {
        ([_, rank], [other, _], None) => rank == other,
        ([i, _], [j, _], Some([first, second, ..])) => (i, j) == (first, second),
        _ => false,
    };
    if meets {
        Ok(LowRankHalf { left, right, core })
    } else {
        Err(Fault::Rank { first: left.shape().to_vec(), second: right.shape().to_vec() })
    }
}

impl LowRankHalf {
    /// Rows and columns of the product.
    fn size(&self) -> (usize, usize) {
        match &self.core {
            None => (self.left.first(), self.right.rest()),
            Some(core) => (self.left.rest(), self.right.rest() * core.shape()[2..].iter().product::<usize>()),
        }
    }

    fn product(&self) -> Result<Tensor> {
        let (left, right) = (self.left.matrix()?, self.right.matrix()?);
        match &self.core {
            None => left.matmul(&right),
            Some(core) => tucker(&left.t()?.contiguous()?, &core.read()?, &right),
        }
    }
}

impl Delta for LoHa {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        self.halves[0].size() == (outputs, inputs.iter().product())
    }

    fn kind(&self) -> &'static str {
        "LoHa"
    }

    fn shape(&self) -> String {
        let (rows, columns) = self.halves[0].size();
        format!("[{rows}, {columns}]")
    }

    fn rank(&self) -> Option<usize> {
        Some(self.halves[0].right.first())
    }

    fn rows(&self, _: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        let product = (self.halves[0].product()? * self.halves[1].product()?)?;
        narrow(&product.affine(self.scale, 0.0)?, rows)
    }
}
