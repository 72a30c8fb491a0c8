//! From sums to results: bias, activation, residual, and the place in the output.

#![expect(unsafe_code, reason = "tiles of one output are written by several threads")]

use std::ops::Range;

use super::super::elementwise::Function;
use super::super::isa::{per_isa, Isa};
use super::super::output::Output;

/// What is added to the sums.
#[derive(Debug, Clone, Copy)]
pub enum Bias<'a> {
    /// Nothing.
    None,
    /// One value a column.
    Columns(&'a [f32]),
    /// One value a row.
    Rows(&'a [f32]),
    /// One value a row and another for each picture and row, [pictures, rows].
    RowsAndPictures(&'a [f32], &'a [f32]),
}

/// Where results go: column `c` of row `r` to `offset + c / span * picture + r * row + c % span`.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Columns of one picture.
    pub span: usize,
    /// Distance from picture to picture.
    pub picture: usize,
    /// Distance from row to row.
    pub row: usize,
    /// Where the first value goes.
    pub offset: usize,
}

/// What happens to the sums: `function(sum + bias) + residual`.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a> {
    /// Added first.
    pub bias: Bias<'a>,
    /// Then applied.
    pub function: Option<Function>,
    /// Then added; it lies as the output does.
    pub residual: Option<&'a [f32]>,
    /// Where results go.
    pub target: Target,
}

impl Target {
    /// A matrix of `columns` columns.
    #[must_use]
    pub fn matrix(columns: usize) -> Self {
        Target { span: columns.max(1), picture: 0, row: columns, offset: 0 }
    }

    fn of(&self, row: usize, column: usize) -> usize {
        self.offset + column / self.span * self.picture + row * self.row + column % self.span
    }
}

/// A tile's rows that go to one picture.
struct Piece<'a> {
    rows: Range<usize>,
    tile: &'a [f32],
    width: usize,
    /// Columns of the tile.
    columns: Range<usize>,
    /// The first of these columns in the whole product.
    column: usize,
    epilogue: &'a Epilogue<'a>,
    out: &'a Output<'a>,
}

per_isa! {
    fn write(piece: &Piece) {
        piece.write();
    }
}

impl Epilogue<'_> {
    /// # Panics
    /// When an output of `rows` by `columns` does not fit `out` values, the bias or the residual.
    pub(super) fn check(&self, rows: usize, columns: usize, out: usize) {
        let pictures = columns.div_ceil(self.target.span);
        assert!(self.target.of(rows - 1, columns - 1) < out && self.residual.is_none_or(|r| r.len() == out));
        assert!(self.target.row >= self.target.span, "rows of the output would overlap");
        assert!(pictures == 1 || self.target.picture >= rows * self.target.row, "pictures would overlap");
        let (have, want) = match self.bias {
            Bias::None => (0, 0),
            Bias::Columns(bias) => (bias.len(), columns),
            Bias::Rows(bias) => (bias.len(), rows),
            Bias::RowsAndPictures(bias, more) => (bias.len() + more.len(), rows + rows * pictures),
        };
        assert_eq!(have, want, "values of the bias");
    }

    /// Writes a tile of sums [.., width], of which `rows` and `columns` are no padding.
    pub(super) fn finish(
        &self,
        isa: Isa,
        rows: Range<usize>,
        columns: Range<usize>,
        width: usize,
        tile: &[f32],
        out: &Output,
    ) {
        let mut column = columns.start;
        while column < columns.end {
            let end = columns.end.min((column / self.target.span + 1) * self.target.span);
            let within = column - columns.start..end - columns.start;
            write(isa, &Piece { rows: rows.clone(), tile, width, columns: within, column, epilogue: self, out });
            column = end;
        }
    }
}

impl Piece<'_> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "its caller is compiled for several instruction sets")]
    fn write(&self) {
        let Epilogue { bias, function, residual, target } = *self.epilogue;
        let count = self.columns.len();
        for (i, row) in self.rows.clone().enumerate() {
            let sums = &self.tile[i * self.width..][self.columns.clone()];
            let start = target.of(row, self.column);
            // SAFETY: rows and pictures do not overlap (`Epilogue::check`), and each place belongs to one tile of one task.
            let out = unsafe { self.out.part(start, count) };
            match bias {
                Bias::None => out.copy_from_slice(sums),
                Bias::Columns(bias) => {
                    let bias = &bias[self.column..][..count];
                    out.iter_mut().zip(sums.iter().zip(bias)).for_each(|(out, (sum, bias))| *out = sum + bias);
                }
                Bias::Rows(bias) => {
                    let bias = bias[row];
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum + bias);
                }
                Bias::RowsAndPictures(bias, more) => {
                    let more = more[self.column / target.span * bias.len() + row];
                    let bias = bias[row];
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = (sum + bias) + more);
                }
            }
            if let Some(function) = function {
                function.apply(out);
            }
            if let Some(residual) = residual {
                let residual = &residual[start..][..count];
                out.iter_mut().zip(residual).for_each(|(out, residual)| *out += residual);
            }
        }
    }
}
