//! Filters along rows and columns of a picture: each output is a weighted sum of inputs of its line. Resizing and blurring are both.

use rayon::prelude::*;

/// For each place of a line: the places that it is the sum of, and their weights.
pub type Taps = Vec<Vec<(u32, f32)>>;

/// Filters bytes along the rows with `across`, then along the columns with `down`. `x` is [rows, columns, channels]; the result is
/// [down, across, channels].
///
/// # Panics
/// When the slice has another size, or a tap is outside of it.
#[must_use]
pub fn separable_bytes(x: &[u8], columns: usize, channels: usize, across: &Taps, down: &Taps) -> Vec<f32> {
    separable(x, columns, channels, across, down)
}

/// As [`separable_bytes`] for floats.
///
/// # Panics
/// As [`separable_bytes`].
#[must_use]
pub fn separable_floats(x: &[f32], columns: usize, channels: usize, across: &Taps, down: &Taps) -> Vec<f32> {
    separable(x, columns, channels, across, down)
}

fn separable<T: Copy + Into<f32> + Sync>(
    x: &[T],
    columns: usize,
    channels: usize,
    across: &Taps,
    down: &Taps,
) -> Vec<f32> {
    let (line, wide) = (columns * channels, across.len() * channels);
    if line == 0 || wide == 0 {
        return Vec::new();
    }
    let mut rows = vec![0f32; x.len() / line * wide];
    rows.par_chunks_exact_mut(wide).zip(x.par_chunks_exact(line)).for_each(|(out, row)| {
        for (out, taps) in out.chunks_exact_mut(channels).zip(across) {
            for (source, weight) in taps {
                let values = &row[*source as usize * channels..][..channels];
                out.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * (*value).into());
            }
        }
    });
    let mut out = vec![0f32; down.len() * wide];
    out.par_chunks_exact_mut(wide).zip(down).for_each_init(
        || vec![0f64; wide],
        |sums, (out, taps)| {
            // In f64, where sums of bytes by weights of few bits are exact.
            sums.fill(0.0);
            for (source, weight) in taps {
                let values = &rows[*source as usize * wide..][..wide];
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(*weight) * f64::from(*value));
            }
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum as f32);
        },
    );
    out
}

/// Filters along the columns, then along the rows, with weights that are the same on both sides: the first is that of the place
/// itself. Beyond the border the line is mirrored, the outermost value twice (SciPy's `reflect`). Values at one distance are added
/// first, so that what is symmetric stays so to the last bit.
///
/// # Panics
/// When there is no weight.
#[must_use]
pub fn symmetric(x: &[f64], columns: usize, weights: &[f64]) -> Vec<f64> {
    let rows = x.len() / columns.max(1);
    let down = |at: usize| along(at / columns, rows, weights, |y| x[y * columns + at % columns]);
    let between: Vec<f64> = (0..x.len()).into_par_iter().map(down).collect();
    let across = |at: usize| along(at % columns, columns, weights, |column| between[at / columns * columns + column]);
    (0..x.len()).into_par_iter().map(across).collect()
}

fn along(at: usize, length: usize, weights: &[f64], value: impl Fn(usize) -> f64) -> f64 {
    let mirrored = |i: isize| {
        let i = i.rem_euclid(2 * length as isize) as usize;
        i.min(2 * length - 1 - i)
    };
    let mut sum = value(at) * weights[0];
    for (distance, weight) in weights.iter().enumerate().skip(1).rev() {
        let inside = at >= distance && at + distance < length;
        let (before, after) = if inside {
            (at - distance, at + distance)
        } else {
            (mirrored(at as isize - distance as isize), mirrored((at + distance) as isize))
        };
        sum += (value(before) + value(after)) * weight;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_summed() {
        // Two rows of three pixels of two channels: columns are swapped, rows are averaged.
        let x = [1u8, 10, 2, 20, 3, 30, 5, 50, 6, 60, 7, 70];
        let across: Taps = vec![vec![(2, 1.0)], vec![(0, 0.5), (1, 0.5)]];
        let down: Taps = vec![vec![(0, 0.5), (1, 0.5)]];
        let expected = [5.0, 50.0, 3.5, 35.0];
        assert_eq!(separable_bytes(&x, 3, 2, &across, &down), expected);
        assert_eq!(separable_floats(&x.map(f32::from), 3, 2, &across, &down), expected);
        assert!(separable_bytes(&[], 0, 2, &across, &down).is_empty());
    }

    #[test]
    fn mirrors_repeat_the_border() {
        assert_eq!(symmetric(&[9.0, 0.0, 0.0], 3, &[1.0, 0.5]), [27.0, 9.0, 0.0]);
        assert_eq!(symmetric(&[9.0, 0.0, 0.0], 1, &[1.0, 0.5]), [27.0, 9.0, 0.0]);
    }
}
