//! From scores to probabilities that are not yet divided by their sum.

#![expect(unsafe_code, reason = "vectors and unchecked memory; the public functions check their slices")]
#![expect(clippy::inline_always, reason = "the instructions are those of the caller")]

use super::super::math::exp2_vector;
use super::super::simd::{per_vector, Vector};
use super::super::Isa;

/// The highest score before there is any: low, and still a number whose differences are numbers.
const LOWEST: f32 = -1e30;
/// Highest scores that are looked for side by side, so that none waits for the one before.
const ABREAST: usize = 4;

/// What is known of each query of a panel from the blocks so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    /// The highest score.
    highest: Vec<f32>,
    /// The sum of the powers of the scores' distances to it.
    pub totals: Vec<f32>,
    /// What sums that were made with the highest score before are multiplied with.
    pub factors: Vec<f32>,
}

impl Running {
    /// For `width` queries of which nothing is known.
    pub(super) fn start(&mut self, width: usize) {
        for (values, value) in [(&mut self.highest, LOWEST), (&mut self.totals, 0.0), (&mut self.factors, 1.0)] {
            values.clear();
            values.resize(width, value);
        }
    }
}

/// Replaces the scores of a block, [keys][queries], by `2^(score - highest)`; whether any query has a higher score than before.
///
/// # Panics
/// When the scores are not whole rows, or the rows not whole vectors.
pub(super) fn soften(isa: Isa, scores: &mut [f32], running: &mut Running) -> bool {
    let Running { highest, totals, factors } = running;
    let width = highest.len();
    assert!(scores.len().is_multiple_of(width) && totals.len() == width && factors.len() == width);
    let [highest, totals, factors] = [highest, totals, factors].map(Vec::as_mut_ptr);
    // SAFETY: the slices hold whole rows and as many values of each kind as a row (just checked).
    unsafe { soften_columns(isa, scores.as_mut_ptr(), scores.len() / width, width, highest, totals, factors) }
    running.factors.iter().any(|factor| *factor != 1.0)
}

per_vector! {
    unsafe fn soften_columns(
        scores: *mut f32, keys: usize, width: usize, highest: *mut f32, totals: *mut f32, factors: *mut f32
    ) = soften_body
}

#[inline(always)]
unsafe fn soften_body<V: Vector>(
    scores: *mut f32,
    keys: usize,
    width: usize,
    highest: *mut f32,
    totals: *mut f32,
    factors: *mut f32,
) {
    assert!(width.is_multiple_of(V::LANES));
    for column in (0..width).step_by(V::LANES) {
        // SAFETY: the caller answers for `keys` rows of `width` values and one more row of each kind; a column is a vector wide.
        unsafe {
            let scores = scores.add(column);
            let before = V::load(highest.add(column));
            let mut most = [before; ABREAST];
            for key in 0..keys / ABREAST {
                for (i, most) in most.iter_mut().enumerate() {
                    *most = most.max(V::load(scores.add((key * ABREAST + i) * width)));
                }
            }
            for key in keys / ABREAST * ABREAST..keys {
                most[0] = most[0].max(V::load(scores.add(key * width)));
            }
            let most = most[0].max(most[1]).max(most[2].max(most[3]));
            let mut total = V::splat(0.0);
            for key in 0..keys {
                let place = scores.add(key * width);
                let value = exp2_vector(V::load(place).sub(most));
                total = total.add(value);
                value.store(place);
            }
            let factor = exp2_vector(before.sub(most));
            V::load(totals.add(column)).mul_add(factor, total).store(totals.add(column));
            factor.store(factors.add(column));
            most.store(highest.add(column));
        }
    }
}

/// Multiplies each row with `factors`, value by value.
///
/// # Panics
/// When they are not whole rows, or the rows not whole vectors.
pub(super) fn multiply_rows(isa: Isa, rows: &mut [f32], factors: &[f32]) {
    assert!(rows.len().is_multiple_of(factors.len()));
    // SAFETY: the slices hold whole rows and the factors of one (just checked).
    unsafe { multiply_columns(isa, rows.as_mut_ptr(), rows.len() / factors.len(), factors.as_ptr(), factors.len()) }
}

per_vector! {
    unsafe fn multiply_columns(rows: *mut f32, count: usize, factors: *const f32, width: usize) = multiply_body
}

#[inline(always)]
unsafe fn multiply_body<V: Vector>(rows: *mut f32, count: usize, factors: *const f32, width: usize) {
    assert!(width.is_multiple_of(V::LANES));
    for column in (0..width).step_by(V::LANES) {
        // SAFETY: the caller answers for `count` rows of `width` values and the factors of one.
        unsafe {
            let factor = V::load(factors.add(column));
            for row in 0..count {
                let place = rows.add(row * width + column);
                V::load(place).mul(factor).store(place);
            }
        }
    }
}
