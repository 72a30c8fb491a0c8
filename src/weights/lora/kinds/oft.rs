//! OFT (Qiu et al. 2023) as LyCORIS ("diag-oft") and kohya's scripts have it: outputs are rotated in blocks, `W' = Rᵀ W`, each rotation
//! being the Cayley transform of a skew matrix.

use std::ops::Range;

use candle_core::{bail, Device, Tensor};

use super::super::module::{Module, Stored};
use super::super::roles::Role;
use super::super::Fault;
use super::{Base, Delta, Result};

/// Added to a norm that is divided by.
const TINY: f64 = 1e-8;

pub(super) struct Oft {
    /// [blocks, side, side]; a block less its transpose is the skew matrix.
    blocks: Stored,
    /// A factor for each output.
    rescale: Option<Stored>,
    /// The largest norm that all skew matrices together may have, by outputs; 0 for any.
    constraint: f64,
}

impl Oft {
    pub(super) fn new(module: &Module, alpha: Option<f64>) -> Result<Self, Fault> {
        let unknown =
            [(Role::OftDiag, "OFT in the form of LyCORIS 2.0 (`oft_diag`)"), (Role::OftPeft, "OFT of PEFT (`oft_R`)")];
        if let Some((_, kind)) = unknown.iter().find(|(role, _)| module.get(*role).is_some()) {
            return Err(Fault::Unsupported(kind));
        }
        let blocks = module.need(Role::Oft, "blocks (`oft_blocks`)")?.clone();
        match blocks.shape() {
            [_, rows, columns] if rows == columns => {}
            [_, _, _, _] => return Err(Fault::Unsupported("BOFT")),
            shape => return Err(Fault::Rank { first: shape.to_vec(), second: shape.to_vec() }),
        }
        let constraint = alpha.unwrap_or(0.0).max(0.0);
        Ok(Oft { blocks, rescale: module.get(Role::Rescale).cloned(), constraint })
    }

    fn outputs(&self) -> usize {
        self.blocks.shape()[..2].iter().product()
    }

    /// The transposes of all rotations, [blocks, side, side].
    fn rotations(&self) -> Result<Tensor> {
        let blocks = self.blocks.read()?;
        let skew = (&blocks - blocks.transpose(1, 2)?)?;
        let norm = f64::from(skew.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt()) + TINY;
        let most = self.constraint * self.outputs() as f64;
        let skew = if most > 0.0 && norm > most { (skew * (most / norm))? } else { skew };
        let (count, side, _) = skew.dims3()?;
        let values = skew.flatten_all()?.to_vec1::<f32>()?;
        let turned: Vec<f32> = values.chunks_exact((side * side).max(1)).flat_map(|skew| cayley(skew, side)).collect();
        Tensor::from_vec(turned, (count, side, side), &Device::Cpu)?.transpose(1, 2)?.contiguous()
    }
}

/// `(I + Q) (I - Q)⁻¹` of a skew matrix of this side, row after row. `I - Q` is never singular: the eigenvalues of `Q` are imaginary.
fn cayley(skew: &[f32], side: usize) -> Vec<f32> {
    let unit = |i: usize, j: usize| f64::from(u8::from(i == j));
    // Both factors commute, so that this solves (I - Q) X = I + Q: the two matrices side by side.
    let width = 2 * side;
    let value = |i: usize, j: usize| match j.checked_sub(side) {
        None => unit(i, j) - f64::from(skew[i * side + j]),
        Some(j) => unit(i, j) + f64::from(skew[i * side + j]),
    };
    let mut rows: Vec<Vec<f64>> = (0..side).map(|i| (0..width).map(|j| value(i, j)).collect()).collect();
    for column in 0..side {
        let largest = (column..side).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()));
        rows.swap(column, largest.unwrap_or(column));
        let pivot = rows[column].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != column) {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(&pivot).skip(column).for_each(|(x, p)| *x -= factor * p);
        }
    }
    let solved = |(i, row): (usize, &Vec<f64>)| row[side..].iter().map(|x| (x / row[i]) as f32).collect::<Vec<_>>();
    rows.iter().enumerate().flat_map(solved).collect()
}

impl Delta for Oft {
    fn fits(&self, outputs: usize, _: &[usize]) -> bool {
        self.outputs() == outputs
            && self.rescale.as_ref().is_none_or(|rescale| rescale.shape().iter().product::<usize>() == outputs)
    }

    fn kind(&self) -> &'static str {
        "OFT"
    }

    fn builds_on_weight(&self) -> bool {
        true
    }

    fn splits(&self) -> bool {
        false
    }

    fn shape(&self) -> String {
        format!("{} outputs", self.outputs())
    }

    fn rows(&self, base: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        let weight = base.matrix()?;
        if *rows != (0..self.outputs()) {
            bail!("a rotation of {} outputs at {rows:?}", self.outputs())
        }
        let (count, side) = (self.blocks.shape()[0], self.blocks.shape()[1]);
        let turned = self.rotations()?.matmul(&weight.reshape((count, side, ()))?)?.reshape(weight.shape())?;
        let turned = match &self.rescale {
            Some(rescale) => turned.broadcast_mul(&rescale.read()?.reshape((rows.len(), 1))?)?,
            None => turned,
        };
        turned - weight
    }
}
