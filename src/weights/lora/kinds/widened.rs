//! A change for the first layer of FLUX.1 dev on one of its relatives that sees more beside the latents, which come first: as
//! diffusers, what is seen besides is taken as by the model itself.

use std::ops::Range;

use candle_core::Tensor;

use super::{Base, Delta, Factors, Result};

/// Another change with columns of zeros behind its own.
pub(super) struct Widened {
    pub(super) delta: Box<dyn Delta>,
    /// Columns of the change.
    pub(super) own: usize,
    /// Columns of the weight.
    pub(super) columns: usize,
}

impl Widened {
    fn widen(&self, matrix: &Tensor) -> Result<Tensor> {
        matrix.pad_with_zeros(1, 0, self.columns - self.own)
    }
}

impl Delta for Widened {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        inputs == [self.columns] && self.delta.fits(outputs, &[self.own])
    }

    fn shape(&self) -> String {
        self.delta.shape()
    }

    fn rank(&self) -> Option<usize> {
        self.delta.rank()
    }

    fn kind(&self) -> &'static str {
        self.delta.kind()
    }

    fn is_product(&self) -> bool {
        self.delta.is_product()
    }

    fn factors(&self, rows: &Range<usize>) -> Result<Option<Factors>> {
        let Some(Factors { up, down }) = self.delta.factors(rows)? else { return Ok(None) };
        Ok(Some(Factors { up, down: self.widen(&down)? }))
    }

    fn is_whole(&self) -> bool {
        self.delta.is_whole()
    }

    fn rows(&self, base: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        self.widen(&self.delta.rows(base, rows)?)
    }
}
