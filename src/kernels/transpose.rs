//! Transposition of matrices: between channels first and channels last.

use rayon::prelude::*;

use super::isa::{per_isa, Isa};

/// Side of a square that is turned in registers.
const SIDE: usize = 16;

/// `x` [matrices, rows, columns] to `out` [matrices, columns, rows].
///
/// # Panics
/// When the slices have other sizes.
pub fn transpose(isa: Isa, x: &[f32], rows: usize, columns: usize, out: &mut [f32]) {
    strips(isa, x, rows, columns, out, |_, _| {});
}

/// The same plus `more` [matrices, columns, rows].
///
/// # Panics
/// When the slices have other sizes.
pub fn transpose_add(isa: Isa, x: &[f32], rows: usize, columns: usize, more: &[f32], out: &mut [f32]) {
    assert_eq!(more.len(), out.len());
    strips(isa, x, rows, columns, out, |start, strip| add_to(isa, &more[start..][..strip.len()], strip));
}

/// Transposes strip by strip; `then` is given where each begins in `out`, and the strip while a cache holds it.
fn strips(isa: Isa, x: &[f32], rows: usize, columns: usize, out: &mut [f32], then: impl Fn(usize, &mut [f32]) + Sync) {
    let size = rows * columns;
    assert!(x.len() == out.len() && (size == 0 && x.is_empty() || size > 0 && x.len().is_multiple_of(size)));
    if size == 0 {
        return;
    }
    out.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate().for_each(|(matrix, (out, x))| {
        out.par_chunks_mut(SIDE * rows).enumerate().for_each(|(strip, out)| {
            turn_floats(isa, x, columns, strip * SIDE, rows, out);
            then(matrix * size + strip * SIDE * rows, out);
        });
    });
}

per_isa! {
    fn add_to(more: &[f32], to: &mut [f32]) {
        to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
    }
}

per_isa! {
    pub(super) fn turn_halves(lines: &[u16], len: usize, first: usize, height: usize, to: &mut [u16]) {
        turn(lines, len, first, height, to);
    }
}

per_isa! {
    pub(super) fn turn_floats(lines: &[f32], len: usize, first: usize, height: usize, to: &mut [f32]) {
        turn(lines, len, first, height, to);
    }
}

/// `lines` of `len` values each, of which those from `first` on become `to` [values][height]: squares in registers, the rest value by
/// value. Places of lines beyond the last stay as they are.
#[inline(always)]
#[expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]
fn turn<T: Copy + Default>(lines: &[T], len: usize, first: usize, height: usize, to: &mut [T]) {
    let (count, units) = (lines.len() / len, to.len() / height);
    for line in (0..count).step_by(SIDE) {
        let some = &lines[line * len..(line + SIDE).min(count) * len];
        for unit in (0..units).step_by(SIDE) {
            let to = &mut to[unit * height..(unit + SIDE).min(units) * height];
            let from = first + unit;
            if some.len() == SIDE * len && to.len() == SIDE * height {
                let mut square = [[T::default(); SIDE]; SIDE];
                for (row, line) in square.iter_mut().zip(some.chunks_exact(len)) {
                    row.copy_from_slice(&line[from..from + SIDE]);
                }
                let turned = zipped(zipped(zipped(zipped(square))));
                for (row, to) in turned.iter().zip(to.chunks_exact_mut(height)) {
                    to[line..line + SIDE].copy_from_slice(row);
                }
                continue;
            }
            for (i, to) in to.chunks_exact_mut(height).enumerate() {
                to[line..].iter_mut().zip(some.chunks_exact(len)).for_each(|(to, line)| *to = line[from + i]);
            }
        }
    }
}

/// Each row of the first half with the one of the second half between its values, as two rows. Four times, and the square is turned.
#[inline(always)]
#[expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]
fn zipped<T: Copy + Default>(rows: [[T; SIDE]; SIDE]) -> [[T; SIDE]; SIDE] {
    let mut result = [[T::default(); SIDE]; SIDE];
    for i in 0..SIDE / 2 {
        for j in 0..SIDE / 2 {
            result[2 * i][2 * j] = rows[i][j];
            result[2 * i][2 * j + 1] = rows[i + SIDE / 2][j];
            result[2 * i + 1][2 * j] = rows[i][j + SIDE / 2];
            result[2 * i + 1][2 * j + 1] = rows[i + SIDE / 2][j + SIDE / 2];
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        for (matrices, rows, columns) in [(1, 1, 1), (2, 1, 40), (3, 40, 1), (2, 33, 17), (1, 16, 32)] {
            let x: Vec<f32> = (0..matrices * rows * columns).map(|i| i as f32).collect();
            for isa in Isa::all() {
                let mut out = vec![f32::NAN; x.len()];
                transpose(isa, &x, rows, columns, &mut out);
                for (i, value) in out.iter().enumerate() {
                    let (matrix, column, row) = (i / (rows * columns), i / rows % columns, i % rows);
                    assert_eq!(*value, x[(matrix * rows + row) * columns + column]);
                }
                let (once, more) = (out.clone(), vec![0.5; x.len()]);
                transpose_add(isa, &x, rows, columns, &more, &mut out);
                assert!(out.iter().zip(&once).all(|(sum, value)| *sum == value + 0.5));
            }
        }
    }
}
