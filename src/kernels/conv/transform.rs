//! Winograd's transforms for 4x4 outputs of a 3x3 window (Lavin and Gray 2016), vectorised.
//!
//! With six points of interpolation, 0, ±`NEAR`, ±`FAR` and infinity, four outputs of three taps take six products instead of
//! twelve, and a square of 4x4 takes 36 instead of 144. The usual points 0, ±1, ±2 lose a decimal digit in f32. Those chosen here
//! are near the ones that lose least (compare Barabasz et al. 2020): the error is half as large, and their squares are exact.
//! Weights and pixels are transformed without the divisors of the interpolation; the sums make up for both.

#![expect(unsafe_code, reason = "vectors and unchecked memory; each public function checks its slices")]
#![expect(clippy::inline_always, reason = "the instructions are those of the caller")]
#![expect(clippy::needless_range_loop, reason = "the loops over a square are unrolled")]

use super::super::simd::{per_vector, Vector, WIDEST};
use super::super::Isa;

/// Outputs in a row of a square.
pub(super) const OUTPUTS: usize = 4;
/// Pixels in a row of what a square of outputs sees.
pub(super) const INPUTS: usize = 6;
/// Products for a square, a channel and an output.
pub(super) const PRODUCTS: usize = INPUTS * INPUTS;
/// Taps of a window.
pub(super) const TAPS: usize = 9;

const NEAR: f32 = 0.625;
const FAR: f32 = 1.5;
const NEAR_2: f32 = NEAR * NEAR;
const FAR_2: f32 = FAR * FAR;
/// The divisors of the points 0, ±`NEAR` and ±`FAR`.
const AT_0: f32 = 1.0 / (NEAR_2 * FAR_2);
const AT_NEAR: f32 = 1.0 / (2.0 * NEAR_2 * (NEAR_2 - FAR_2));
const AT_FAR: f32 = 1.0 / (2.0 * FAR_2 * (FAR_2 - NEAR_2));

/// Three weights at the six points.
#[inline(always)]
unsafe fn weights<V: Vector>([g0, g1, g2]: [V; 3]) -> [V; 6] {
    // SAFETY: the caller answers for the instructions, here and in all that follow.
    unsafe {
        let (near, far) = (g2.mul_add(V::splat(NEAR_2), g0), g2.mul_add(V::splat(FAR_2), g0));
        [
            g0,
            g1.mul_add(V::splat(NEAR), near),
            g1.mul_add(V::splat(-NEAR), near),
            g1.mul_add(V::splat(FAR), far),
            g1.mul_add(V::splat(-FAR), far),
            g2,
        ]
    }
}

/// Six pixels to what the weights at the six points are multiplied with.
#[inline(always)]
unsafe fn pixels<V: Vector>([d0, d1, d2, d3, d4, d5]: [V; 6]) -> [V; 6] {
    // SAFETY: as above.
    unsafe {
        let (both, product) = (V::splat(-(NEAR_2 + FAR_2)), V::splat(NEAR_2 * FAR_2));
        let (even_near, odd_near) = (d2.mul_add(V::splat(-FAR_2), d4), d1.mul_add(V::splat(-FAR_2), d3));
        let (even_far, odd_far) = (d2.mul_add(V::splat(-NEAR_2), d4), d1.mul_add(V::splat(-NEAR_2), d3));
        [
            d0.mul_add(product, d2.mul_add(both, d4)),
            odd_near.mul_add(V::splat(NEAR), even_near),
            odd_near.mul_add(V::splat(-NEAR), even_near),
            odd_far.mul_add(V::splat(FAR), even_far),
            odd_far.mul_add(V::splat(-FAR), even_far),
            d1.mul_add(product, d3.mul_add(both, d5)),
        ]
    }
}

/// The sums of the six products to four outputs.
#[inline(always)]
unsafe fn sums<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; 6]) -> [V; 4] {
    // SAFETY: as above.
    unsafe {
        let (even_near, odd_near) = (m1.add(m2), m1.sub(m2));
        let (even_far, odd_far) = (m3.add(m4), m3.sub(m4));
        let ends = even_far.mul_add(V::splat(AT_FAR), m0.mul(V::splat(AT_0)));
        [
            even_near.mul_add(V::splat(AT_NEAR), ends),
            odd_near.mul_add(V::splat(AT_NEAR * NEAR), odd_far.mul(V::splat(AT_FAR * FAR))),
            even_near.mul_add(V::splat(AT_NEAR * NEAR_2), even_far.mul(V::splat(AT_FAR * FAR_2))),
            odd_near.mul_add(V::splat(AT_NEAR * NEAR * NEAR_2), odd_far.mul_add(V::splat(AT_FAR * FAR * FAR_2), m5)),
        ]
    }
}

