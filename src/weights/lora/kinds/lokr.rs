//! LoKr (Edalati et al. 2022, KronA): the Kronecker product of two small matrices, each of them whole or itself of low rank.

use std::ops::Range;

use candle_core::Tensor;

use super::super::module::{Module, Stored};
use super::super::roles::{Factor, Half, Role};
use super::super::Fault;
use super::{narrow, scale, tucker, Base, Delta, Result};

pub(super) struct LoKr {
    first: Side,
    second: Side,
    scale: f64,
}

/// One of the two matrices.
enum Side {
    Whole(Stored),
    /// `left` [rows, rank] and `right` [rank, columns].
    Product(Stored, Stored),
    /// `left` [rank, rows], a core [rank, rank, kernel...] and `right` [rank, columns].
    Tucker(Stored, Stored, Stored),
}

impl LoKr {
    pub(super) fn new(module: &Module, alpha: Option<f64>) -> Result<Self, Fault> {
        let (first, second) = (side(module, Half::First)?, side(module, Half::Second)?);
        // With both matrices whole there is no rank, and an alpha that is stored all the same has no effect.
        let rank = second.rank().or(first.rank());
        Ok(LoKr { scale: scale(alpha, rank), first, second })
    }

    fn size(&self) -> (usize, usize) {
        let (first, second) = (self.first.size(), self.second.size());
        (first.0 * second.0, first.1 * second.1)
    }
}

fn side(module: &Module, which: Half) -> Result<Side, Fault> {
    let get = |factor| module.get(Role::Lokr(which, factor)).cloned();
    if let Some(whole) = get(Factor::Whole) {
        return Ok(Side::Whole(whole));
    }
    let (Some(left), Some(right)) = (get(Factor::Left), get(Factor::Right)) else {
        return Err(Fault::Missing(match which {
            Half::First => "first factor (`lokr_w1`)",
            Half::Second => "second factor (`lokr_w2`)",
        }));
    };
    let shapes = Fault::Rank { first: left.shape().to_vec(), second: right.shape().to_vec() };
    match (left.shape(), right.shape(), get(Factor::Core)) {
        ([_, rank], [other, _], None) if rank == other => Ok(Side::Product(left, right)),
        ([i, _], [j, _], Some(core)) if core.shape().starts_with(&[*i, *j]) => Ok(Side::Tucker(left, core, right)),
        _ => Err(shapes),
    }
}

impl Side {
    fn rank(&self) -> Option<usize> {
        match self {
            Side::Whole(_) => None,
            Side::Product(_, right) | Side::Tucker(_, _, right) => Some(right.first()),
        }
    }

    /// Rows and columns.
    fn size(&self) -> (usize, usize) {
        match self {
            Side::Whole(whole) => (whole.first(), whole.rest()),
            Side::Product(left, right) => (left.first(), right.rest()),
            Side::Tucker(left, core, right) => {
                (left.rest(), right.rest() * core.shape()[2..].iter().product::<usize>())
            }
        }
    }

    fn matrix(&self) -> Result<Tensor> {
        match self {
            Side::Whole(whole) => whole.matrix(),
            Side::Product(left, right) => left.matrix()?.matmul(&right.matrix()?),
            Side::Tucker(left, core, right) => {
                tucker(&left.matrix()?.t()?.contiguous()?, &core.read()?, &right.matrix()?)
            }
        }
    }
}

impl Delta for LoKr {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        self.size() == (outputs, inputs.iter().product())
    }

    fn kind(&self) -> &'static str {
        "LoKr"
    }

    fn shape(&self) -> String {
        let (rows, columns) = self.size();
        format!("[{rows}, {columns}]")
    }

    fn rank(&self) -> Option<usize> {
        self.second.rank().or(self.first.rank())
    }

    fn rows(&self, _: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        let (first, second) = (self.first.matrix()?.affine(self.scale, 0.0)?, self.second.matrix()?);
        let ((a, b), (c, d)) = (first.dims2()?, second.dims2()?);
        let product = first.reshape((a, 1, b, 1))?.broadcast_mul(&second.reshape((1, c, 1, d))?)?;
        narrow(&product.reshape((a * c, b * d))?, rows)
    }
}
