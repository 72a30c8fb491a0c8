//! 4 values in an array.

use super::{floor_in_bits, fraction, Vector};

/// What every processor has; the compiler makes of it what it can.
impl Vector for [f32; 4] {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller answers for 4 values; an array is as aligned as its values.
        unsafe { from.cast::<[f32; 4]>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { to.cast::<[f32; 4]>().write(self) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] - other[i])
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] * other[i])
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        std::array::from_fn(|i| self[i] * factor[i] + sum[i])
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        std::array::from_fn(|i| if self[i] > other[i] { self[i] } else { other[i] })
    }

    #[inline(always)]
    unsafe fn fraction(self) -> Self {
        // SAFETY: every processor can add.
        unsafe { fraction(self) }
    }

    #[inline(always)]
    unsafe fn raise(self, exponent: Self) -> Self {
        // SAFETY: as above.
        let whole = unsafe { floor_in_bits(exponent) };
        std::array::from_fn(|i| f32::from_bits(self[i].to_bits().wrapping_add(whole[i].to_bits() << 23)))
    }

    #[inline(always)]
    unsafe fn split(a: Self, b: Self) -> [Self; 2] {
        [[a[0], a[2], b[0], b[2]], [a[1], a[3], b[1], b[3]]]
    }

    #[inline(always)]
    unsafe fn zip(even: Self, odd: Self) -> [Self; 2] {
        [[even[0], odd[0], even[1], odd[1]], [even[2], odd[2], even[3], odd[3]]]
    }
}
