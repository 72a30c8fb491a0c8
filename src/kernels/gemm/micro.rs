//! The innermost loops: one tile of an output from one panel of each operand.
//!
//! Operands are made of *units* of 32 bits: an f32, or two bf16 that follow each other along the depth. A panel of rows is
//! [rows][units], a panel of columns is [units][columns]; both are padded with zeros, so that every tile is whole.

#![expect(clippy::inline_always, reason = "the instructions are those of the caller")]
#![expect(unsafe_code, reason = "vector instructions on memory whose bounds `Kernel::tile` has checked")]

use std::marker::PhantomData;

use super::super::isa::{InstructionSet, Isa};
use super::super::simd::Vector;
use super::Rounding;

/// Writes `a` times `b`, plus what the sums were before unless that is null, to a tile: vectors in a row of the tile, units, a, units
/// from row to row of a, b, sums before, tile.
type TileFn = unsafe fn(usize, usize, *const u32, usize, *const u32, *const f32, *mut f32);

/// What a tile's products are added to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Before<'a> {
    /// Nothing.
    Zero,
    /// What the tile holds.
    Same,
    /// What another tile of the same size holds.
    Other(&'a [f32]),
}

/// The innermost loop of an instruction set and the sizes of its tiles.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    isa: Isa,
    rounding: Rounding,
    pairs: bool,
    rows: usize,
    lanes: usize,
    vectors: usize,
    tile: TileFn,
}

impl Kernel {
    /// The kernel for operands that are rounded so.
    #[must_use]
    pub fn new(isa: Isa, rounding: Rounding) -> Self {
        let pairs = isa.set() == InstructionSet::Avx512Bf16 && rounding == Rounding::Bf16;
        let (rows, lanes, vectors, tile): (_, _, _, TileFn) = match isa.set() {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Bf16 if pairs => (8, 16, 3, x86::pairs_avx512),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Bf16 | InstructionSet::Avx512 => (8, 16, 3, x86::floats_avx512),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => (6, 8, 2, x86::floats_avx2),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => (8, 4, 3, widths::<Floats<std::arch::aarch64::float32x4_t>, 8>),
            _ => (4, 4, 2, widths::<Floats<[f32; 4]>, 4>),
        };
        Kernel { isa, rounding, pairs, rows, lanes, vectors, tile }
    }

    /// The instruction set.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How operands are rounded.
    #[must_use]
    pub fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// Whether operands are rounded at all.
    #[must_use]
    pub fn rounds(&self) -> bool {
        self.rounding != Rounding::None
    }

    /// Whether a unit is a pair of bf16.
    #[must_use]
    pub fn pairs(&self) -> bool {
        self.pairs
    }

    /// Units that `depth` values take.
    #[must_use]
    pub fn units(&self, depth: usize) -> usize {
        if self.pairs {
            depth.div_ceil(2)
        } else {
            depth
        }
    }

    /// Rows of a tile.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of a vector: what the width of a panel of columns is a multiple of.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Columns of the widest tile.
    #[must_use]
    pub fn width(&self) -> usize {
        self.lanes * self.vectors
    }

    /// `c = a b`, or `c += a b` when `add`: `a` [rows][units], `b` [units][width], `c` [rows][width].
    ///
    /// # Panics
    /// When the slices have other sizes or `width` is no width of a tile.
    #[inline]
    pub fn tile(&self, width: usize, units: usize, a: &[u32], b: &[u32], c: &mut [f32], add: bool) {
        self.tile_of_rows(width, units, (a, units), b, if add { Before::Same } else { Before::Zero }, c);
    }

    /// As [`Kernel::tile`] where the rows of `a` begin `stride` units after each other, and what is added to may lie elsewhere.
    #[inline]
    pub(super) fn tile_of_rows(
        &self,
        width: usize,
        units: usize,
        (a, stride): (&[u32], usize),
        b: &[u32],
        before: Before,
        c: &mut [f32],
    ) {
        let vectors = width / self.lanes;
        let sums = match before {
            Before::Zero => std::ptr::null(),
            Before::Same => c.as_ptr(),
            Before::Other(sums) => {
                assert_eq!(sums.len(), c.len());
                sums.as_ptr()
            }
        };
        assert!(width.is_multiple_of(self.lanes) && (1..=self.vectors).contains(&vectors));
        assert!(
            a.len() >= (self.rows - 1) * stride + units && b.len() == units * width && c.len() == self.rows * width
        );
        // SAFETY: `isa` is the proof that the processor has the instructions; the function reads `units` units of each row,
        // `units * width` others and as many sums as it writes values, `rows * width`, which is what the slices hold.
        unsafe { (self.tile)(vectors, units, a.as_ptr(), stride, b.as_ptr(), sums, c.as_mut_ptr()) }
    }
}

