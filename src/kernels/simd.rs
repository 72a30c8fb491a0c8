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
    /// The numbers that as many f16 are.
    #[inline(always)]
    unsafe fn widen(from: *const u16) -> Self {
        let mut values = [0f32; WIDEST];
        // SAFETY: the caller answers for the instructions and the memory; no vector is wider than the array.
        unsafe {
            for (i, value) in values.iter_mut().enumerate().take(Self::LANES) {
                *value = widened(*from.add(i));
            }
            Self::load(values.as_ptr())
        }
    }
    /// As [`Vector::store`] to memory that is aligned as lines of the caches are, but past the caches if the processor can, which saves
    /// it to read what is overwritten. Before another thread may read it, [`streamed`] must be called.
    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: the caller answers for the instructions and the memory.
        unsafe { self.store(to) }
    }
    unsafe fn splat(x: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + sum`, rounded once where the processor can.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// The larger of each two numbers.
    unsafe fn max(self, other: Self) -> Self;
    /// How far each number is above the next lower whole one. Numbers are not above 0, and may count as [`LEAST_POWER`] when they are less.
    unsafe fn fraction(self) -> Self;
    /// `self * 2^n` of numbers from 1 to 2, where n is the next whole number that is not above `exponent`, of which the same holds as of
    /// those that [`Vector::fraction`] takes.
    unsafe fn raise(self, exponent: Self) -> Self;
    /// Of the values of `a` and then `b` those at even and those at odd places.
    unsafe fn split(a: Self, b: Self) -> [Self; 2];
    /// The reverse of [`Vector::split`].
    unsafe fn zip(even: Self, odd: Self) -> [Self; 2];
}

/// The exponent of the least power of two that [`Vector::raise`] has to reach.
pub(super) const LEAST_POWER: f32 = -125.0;

/// The next whole numbers that are not above those of `x`, plus a number so large that they stand in the sums' last bits, with nothing to
/// convert.
///
/// # Safety
/// The processor must have the vector's instructions.
#[inline(always)]
unsafe fn floor_in_bits<V: Vector>(x: V) -> V {
    // SAFETY: the caller answers for the instructions.
    unsafe { V::splat(LEAST_POWER).max(x).sub(V::splat(0.5)).add(V::splat(WHOLE)) }
}

/// [`Vector::fraction`] where no instruction does it.
///
/// # Safety
/// The processor must have the vector's instructions.
#[inline(always)]
unsafe fn fraction<V: Vector>(x: V) -> V {
    // SAFETY: the caller answers for the instructions.
    unsafe { V::splat(LEAST_POWER).max(x).sub(floor_in_bits(x).sub(V::splat(WHOLE))) }
}

/// What [`floor_in_bits`] adds.
const WHOLE: f32 = 12_582_912.0;

/// The values of the widest vector of any instruction set.
pub(super) const WIDEST: usize = 16;

/// The number that the bits of an f16 mean, without a branch: exponents below the least become numbers by a subtraction.
#[inline(always)]
pub(super) fn widened(half: u16) -> f32 {
    const LEAST: u32 = 0x0400 << 13;
    const INFINITE: u32 = 0x7c00 << 13;
    const BIAS: u32 = (127 - 15) << 23;
    const SMALL: u32 = BIAS + (1 << 23);
    let (sign, bits) = (u32::from(half & 0x8000) << 16, u32::from(half & 0x7fff) << 13);
    let whole = bits + if bits >= INFINITE { 2 * BIAS } else { BIAS };
    let small = (f32::from_bits(bits + SMALL) - f32::from_bits(SMALL)).to_bits();
    f32::from_bits(sign | if bits < LEAST { small } else { whole })
}

/// Values of a line of the caches, or fewer.
pub(super) const LINE: usize = 16;

/// Asks for a line of memory that will be used after some thousand operations, if the processor can be asked. It comes as far as the
/// second-level cache: more requests to the first than it takes at once would hold up what is computed meanwhile.
#[inline(always)]
pub(super) fn prefetch_line<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this kind has the instruction, and what is asked for does not have to be there.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Brings what was written past the caches in order with what is written after it.
#[inline(always)]
pub(super) fn streamed() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this kind has the instruction.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// As [`prefetch_line`], all of `values`.
#[inline(always)]
pub(super) fn prefetch(values: &[f32]) {
    values.chunks(LINE).for_each(|line| prefetch_line(line.as_ptr()));
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

/// Any numbers as their bytes.
pub(super) fn bytes<T: Number>(values: &[T]) -> &[u8] {
    // SAFETY: numbers have no padding, and any bytes are bytes.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Types without padding.
pub(super) trait Number: Copy {}
impl Number for u16 {}
impl Number for u32 {}

/// Numbers as their bits.
pub(super) fn bits(floats: &[f32]) -> &[u32] {
    // SAFETY: as there.
    unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), floats.len()) }
}

/// Implements [`Vector`] with intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! vector {
    ($vector:ty, $lanes:literal, $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident,
     $max:ident, |$number:ident| $fraction:expr, |$value:ident, $exponent:ident| $raise:expr,
     |$x:ident, $factor:ident, $sum:ident| $mul_add:expr,
     |$a:ident, $b:ident| $split:expr, |$even:ident, $odd:ident| $zip:expr
     $(, |$halves:ident| $widen:expr, $stream:ident)?) => {
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
                unsafe fn widen($halves: *const u16) -> Self {
                    // SAFETY: the caller answers for the instructions and the memory.
                    unsafe { $widen }
                }

                #[inline(always)]
                unsafe fn stream(self, to: *mut f32) {
                    // SAFETY: as above.
                    unsafe { $stream(to, self) }
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
            unsafe fn fraction(self) -> Self {
                let $number = self;
                // SAFETY: as above.
                unsafe { $fraction }
            }

            #[inline(always)]
            unsafe fn raise(self, exponent: Self) -> Self {
                let ($value, $exponent) = (self, exponent);
                // SAFETY: as above.
                unsafe { $raise }
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

#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Makes a function that calls `$body::<V>`, always inlined, with the vectors of an [`Isa`](super::Isa) that it takes before its
/// other arguments.
macro_rules! per_vector {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        $vis unsafe fn $name(isa: $crate::Isa, $($arg: $ty),*) {
            use $crate::isa::InstructionSet;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            unsafe fn avx512($($arg: $ty),*) {
                // SAFETY: passed on to the caller.
                unsafe { $body::<std::arch::x86_64::__m512>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
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
