//! Transposition of matrices: between channels first and channels last.

use rayon::prelude::*;

/// Side of a square that is turned at a time.
const SIDE: usize = 16;

/// `x` [matrices, rows, columns] to `out` [matrices, columns, rows].
///
/// # Panics
/// When the slices have other sizes.
pub fn transpose(x: &[f32], rows: usize, columns: usize, out: &mut [f32]) {
    let size = rows * columns;
    assert!(x.len() == out.len() && (size == 0 && x.is_empty() || size > 0 && x.len().is_multiple_of(size)));
    if size == 0 {
        return;
    }
    out.par_chunks_mut(size).zip(x.par_chunks(size)).for_each(|(out, x)| {
        out.par_chunks_mut(SIDE * rows).enumerate().for_each(|(strip, out)| turn(x, columns, strip * SIDE, rows, out));
    });
}

/// Columns `first..` of `x` to the rows of `out`, as many as it has.
fn turn(x: &[f32], columns: usize, first: usize, rows: usize, out: &mut [f32]) {
    for start in (0..rows).step_by(SIDE) {
        let end = (start + SIDE).min(rows);
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            for (row, out) in (start..end).zip(&mut out[start..end]) {
                *out = x[row * columns + first + column];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        for (matrices, rows, columns) in [(1, 1, 1), (2, 1, 40), (3, 40, 1), (2, 33, 17), (1, 16, 32)] {
            let x: Vec<f32> = (0..matrices * rows * columns).map(|i| i as f32).collect();
            let mut out = vec![0.0; x.len()];
            transpose(&x, rows, columns, &mut out);
            for (i, value) in out.iter().enumerate() {
                let (matrix, column, row) = (i / (rows * columns), i / rows % columns, i % rows);
                assert_eq!(*value, x[(matrix * rows + row) * columns + column]);
            }
        }
    }
}