/// How a loop over tiles reads units and multiplies them.
///
/// # Safety
/// All methods need a processor that has the instructions; `load` reads as many units as a vector has values, `spread` one.
#[allow(clippy::missing_safety_doc, reason = "said above for all")]
trait Step {
    /// Sums.
    type Sums: Vector;
    /// As many units.
    type Units: Copy;
    unsafe fn load(from: *const u32) -> Self::Units;
    unsafe fn spread(from: *const u32) -> Self::Units;
    unsafe fn multiply_add(sums: Self::Sums, x: Self::Units, y: Self::Units) -> Self::Sums;
}

/// A unit is an f32.
struct Floats<V>(PhantomData<V>);

impl<V: Vector> Step for Floats<V> {
    type Sums = V;
    type Units = V;

    #[inline(always)]
    unsafe fn load(from: *const u32) -> V {
        // SAFETY: the caller answers for it, here and below.
        unsafe { V::load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn spread(from: *const u32) -> V {
        // SAFETY: as above.
        unsafe { V::splat(f32::from_bits(*from)) }
    }

    #[inline(always)]
    unsafe fn multiply_add(sums: V, x: V, y: V) -> V {
        // SAFETY: as above.
        unsafe { x.mul_add(y, sums) }
    }
}

/// A tile of `R` rows and up to 3 vectors.
///
/// # Safety
/// The processor must have the instructions and the pointers lead to as many values as [`Kernel::tile`] says.
#[inline(always)]
unsafe fn widths<S: Step, const R: usize>(
    vectors: usize,
    units: usize,
    a: *const u32,
    stride: usize,
    b: *const u32,
    before: *const f32,
    c: *mut f32,
) {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match vectors {
            1 => tile::<S, R, 1>(units, a, stride, b, before, c),
            2 => tile::<S, R, 2>(units, a, stride, b, before, c),
            _ => tile::<S, R, 3>(units, a, stride, b, before, c),
        }
    }
}

/// `R` rows of `N` vectors, whose sums all stay in registers.
///
/// # Safety
/// As [`widths`].
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "the loops over a tile's registers are unrolled")]
unsafe fn tile<S: Step, const R: usize, const N: usize>(
    units: usize,
    a: *const u32,
    stride: usize,
    b: *const u32,
    before: *const f32,
    c: *mut f32,
) {
    let lanes = S::Sums::LANES;
    // SAFETY: `unit < units`, so each row ends inside its `units` and the columns inside `units * N` vectors, and the tile has `R * N` vectors.
    unsafe {
        let mut sums = [[S::Sums::splat(0.0); N]; R];
        for unit in 0..units {
            let mut line = [S::load(b.add(unit * N * lanes)); N];
            for j in 1..N {
                line[j] = S::load(b.add((unit * N + j) * lanes));
            }
            for i in 0..R {
                let x = S::spread(a.add(i * stride + unit));
                for j in 0..N {
                    sums[i][j] = S::multiply_add(sums[i][j], x, line[j]);
                }
            }
        }
        for i in 0..R {
            for j in 0..N {
                let place = (i * N + j) * lanes;
                let sum = sums[i][j];
                let sum = if before.is_null() { sum } else { S::Sums::load(before.add(place)).add(sum) };
                sum.store(c.add(place));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The loop compiled for each instruction set of x86.

    #![allow(clippy::wildcard_imports, reason = "intrinsics")]

    use std::arch::x86_64::*;

    use super::{widths, Floats, Step};

    /// A unit is a pair of bf16.
    struct Pairs;

    impl Step for Pairs {
        type Sums = __m512;
        type Units = __m512bh;

        #[inline(always)]
        unsafe fn load(from: *const u32) -> __m512bh {
            // SAFETY: the caller answers for it, here and below.
            unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(from.cast())) }
        }

        #[inline(always)]
        unsafe fn spread(from: *const u32) -> __m512bh {
            // SAFETY: as above.
            unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32((*from).cast_signed())) }
        }

        #[inline(always)]
        unsafe fn multiply_add(sums: __m512, x: __m512bh, y: __m512bh) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_dpbf16_ps(sums, x, y) }
        }
    }

    macro_rules! compiled {
        ($name:ident, $features:literal, $step:ty, $rows:literal) => {
            /// # Safety
            /// As [`widths`].
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name(
                vectors: usize,
                units: usize,
                a: *const u32,
                stride: usize,
                b: *const u32,
                before: *const f32,
                c: *mut f32,
            ) {
                // SAFETY: the caller's promise, passed on.
                unsafe { widths::<$step, $rows>(vectors, units, a, stride, b, before, c) }
            }
        };
    }

    // 24 sums and 12 sums, of 32 and 16 registers.
    compiled!(pairs_avx512, "avx512f,avx512bw,avx512bf16", Pairs, 8);
    compiled!(floats_avx512, "avx512f", Floats<__m512>, 8);
    compiled!(floats_avx2, "avx2,fma", Floats<__m256>, 6);
}