/// The weights of one output, [taps, channels], to `to`, where product `p` of channel `c` goes to `p * stride + c`.
///
/// # Panics
/// When `from` does not have 9 taps, or the products do not fit.
pub(super) fn transform_weights(isa: Isa, from: &[u32], to: &mut [u32], stride: usize) {
    let channels = from.len() / TAPS;
    assert!(from.len() == TAPS * channels && channels <= stride && to.len() >= (PRODUCTS - 1) * stride + channels);
    // SAFETY: the slices hold what is read and written (just checked).
    unsafe { weights_of_output(isa, from.as_ptr().cast(), to.as_mut_ptr().cast(), channels, stride) }
}

per_vector! {
    unsafe fn weights_of_output(from: *const f32, to: *mut f32, channels: usize, stride: usize) = weights_body
}

#[inline(always)]
unsafe fn weights_body<V: Vector>(from: *const f32, to: *mut f32, channels: usize, stride: usize) {
    let whole = channels / V::LANES * V::LANES;
    // SAFETY: the caller answers for 9 lines of `channels` values and 36 of `stride`; the rest is staged.
    unsafe {
        for c in (0..whole).step_by(V::LANES) {
            weights_square::<V>(from.add(c), channels, to.add(c), stride);
        }
        if whole < channels {
            let (mut taps, mut products) = ([0f32; TAPS * WIDEST], [0f32; PRODUCTS * WIDEST]);
            for tap in 0..TAPS {
                for c in whole..channels {
                    taps[tap * WIDEST + c - whole] = *from.add(tap * channels + c);
                }
            }
            weights_square::<V>(taps.as_ptr(), WIDEST, products.as_mut_ptr(), WIDEST);
            for product in 0..PRODUCTS {
                for c in whole..channels {
                    *to.add(product * stride + c) = products[product * WIDEST + c - whole];
                }
            }
        }
    }
}

/// One vector of channels.
#[inline(always)]
unsafe fn weights_square<V: Vector>(from: *const f32, taps: usize, to: *mut f32, products: usize) {
    // SAFETY: the caller answers for a vector at each of 9 taps and 36 products.
    unsafe {
        let mut columns = [[V::splat(0.0); 3]; 6];
        for x in 0..3 {
            let column = weights([
                V::load(from.add(x * taps)),
                V::load(from.add((3 + x) * taps)),
                V::load(from.add((6 + x) * taps)),
            ]);
            for y in 0..6 {
                columns[y][x] = column[y];
            }
        }
        for (y, row) in columns.into_iter().enumerate() {
            let row = weights(row);
            for (x, value) in row.into_iter().enumerate() {
                value.store(to.add((6 * y + x) * products));
            }
        }
    }
}

/// Lines of pixels that [`transform_pixels`] works on.
#[derive(Default)]
pub(super) struct PixelLines {
    /// Six lines.
    lines: Vec<u32>,
    length: usize,
    /// One line sorted by the place of its pixels modulo 4.
    phases: Vec<u32>,
    /// For who writes the lines.
    scratch: Vec<f32>,
}

impl PixelLines {
    /// For up to `squares` squares side by side.
    pub(super) fn make_room(&mut self, squares: usize) {
        let squares = squares.next_multiple_of(WIDEST) + WIDEST;
        self.length = OUTPUTS * squares;
        self.lines.resize(INPUTS * self.length, 0);
        self.phases.resize(self.length, 0);
    }

    /// Line `y`, for the pixels of `squares` squares, and the scratch.
    pub(super) fn line(&mut self, y: usize, squares: usize) -> (&mut [u32], &mut Vec<f32>) {
        (&mut self.lines[y * self.length..][..OUTPUTS * squares + 2], &mut self.scratch)
    }
}

/// The pixels of `squares` squares side by side in `lines` to `to`, where product `p` goes to `p * stride`; with them the places up to
/// the next multiple of a vector are written.
///
/// # Panics
/// When they do not fit.
pub(super) fn transform_pixels(isa: Isa, lines: &mut PixelLines, squares: usize, to: &mut [u32], stride: usize) {
    let padded = squares.next_multiple_of(WIDEST);
    assert!(OUTPUTS * (padded + WIDEST) <= lines.length);
    assert!(to.len() >= (PRODUCTS - 1) * stride + padded);
    let (from, phases) = (lines.lines.as_mut_ptr().cast(), lines.phases.as_mut_ptr().cast());
    // SAFETY: all vectors that begin before the pixels' end lie in the lines, which have a widest vector more than squares; what
    // is written lies in `to` (just checked).
    unsafe { pixels_of_squares(isa, from, lines.length, phases, squares, to.as_mut_ptr().cast(), stride) }
}

