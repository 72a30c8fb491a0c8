//! The kinds of change that an adapter can make to a weight, one file each. All of them compute in f32, on the weight as a matrix:
//! outputs by all that one output is computed from (of a convolution: channels times kernel).

mod dora;
mod full;
mod glora;
mod ia3;
mod loha;
mod lokr;
mod low_rank;
mod oft;
mod replaced;
mod swapped;
#[cfg(test)]
mod tests;
mod widened;

use std::cell::OnceCell;
use std::ops::Range;

use candle_core::{DType, Tensor};

use super::module::{Module, Stored};
use super::roles::Role;
use super::Fault;
use dora::Dora;
use full::Full;
use glora::Glora;
use ia3::Ia3;
use loha::LoHa;
use lokr::LoKr;
use low_rank::LowRank;
use oft::Oft;
use replaced::Replaced;
use swapped::Swapped;
use widened::Widened;

/// A result of the tensor library, or of what has other errors.
pub type Result<T, E = candle_core::Error> = std::result::Result<T, E>;

/// What an adapter adds to a weight.
pub trait Delta: Send + Sync {
    /// Whether it fits a weight of so many rows, `inputs` being the other sides of its shape.
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool;

    /// The shape of the weight that it is for, as a message names it.
    fn shape(&self) -> String;

    /// The rank, of what has one.
    fn rank(&self) -> Option<usize> {
        None
    }

    /// What people call it.
    fn kind(&self) -> &'static str;

    /// Whether it is a product of thin matrices.
    fn is_product(&self) -> bool {
        false
    }

    /// The thin matrices whose product these rows are, of what is such a product.
    ///
    /// # Errors
    /// When a tensor of the adapter cannot be read.
    fn factors(&self, _rows: &Range<usize>) -> Result<Option<Factors>> {
        Ok(None)
    }

    /// Whether it is a difference of the weight's own shape.
    fn is_whole(&self) -> bool {
        false
    }

    /// Whether it cannot be told without the weight.
    fn builds_on_weight(&self) -> bool {
        false
    }

    /// Whether a part of its rows can be told without the others.
    fn splits(&self) -> bool {
        true
    }

    /// Whether it is a weight that takes the place of the model's.
    fn replaces(&self) -> bool {
        false
    }

    /// These rows of the change at multiplier 1: [rows, columns].
    ///
    /// # Errors
    /// When a tensor of the adapter cannot be read.
    fn rows(&self, base: &Base<'_>, rows: &Range<usize>) -> Result<Tensor>;
}

/// A matrix as the product of two thin ones.
#[derive(Debug, Clone)]
pub struct Factors {
    /// [rows, rank], in f32.
    pub up: Tensor,
    /// [rank, columns], in f32.
    pub down: Tensor,
}

/// The weight before any change: the rows that are asked for.
pub struct Base<'a> {
    stored: &'a Tensor,
    wide: OnceCell<Tensor>,
}

impl<'a> Base<'a> {
    /// The weight as it was read.
    #[must_use]
    pub fn new(stored: &'a Tensor) -> Self {
        Base { stored, wide: OnceCell::new() }
    }

    /// Its shape.
    fn dims(&self) -> &[usize] {
        self.stored.dims()
    }

    /// It as a matrix of f32. Most kinds do not ask for it.
    fn matrix(&self) -> Result<&Tensor> {
        if self.wide.get().is_none() {
            let rows = self.dims().first().copied().unwrap_or(1);
            let wide = self.stored.to_dtype(DType::F32)?.reshape((rows, ()))?;
            return Ok(self.wide.get_or_init(|| wide));
        }
        self.wide.get().ok_or_else(|| candle_core::Error::Msg("the weight is gone".into()))
    }
}

/// What a module of an adapter does to one tensor of the model.
pub struct Change {
    delta: Box<dyn Delta>,
    dora: Option<Dora>,
}

impl Change {
    /// Whether it fits a tensor of so many rows, `inputs` being the other sides of its shape.
    #[must_use]
    pub fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        self.delta.fits(outputs, inputs) && self.dora.as_ref().is_none_or(|dora| dora.fits(outputs, inputs))
    }

    /// Whether a part of its rows can be told without the others.
    #[must_use]
    pub fn splits(&self) -> bool {
        self.delta.splits() && self.dora.as_ref().is_none_or(|dora| !dora.by_input())
    }

    /// It with the second half of its rows first; with `ranks`, the ranks of the first of its thin matrices are swapped too.
    ///
    /// # Errors
    /// [`Fault::Order`] for what cannot be told without the weight, whose rows have that order already.
    pub fn swapped(self, ranks: bool) -> Result<Self, Fault> {
        if self.builds_on_weight() {
            return Err(Fault::Order);
        }
        Ok(Change { delta: Box::new(Swapped { delta: self.delta, ranks }), dora: None })
    }

    /// It for a weight of so many columns, of which its `own` are the first; as it is when that is not what it is for.
    #[must_use]
    pub fn widened(self, outputs: usize, own: usize, columns: usize) -> Self {
        if own >= columns || self.builds_on_weight() || !self.fits(outputs, &[own]) {
            return self;
        }
        Change { delta: Box::new(Widened { delta: self.delta, own, columns }), dora: None }
    }

    /// The shape of the tensor that it is for, as a message names it.
    #[must_use]
    pub fn shape(&self) -> String {
        self.delta.shape()
    }

    /// The rank, of what has one.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        self.delta.rank()
    }

    /// What people call it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.dora.is_some() {
            "DoRA"
        } else {
            self.delta.kind()
        }
    }

    /// Whether it is a product of thin matrices.
    #[must_use]
    pub fn is_product(&self) -> bool {
        self.dora.is_none() && self.delta.is_product()
    }

    /// Whether it is a difference of the weight's own shape.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.dora.is_none() && self.delta.is_whole()
    }

    /// Whether it cannot be told without the weight.
    #[must_use]
    pub fn builds_on_weight(&self) -> bool {
        self.dora.is_some() || self.delta.builds_on_weight()
    }

    /// Whether it takes the place of what is there.
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.delta.replaces()
    }

    /// The thin matrices whose product these rows are at multiplier 1; nothing when they are no such product.
    ///
    /// # Errors
    /// When a tensor of the adapter cannot be read.
    pub fn factors(&self, rows: &Range<usize>) -> Result<Option<Factors>> {
        if self.dora.is_some() {
            return Ok(None);
        }
        self.delta.factors(rows)
    }

    /// These rows of the change at this multiplier: [rows, columns] in f32.
    ///
    /// # Errors
    /// When a tensor of the adapter cannot be read.
    pub fn rows(&self, base: &Base<'_>, rows: &Range<usize>, multiplier: f64) -> Result<Tensor> {
        let delta = self.delta.rows(base, rows)?;
        match &self.dora {
            Some(dora) => dora.rows(&delta, base, rows, multiplier),
            None if (multiplier - 1.0).abs() < f64::EPSILON => Ok(delta),
            None => delta.affine(multiplier, 0.0),
        }
    }
}

