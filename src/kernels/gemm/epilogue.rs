//! From sums to results: bias, activation, residual, and the place in the output.

#![expect(unsafe_code, reason = "tiles of one output are written by several threads")]

use std::ops::Range;

use super::super::elementwise::Function;
use super::super::isa::{per_isa, Isa};
use super::super::output::Output;
use super::super::simd::{prefetch, LINE};
use super::tile::{Exit, Way};

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

/// Where a tile lies in the product.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

/// A tile's rows that go to one picture.
struct Piece<'a> {
    tile: &'a mut [f32],
    width: usize,
    /// Its columns in the tile.
    within: Range<usize>,
    place: Place,
    epilogue: &'a Epilogue<'a>,
    out: &'a Output<'a>,
}

per_isa! {
    fn write(piece: &mut Piece) {
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

    /// The parts of `place` that go to one picture each.
    fn pieces<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = Place> + use<'a> {
        let span = self.target.span;
        let mut column = place.columns.start;
        std::iter::from_fn(move || {
            let columns = column..place.columns.end.min((column / span + 1) * span);
            column = columns.end;
            (!columns.is_empty()).then(|| Place { rows: place.rows.clone(), columns })
        })
    }

    /// How the sums of a tile of `height` by `width` leave the registers for `place`, if they can do so at once: the tile is whole, all
    /// of it belongs to one picture, and there is nothing to do but to add.
    ///
    /// # Panics
    /// When `place` lies outside what [`Epilogue::check`] was told.
    pub(super) fn exit(&self, place: &Place, (height, width): (usize, usize), out: &Output) -> Option<Exit> {
        let Place { rows, columns } = place;
        let picture = columns.start / self.target.span;
        let one_picture = picture == (columns.end - 1) / self.target.span;
        if self.function.is_some() || rows.len() < height || columns.len() < width || !one_picture {
            return None;
        }
        let start = self.target.of(rows.start, columns.start);
        let count = (height - 1) * self.target.row + width;
        let lines = |bias: &[f32], start: usize, count: usize| bias[start..start + count].as_ptr();
        let stream = out.streams() && start.is_multiple_of(LINE) && self.target.row.is_multiple_of(LINE);
        let none = Exit::NOWHERE;
        let (bias_columns, bias_rows) = match self.bias {
            Bias::None => (none.columns, none.rows),
            Bias::Columns(bias) => (lines(bias, columns.start, width), none.rows),
            Bias::Rows(bias) => (none.columns, [lines(bias, rows.start, height), none.rows[1]]),
            Bias::RowsAndPictures(bias, more) => {
                let more = lines(more, picture * bias.len() + rows.start, height);
                (none.columns, [lines(bias, rows.start, height), more])
            }
        };
        Some(Exit {
            columns: bias_columns,
            rows: bias_rows,
            residual: self.residual.map_or(none.residual, |residual| lines(residual, start, count)),
            to: out.place(start, count),
            stride: self.target.row,
            way: if stream { Way::Stream } else { Way::Far },
            ..none
        })
    }

    /// Asks for the memory that the results of `place` go to, and for the residual there.
    pub(super) fn prefetch(&self, place: &Place, out: &Output) {
        for piece in self.pieces(place) {
            let mut start = self.target.of(piece.rows.start, piece.columns.start);
            for _ in piece.rows {
                out.prefetch(start, piece.columns.len());
                if let Some(residual) = self.residual {
                    prefetch(&residual[start..][..piece.columns.len()]);
                }
                start += self.target.row;
            }
        }
    }

    /// Writes a tile of sums [.., width] to `place`. What the tile holds afterwards means nothing.
    pub(super) fn finish(&self, isa: Isa, place: &Place, width: usize, tile: &mut [f32], out: &Output) {
        for piece in self.pieces(place) {
            let first = piece.columns.start - place.columns.start;
            let within = first..first + piece.columns.len();
            write(isa, &mut Piece { tile, width, within, place: piece, epilogue: self, out });
        }
    }
}

impl Piece<'_> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "its caller is compiled for several instruction sets")]
    fn write(&mut self) {
        let Epilogue { bias, function, residual, target } = *self.epilogue;
        let Place { rows, columns } = self.place.clone();
        let mut start = target.of(rows.start, columns.start);
        for (i, row) in rows.enumerate() {
            let sums = &mut self.tile[i * self.width..][self.within.clone()];
            match bias {
                Bias::None => {}
                Bias::Columns(bias) => {
                    sums.iter_mut().zip(&bias[columns.clone()]).for_each(|(sum, bias)| *sum += bias);
                }
                Bias::Rows(bias) => {
                    let bias = bias[row];
                    sums.iter_mut().for_each(|sum| *sum += bias);
                }
                Bias::RowsAndPictures(bias, more) => {
                    let more = more[columns.start / target.span * bias.len() + row];
                    let bias = bias[row];
                    sums.iter_mut().for_each(|sum| *sum = (*sum + bias) + more);
                }
            }
            if let Some(function) = function {
                function.apply(sums);
            }
            // SAFETY: rows and pictures do not overlap (`Epilogue::check`), and each place belongs to one tile of one task.
            let out = unsafe { self.out.part(start, columns.len()) };
            match residual {
                None => out.copy_from_slice(sums),
                Some(residual) => {
                    let residual = &residual[start..][..out.len()];
                    out.iter_mut().zip(sums.iter().zip(residual)).for_each(|(out, (sum, more))| *out = sum + more);
                }
            }
            start += target.row;
        }
    }
}