per_vector! {
    unsafe fn pixels_of_squares(
        lines: *mut f32, length: usize, phases: *mut f32, squares: usize, to: *mut f32, stride: usize
    ) = pixels_body
}

#[inline(always)]
unsafe fn pixels_body<V: Vector>(
    lines: *mut f32,
    length: usize,
    phases: *mut f32,
    squares: usize,
    to: *mut f32,
    stride: usize,
) {
    let phase = length / OUTPUTS;
    // SAFETY: the caller answers for six lines of `length`, as many phases, and the products.
    unsafe {
        for x in (0..OUTPUTS * squares + 2).step_by(V::LANES) {
            let mut column = [V::splat(0.0); 6];
            for y in 0..6 {
                column[y] = V::load(lines.add(y * length + x));
            }
            let column = pixels(column);
            for y in 0..6 {
                column[y].store(lines.add(y * length + x));
            }
        }
        for y in 0..6 {
            let line = lines.add(y * length);
            for t in (0..squares).step_by(V::LANES) {
                let part = line.add(OUTPUTS * t);
                let [even, odd] = V::split(V::load(part), V::load(part.add(V::LANES)));
                let [more_even, more_odd] = V::split(V::load(part.add(2 * V::LANES)), V::load(part.add(3 * V::LANES)));
                let ([p0, p2], [p1, p3]) = (V::split(even, more_even), V::split(odd, more_odd));
                p0.store(phases.add(t));
                p1.store(phases.add(phase + t));
                p2.store(phases.add(2 * phase + t));
                p3.store(phases.add(3 * phase + t));
            }
            *phases.add(squares) = *line.add(OUTPUTS * squares);
            *phases.add(phase + squares) = *line.add(OUTPUTS * squares + 1);
            for t in (0..squares).step_by(V::LANES) {
                let mut row = [V::splat(0.0); 6];
                for x in 0..6 {
                    row[x] = V::load(phases.add(x % OUTPUTS * phase + x / OUTPUTS + t));
                }
                let row = pixels(row);
                for x in 0..6 {
                    row[x].store(to.add((6 * y + x) * stride + t));
                }
            }
        }
    }
}

/// The sums of one output for `width` squares, where those of product `p` lie at `p * stride`, to four lines of `OUTPUTS * width`
/// outputs.
///
/// # Panics
/// When the slices are too short or `width` is not whole vectors.
pub(super) fn transform_sums(isa: Isa, from: &[f32], stride: usize, width: usize, lines: &mut [f32], lanes: usize) {
    assert!(from.len() >= (PRODUCTS - 1) * stride + width && width.is_multiple_of(lanes));
    assert!(lines.len() >= OUTPUTS * OUTPUTS * width);
    // SAFETY: the slices hold what is read and written (just checked).
    unsafe { sums_of_squares(isa, from.as_ptr(), stride, width, lines.as_mut_ptr()) }
}

per_vector! {
    unsafe fn sums_of_squares(from: *const f32, stride: usize, width: usize, lines: *mut f32) = sums_body
}

#[inline(always)]
unsafe fn sums_body<V: Vector>(from: *const f32, stride: usize, width: usize, lines: *mut f32) {
    // SAFETY: the caller answers for 36 lines of `width` sums and four of 4 `width` outputs.
    unsafe {
        for t in (0..width).step_by(V::LANES) {
            let mut columns = [[V::splat(0.0); 6]; 4];
            for x in 0..6 {
                let mut column = [V::splat(0.0); 6];
                for y in 0..6 {
                    column[y] = V::load(from.add((6 * y + x) * stride + t));
                }
                let column = sums(column);
                for y in 0..4 {
                    columns[y][x] = column[y];
                }
            }
            for y in 0..4 {
                let [p0, p1, p2, p3] = sums(columns[y]);
                let ([even, more_even], [odd, more_odd]) = (V::zip(p0, p2), V::zip(p1, p3));
                let ([a, b], [c, d]) = (V::zip(even, odd), V::zip(more_even, more_odd));
                let to = lines.add(OUTPUTS * (y * width + t));
                a.store(to);
                b.store(to.add(V::LANES));
                c.store(to.add(2 * V::LANES));
                d.store(to.add(3 * V::LANES));
            }
        }
    }
}
