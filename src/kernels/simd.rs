//! Vectors of f32, one type an instruction set, for loops that are written once and compiled for each.
//!
//! A loop over vectors is a generic function that is always inlined; [`per_vector!`] makes the function that calls it with the
//! vectors of an [`Isa`](super::Isa), compiled for its instructions.

#![expect(unsafe_code, reason = "vector instructions, for processors that were found to have them")]
#![expect(clippy::inline_always, reason = "the instructions are those of the caller")]

/// A vector of f32.
///
/// # Safety
/// All methods need a processor that has the vector's instructions; pointers must lead to [`Vector::LANES`] values.
#[allow(clippy::missing_safety_doc, reason = "said above for all")]
pub(super) trait Vector: Copy {
    /// Values in a vector.
    const LANES: usize;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Asks for a place in memory that will be used soon, if the processor can be asked.
    unsafe fn prefetch(place: *const f32) {
        let _ = place;
    }
    unsafe fn splat(x: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + sum`, rounded once where the processor can.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// The larger of each two numbers.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller of each two numbers.
    unsafe fn min(self, other: Self) -> Self;
    /// `self * 2^n`, where n stands in the last bits of `whole` as [`super::math`]'s exponential function puts it there; |n| < 127.
    unsafe fn scale(self, whole: Self) -> Self;
    /// Of the values of `a` and then `b` those at even and those at odd places.
    unsafe fn split(a: Self, b: Self) -> [Self; 2];
    /// The reverse of [`Vector::split`].
    unsafe fn zip(even: Self, odd: Self) -> [Self; 2];
}

/// Bits as the numbers that they are.
pub(super) fn floats(bits: &[u32]) -> &[f32] {
    // SAFETY: both are 4 bytes in size and alignment, and all bits are an f32.
    unsafe { std::slice::from_raw_parts(bits.as_ptr().cast(), bits.len()) }
}

/// As [`floats`], to be written to.
pub(super) fn floats_mut(bits: &mut [u32]) -> &mut [f32] {
    // SAFETY: as there.
    unsafe { std::slice::from_raw_parts_mut(bits.as_mut_ptr().cast(), bits.len()) }
}

/// Numbers as their bits.
pub(super) fn bits(floats: &[f32]) -> &[u32] {
    // SAFETY: as there.
    unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), floats.len()) }
}

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
    unsafe fn min(self, other: Self) -> Self {
        std::array::from_fn(|i| if self[i] < other[i] { self[i] } else { other[i] })
    }

    #[inline(always)]
    unsafe fn scale(self, whole: Self) -> Self {
        std::array::from_fn(|i| self[i] * f32::from_bits((whole[i].to_bits() << 23).wrapping_add(127 << 23)))
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

/// Implements [`Vector`] with intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! vector {
    ($vector:ty, $lanes:literal, $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident,
     $max:ident, $min:ident, |$value:ident, $whole:ident| $scale:expr,
     |$x:ident, $factor:ident, $sum:ident| $mul_add:expr,
     |$a:ident, $b:ident| $split:expr, |$even:ident, $odd:ident| $zip:expr $(, |$place:ident| $prefetch:expr)?) => {
        impl super::Vector for $vector {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller answers for the instructions and the memory.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above.
                unsafe { $store(to, self) }
            }

            $(
                #[inline(always)]
                unsafe fn prefetch($place: *const f32) {
                    // SAFETY: as above; what is asked for does not have to be there.
                    unsafe { $prefetch }
                }
            )?

            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                // SAFETY: the caller answers for the instructions.
                unsafe { $splat(x) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $add(self, other) }
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $sub(self, other) }
            }

            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $mul(self, other) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
                let ($x, $factor, $sum) = (self, factor, sum);
                // SAFETY: as above.
                unsafe { $mul_add }
            }

            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $max(self, other) }
            }

            #[inline(always)]
            unsafe fn min(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $min(self, other) }
            }

            #[inline(always)]
            unsafe fn scale(self, whole: Self) -> Self {
                let ($value, $whole) = (self, whole);
                // SAFETY: as above.
                unsafe { $scale }
            }

            #[inline(always)]
            unsafe fn split($a: Self, $b: Self) -> [Self; 2] {
                // SAFETY: as above.
                unsafe { $split }
            }

            #[inline(always)]
            unsafe fn zip($even: Self, $odd: Self) -> [Self; 2] {
                // SAFETY: as above.
                unsafe { $zip }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! 16 values with AVX-512, 8 with AVX2 and FMA.

    #![allow(clippy::wildcard_imports, reason = "intrinsics")]

    use std::arch::x86_64::*;

    vector!(
        __m512,
        16,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_set1_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        _mm512_max_ps,
        _mm512_min_ps,
        |value, whole| {
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(whole));
            _mm512_mul_ps(value, _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(127 << 23))))
        },
        |x, factor, sum| _mm512_fmadd_ps(x, factor, sum),
        |a, b| {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            [_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b)]
        },
        |even, odd| {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            [_mm512_permutex2var_ps(even, low, odd), _mm512_permutex2var_ps(even, high, odd)]
        },
        |place| _mm_prefetch::<_MM_HINT_T0>(place.cast())
    );

    vector!(
        __m256,
        8,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        _mm256_max_ps,
        _mm256_min_ps,
        |value, whole| {
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(whole));
            _mm256_mul_ps(value, _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(127 << 23))))
        },
        |x, factor, sum| _mm256_fmadd_ps(x, factor, sum),
        |a, b| {
            // Within halves first, then the middle quarters change places.
            let (even, odd) = (_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b));
            [
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(even))),
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(odd))),
            ]
        },
        |even, odd| {
            let (low, high) = (_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd));
            [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)]
        },
        |place| _mm_prefetch::<_MM_HINT_T0>(place.cast())
    );
}

#[cfg(target_arch = "aarch64")]
mod neon {
    //! 4 values.

    #![allow(clippy::wildcard_imports, reason = "intrinsics")]

    use std::arch::aarch64::*;

    vector!(
        float32x4_t,
        4,
        vld1q_f32,
        vst1q_f32,
        vdupq_n_f32,
        vaddq_f32,
        vsubq_f32,
        vmulq_f32,
        vmaxq_f32,
        vminq_f32,
        |value, whole| {
            let exponent = vshlq_n_s32::<23>(vreinterpretq_s32_f32(whole));
            vmulq_f32(value, vreinterpretq_f32_s32(vaddq_s32(exponent, vdupq_n_s32(127 << 23))))
        },
        |x, factor, sum| vfmaq_f32(sum, x, factor),
        |a, b| [vuzp1q_f32(a, b), vuzp2q_f32(a, b)],
        |even, odd| [vzip1q_f32(even, odd), vzip2q_f32(even, odd)]
    );
}

/// Makes a function that calls `$body::<V>`, always inlined, with the vectors of an [`Isa`](super::Isa) that it takes before its
/// other arguments.
macro_rules! per_vector {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        $vis unsafe fn $name(isa: $crate::Isa, $($arg: $ty),*) {
            use $crate::isa::InstructionSet;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            unsafe fn avx512($($arg: $ty),*) {
                // SAFETY: passed on to the caller.
                unsafe { $body::<std::arch::x86_64::__m512>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2($($arg: $ty),*) {
                // SAFETY: passed on to the caller.
                unsafe { $body::<std::arch::x86_64::__m256>($($arg),*) }
            }
            // SAFETY: `isa` is the proof that the processor has the instructions; the caller answers for the rest.
            unsafe {
                match isa.set() {
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx512Bf16 | InstructionSet::Avx512 => avx512($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx2 => avx2($($arg),*),
                    #[cfg(target_arch = "aarch64")]
                    InstructionSet::Neon => $body::<std::arch::aarch64::float32x4_t>($($arg),*),
                    _ => $body::<[f32; 4]>($($arg),*),
                }
            }
        }
    };
}
pub(super) use per_vector;
