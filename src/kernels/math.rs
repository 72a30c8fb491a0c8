//! Functions of one value in forms that compilers turn into vectors: no branches, no calls.

use std::f32::consts::LOG2_E;

use super::simd::Vector;

/// What the exponential function is made of. Cody and Waite: x = n ln 2 + r with ln 2 in two parts, and a polynomial of degree 6
/// for e^r (Cephes' coefficients).
mod exponential {
    /// Added to a number it leaves the nearest whole number in the sum's last bits, with nothing to convert.
    pub(super) const ROUND: f32 = 12_582_912.0;
    pub(super) const LN_2_HIGH: f32 = 0.693_359_4;
    pub(super) const LN_2_LOW: f32 = -2.121_944_4e-4;
    pub(super) const LEAST: f32 = -87.3;
    pub(super) const MOST: f32 = 88.0;
    pub(super) const POLYNOMIAL: [f32; 6] =
        [1.987_569_2e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1];
}

/// `e^x` within 2 units in the last place; below -87.3 the smallest normal number or less, above 88.7 infinity is not reached but
/// the largest power of two.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    use exponential::{LEAST, LN_2_HIGH, LN_2_LOW, MOST, POLYNOMIAL, ROUND};
    let x = x.clamp(LEAST, MOST);
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = POLYNOMIAL.into_iter().skip(1).fold(POLYNOMIAL[0], |p, c| p * r + c);
    let value = p * r * r + r + 1.0;
    value * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// `2^x` of numbers that are 0 or less, within a unit in the last place, of 0 exact; below -125 it is 2^-125 or less.
///
/// # Safety
/// The processor must have the vector's instructions.
#[inline(always)]
#[expect(unsafe_code, reason = "vector instructions, for which the caller answers")]
pub(super) unsafe fn exp2_vector<V: Vector>(x: V) -> V {
    /// The polynomial of degree 6 that differs least from 2^x, relative to it, for x from 0 to 1 (2e-9), of those that are 1 at 0.
    const POLYNOMIAL: [f32; 7] =
        [2.161_378_5e-4, 1.246_765_9e-3, 9.675_462e-3, 5.548_528_4e-2, 2.402_293e-1, 6.931_470_3e-1, 1.0];
    // SAFETY: the caller answers for the instructions.
    unsafe {
        let r = x.fraction();
        let mut p = V::splat(POLYNOMIAL[0]);
        for c in &POLYNOMIAL[1..] {
            p = p.mul_add(r, V::splat(*c));
        }
        p.raise(x)
    }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The error function within 4e-7: a rational function of degree 13 over 8 on [-4, 4], beyond which it is 1 in f32.
#[inline(always)]
#[expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]
pub(super) fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let s = x * x;
    let p = -2.726_142_3e-10_f32;
    let p = p * s + 2.770_681_4e-8;
    let p = p * s - 2.101_024e-6;
    let p = p * s - 5.692_506_4e-5;
    let p = p * s - 7.349_906_3e-4;
    let p = p * s - 2.954_599_8e-3;
    let p = p * s - 1.609_603_3e-2;
    let q = -1.456_607_2e-5_f32;
    let q = q * s - 2.133_740_6e-4;
    let q = q * s - 1.682_827e-3;
    let q = q * s - 7.373_329_2e-3;
    let q = q * s - 1.426_473_9e-2;
    x * p / q
}

/// `tanh x` through the exponential function; for |x| near 0 within 1e-7.
#[inline(always)]
#[expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]
pub(super) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[cfg(test)]
#[expect(unsafe_code, reason = "vectors, of which the tests give whole ones")]
mod tests {
    use super::super::simd::per_vector;
    use super::super::Isa;
    use super::*;

    /// The error function by its series, in f64.
    fn exact_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn functions_equal_double_precision() {
        let mut worst = [0f64; 4];
        for i in -40_000..=40_000 {
            let x = i as f32 * 1e-3;
            let (y, wide) = (f64::from(x), |v: f32| f64::from(v));
            worst[0] = worst[0].max((wide(exp(x)) / y.exp() - 1.0).abs());
            worst[1] = worst[1].max((wide(sigmoid(x)) - 1.0 / (1.0 + (-y).exp())).abs());
            worst[2] = worst[2].max((wide(tanh(x)) - y.tanh()).abs());
            if y.abs() < 5.0 {
                worst[3] = worst[3].max((wide(erf(x)) - exact_erf(y)).abs());
            }
        }
        // Measured: 1.1e-7, 1.1e-7, 1.4e-7, 1.8e-7.
        assert!(worst.iter().zip([2.4e-7, 2e-7, 2.5e-7, 4e-7]).all(|(w, bound)| *w < bound), "{worst:?}");
    }

    per_vector! {
        unsafe fn powers(values: *mut f32, count: usize) = powers_body
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the instructions are those of the caller")]
    unsafe fn powers_body<V: Vector>(values: *mut f32, count: usize) {
        for start in (0..count).step_by(V::LANES) {
            // SAFETY: the test gives whole vectors of the widest kind.
            unsafe { exp2_vector(V::load(values.add(start))).store(values.add(start)) }
        }
    }

    #[test]
    fn vectors_of_powers_equal_double_precision() {
        for isa in Isa::all() {
            let x: Vec<f32> = (0..12_496).map(|i| i as f32 * -1e-2).chain((0..16).map(|i| i as f32 * -7.0)).collect();
            let mut y = x.clone();
            // SAFETY: whole vectors of 16 values.
            unsafe { powers(isa, y.as_mut_ptr(), y.len()) };
            for (x, y) in x.iter().zip(y) {
                // Measured: 1.1e-7.
                assert!((f64::from(y) / f64::from(*x).exp2() - 1.0).abs() < 1.5e-7, "{isa:?}: {x}");
            }
            let mut ends = [0.0; 16];
            ends[..4].copy_from_slice(&[f32::NAN, 0.0, -1e30, f32::NEG_INFINITY]);
            // SAFETY: as above.
            unsafe { powers(isa, ends.as_mut_ptr(), ends.len()) };
            assert!(ends[0].is_nan() && ends[1] == 1.0, "{isa:?}: {ends:?}");
            assert!(ends[2..4].iter().all(|least| (0.0..=2f32.powi(-125)).contains(least)), "{isa:?}: {ends:?}");
        }
    }

    #[test]
    fn the_ends_are_finite() {
        assert!(exp(f32::NEG_INFINITY) < 2e-38 && exp(1e30).is_finite() && exp(f32::NAN).is_nan());
        assert!((erf(9.0) - 1.0).abs() < 2e-7);
        assert_eq!((sigmoid(200.0), tanh(-200.0)), (1.0, -1.0));
    }
}