/// What a module changes: its weight, its bias, or both.
pub struct Changes {
    /// The change of the weight.
    pub weight: Option<Change>,
    /// The change of the bias.
    pub bias: Option<Change>,
}

impl Changes {
    /// What the tensors of a module tell; `alpha` is for modules that have none of their own.
    ///
    /// # Errors
    /// When tensors are missing or do not fit each other.
    pub fn of(module: &Module, alpha: Option<f64>) -> Result<Self, Fault> {
        let alpha = module.get(Role::Alpha).map(Stored::number).transpose()?.or(alpha);
        let delta: Option<Box<dyn Delta>> = match () {
            () if module.any(|role| matches!(role, Role::Down | Role::Up | Role::Mid)) => {
                Some(Box::new(LowRank::new(module, alpha)?))
            }
            () if module.any(|role| matches!(role, Role::Hada(..))) => Some(Box::new(LoHa::new(module, alpha)?)),
            () if module.any(|role| matches!(role, Role::Lokr(..))) => Some(Box::new(LoKr::new(module, alpha)?)),
            () if module.any(|role| matches!(role, Role::Glora(..))) => Some(Box::new(Glora::new(module, alpha)?)),
            () if module.any(|role| matches!(role, Role::Oft | Role::OftDiag | Role::OftPeft)) => {
                Some(Box::new(Oft::new(module, alpha)?))
            }
            () if module.any(|role| matches!(role, Role::Ia3 | Role::OnInput)) => Some(Box::new(Ia3::new(module)?)),
            () => {
                let norm = module.get(Role::Norm).map(|norm| Box::new(Replaced(norm.clone())) as Box<dyn Delta>);
                norm.or_else(|| module.get(Role::Diff).map(|diff| Box::new(Full::new(diff, 1.0)) as Box<dyn Delta>))
            }
        };
        let rank = delta.as_ref().and_then(|delta| delta.rank());
        let up_bias = module.get(Role::UpBias).map(|bias| Full::new(bias, scale(alpha, rank)));
        let bias = up_bias.or_else(|| module.get(Role::DiffBias).map(|diff| Full::new(diff, 1.0)));
        let changes = Changes {
            weight: delta.map(|delta| Change { delta, dora: Dora::of(module) }),
            bias: bias.map(|bias| Change { delta: Box::new(bias), dora: None }),
        };
        match (&changes.weight, &changes.bias) {
            (None, None) => Err(Fault::Missing("change")),
            _ => Ok(changes),
        }
    }
}

/// What factors of this rank are multiplied with: alpha by the rank. Without an alpha it is the rank.
fn scale(alpha: Option<f64>, rank: Option<usize>) -> f64 {
    match (alpha, rank) {
        (Some(alpha), Some(rank)) if rank > 0 => alpha / rank as f64,
        _ => 1.0,
    }
}

/// The matrix product of `left` [outputs, i], a core [i, j, kernel...] and `right` [j, inputs] as [outputs, inputs * kernel]: a
/// Tucker decomposition with factors for all sides but the kernel's.
fn tucker(left: &Tensor, core: &Tensor, right: &Tensor) -> Result<Tensor> {
    let (i, j) = (core.dim(0)?, core.dim(1)?);
    let inputs = right.dim(1)?;
    // [i, kernel, j] by [j, inputs], so that both products are of matrices.
    let core = core.reshape((i, j, ()))?.transpose(1, 2)?.contiguous()?;
    let kernel = core.dim(1)?;
    let inner = core.reshape((i * kernel, j))?.matmul(right)?;
    let inner = inner.reshape((i, kernel, inputs))?.transpose(1, 2)?.contiguous()?;
    left.matmul(&inner.reshape((i, inputs * kernel))?)
}

/// The rows of a change that was computed whole.
fn narrow(whole: &Tensor, rows: &Range<usize>) -> Result<Tensor> {
    whole.narrow(0, rows.start, rows.len())?.contiguous()
}
