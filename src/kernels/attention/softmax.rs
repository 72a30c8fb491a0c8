//! From a row of scores to probabilities that are not yet divided by their sum.

#![expect(unsafe_code, reason = "vectors and unchecked memory; the public function checks its slices")]
#![expect(clippy::inline_always, reason = "the instructions are those of the caller")]

use super::super::math::exp_vector;
use super::super::simd::{per_vector, Vector, WIDEST};
use super::super::Isa;

/// The scores of a tile's rows for a block of keys: panel after panel of [rows][width], the last of which may be narrower.
#[derive(Clone, Copy)]
pub(super) struct Tiles<'a> {
    pub scores: &'a [f32],
    /// Rows of each panel.
    pub rows: usize,
    /// Width of a whole panel.
    pub width: usize,
    /// Keys, with those that fill the last vector.
    pub keys: usize,
}

/// What is known of a query from the blocks so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Running {
    /// The highest score.
    pub highest: f32,
    /// The sum of the exponentials of the scores' distances to it.
    pub total: f32,
}

/// What the loop is given.
struct Row {
    scores: *const f32,
    rows: usize,
    row: usize,
    width: usize,
    keys: usize,
    out: *mut f32,
}

/// The exponentials of a row's distances to the highest score so far, to `out` as bits, and what is known with them. The sum is only
/// that of the exponentials of this row.
///
/// # Panics
/// When the row does not lie in the tiles or `out` has not room for all keys.
pub(super) fn exponentials(isa: Isa, tiles: &Tiles, row: usize, highest: f32, out: &mut [u32]) -> Running {
    let Tiles { scores, rows, width, keys } = *tiles;
    assert!(row < rows && scores.len() >= rows * keys && out.len() >= keys);
    let row = Row { scores: scores.as_ptr(), rows, row, width, keys, out: out.as_mut_ptr().cast() };
    let mut running = Running { highest, total: 0.0 };
    // SAFETY: the slices hold `rows * keys` scores and `keys` results (just checked); `keys` are whole vectors as the tiles are.
    unsafe { row_of_tiles(isa, &row, &mut running) };
    running
}

per_vector! {
    unsafe fn row_of_tiles(row: &Row, running: &mut Running) = body
}

#[inline(always)]
unsafe fn body<V: Vector>(row: &Row, running: &mut Running) {
    let Row { scores, rows, row, width, keys, out } = *row;
    // SAFETY: the caller answers for the memory.
    unsafe {
        let mut highest = V::splat(running.highest);
        for start in (0..keys).step_by(width) {
            let width = width.min(keys - start);
            let line = scores.add(start * rows + row * width);
            for i in (0..width).step_by(V::LANES) {
                highest = highest.max(V::load(line.add(i)));
            }
        }
        running.highest = across(highest, f32::max);
        let (maximum, mut total) = (V::splat(running.highest), V::splat(0.0));
        for start in (0..keys).step_by(width) {
            let width = width.min(keys - start);
            let line = scores.add(start * rows + row * width);
            for i in (0..width).step_by(V::LANES) {
                let value = exp_vector(V::load(line.add(i)).sub(maximum));
                total = total.add(value);
                value.store(out.add(start + i));
            }
        }
        running.total = across(total, |a, b| a + b);
    }
}

/// All values of a vector in one, halving their number each time.
#[inline(always)]
unsafe fn across<V: Vector>(vector: V, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut values = [0f32; WIDEST];
    // SAFETY: no vector is wider.
    unsafe { vector.store(values.as_mut_ptr()) };
    let mut count = V::LANES;
    while count > 1 {
        count /= 2;
        for i in 0..count {
            values[i] = f(values[i], values[i + count]);
        }
    }
    values[0]
}
