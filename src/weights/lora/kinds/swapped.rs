//! A change whose rows have another order in the model: the last norm of transformers has its scale before its shift in diffusers, and
//! behind it in the original code.

use std::ops::Range;

use candle_core::Tensor;

use super::{Base, Delta, Factors, Result};

/// Another change with the second half of its rows first; it is only ever asked for all of them.
pub(super) struct Swapped {
    pub(super) delta: Box<dyn Delta>,
    /// Whether the ranks of the first of its thin matrices are swapped too, and those of the second one not.
    pub(super) ranks: bool,
}

fn halves(rows: &Range<usize>) -> [Range<usize>; 2] {
    let middle = rows.start + rows.len() / 2;
    [middle..rows.end, rows.start..middle]
}

fn of_swapped_ranks(down: &Tensor) -> Result<Tensor> {
    let (rank, middle) = (down.dim(0)?, down.dim(0)?.div_ceil(2));
    Tensor::cat(&[down.narrow(0, middle, rank - middle)?, down.narrow(0, 0, middle)?], 0)
}

impl Delta for Swapped {
    fn fits(&self, outputs: usize, inputs: &[usize]) -> bool {
        outputs.is_multiple_of(2) && self.delta.fits(outputs, inputs)
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
        let [second, first] = halves(rows);
        match (self.delta.factors(&second)?, self.delta.factors(&first)?) {
            (Some(second), Some(first)) => {
                let down = if self.ranks { of_swapped_ranks(&first.down)? } else { first.down };
                Ok(Some(Factors { up: Tensor::cat(&[second.up, first.up], 0)?, down }))
            }
            _ => Ok(None),
        }
    }

    fn is_whole(&self) -> bool {
        self.delta.is_whole()
    }

    fn rows(&self, base: &Base<'_>, rows: &Range<usize>) -> Result<Tensor> {
        if let Some(Factors { up, down }) = self.factors(rows)?.filter(|_| self.ranks) {
            return up.matmul(&down);
        }
        let [second, first] = halves(rows);
        Tensor::cat(&[self.delta.rows(base, &second)?, self.delta.rows(base, &first)?], 0)
    }
}
