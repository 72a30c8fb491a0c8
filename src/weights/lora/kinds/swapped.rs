//! A change whose rows have another order in the model: the last norm of transformers has its scale before its shift in diffusers, and
//! behind it in the original code.

use std::ops::Range;

use candle_core::Tensor;

use super::{Base, Delta, Factors, Result};

/// Another change with the second half of its rows first; it is only ever asked for all of them.
pub(super) struct Swapped(pub(super) Box<dyn Delta>);

fn halves(rows: &Range<usize>) -> [Range<usize>; 2] {
    let middle = rows.start + rows.len() / 2;
    [middle..rows.end, rows.start..middle]
}

impl Delta for Swapped {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        outputs.is_multiple_of(2) && self.0.fits(outputs, inputs)
    }

    fn shape(&self) -> String {
        self.0.shape()
    }

    fn rank(&self) -> Option<usize> {
        self.0.rank()
    }

    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn is_product(&self) -> bool {
        self.0.is_product()
    }

    fn factors(&self, rows: &Range<usize>) -> Result<Option<Factors>> {
        let [second, first] = halves(rows);
        match (self.0.factors(&second)?, self.0.factors(&first)?) {
            (Some(second), Some(first)) => {
                Ok(Some(Factors { up: Tensor::cat(&[second.up, first.up], 0)?, down: first.down }))
            }
            _ => Ok(None),
        }
    }

    fn is_whole(&self) -> bool {
        self.0.is_whole()
    }

    fn rows(&self, base: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        let [second, first] = halves(rows);
        Tensor::cat(&[self.0.rows(base, &second)?, self.0.rows(base, &first)?], 0)
    }
}
