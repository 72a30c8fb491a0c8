//! The innermost loops: one tile of an output from one panel of each operand.
//!
//! Operands are made of *units* of 32 bits: an f32, or two bf16 that follow each other along the depth. A panel of rows is
//! [rows][units], a panel of columns is [units][columns]; both are padded with zeros, so that every tile is whole.

#![expect(unsafe_code, reason = "vector instructions on memory whose bounds `Kernel::tile` has checked")]

use super::super::isa::{InstructionSet, Isa};
use super::Rounding;

/// Adds (or writes) `a` times `b` to a tile: vectors in a row of the tile, units, a, b, tile, whether to add.
type TileFn = unsafe fn(usize, usize, *const u32, *const u32, *mut f32, bool);

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
            InstructionSet::Neon => (8, 4, 3, neon::floats),
            _ => (4, 4, 2, plain),
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
        let vectors = width / self.lanes;
        assert!(width.is_multiple_of(self.lanes) && (1..=self.vectors).contains(&vectors));
        assert!(a.len() == self.rows * units && b.len() == units * width && c.len() == self.rows * width);
        // SAFETY: `isa` is the proof that the processor has the instructions; the function reads `rows * units` and `units * width`
        // units and writes `rows * width` values, which is what the slices hold.
        unsafe { (self.tile)(vectors, units, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), add) }
    }
}

/// As the others, without instructions of its own: 4 rows of up to 2 vectors of 4.
///
/// # Safety
/// The pointers must lead to as many values as [`Kernel::tile`] says.
unsafe fn plain(vectors: usize, units: usize, a: *const u32, b: *const u32, c: *mut f32, add: bool) {
    let width = vectors * 4;
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (std::slice::from_raw_parts(a, 4 * units), std::slice::from_raw_parts(b, units * width)) };
    // SAFETY: the caller's promise.
    let c = unsafe { std::slice::from_raw_parts_mut(c, 4 * width) };
    for (j, _) in b[..width].iter().enumerate().step_by(4).take(if units == 0 { 0 } else { vectors }) {
        let mut sums = [[0f32; 4]; 4];
        for (unit, line) in b.chunks_exact(width).enumerate() {
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = f32::from_bits(a[i * units + unit]);
                sums.iter_mut().zip(&line[j..j + 4]).for_each(|(sum, y)| *sum += x * f32::from_bits(*y));
            }
        }
        for (c, sums) in c.chunks_exact_mut(width).zip(sums) {
            c[j..j + 4].iter_mut().zip(sums).for_each(|(c, sum)| *c = if add { *c + sum } else { sum });
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! For x86: the accumulators of a whole tile stay in registers.

    #![allow(clippy::wildcard_imports, reason = "intrinsics")]
    #![expect(clippy::needless_range_loop, reason = "the loops over a tile's registers are unrolled")]

    use std::arch::x86_64::*;

    /// 8 rows of `N` vectors of 16, 24 accumulators of 32 registers at most.
    macro_rules! avx512 {
        ($name:ident, $tile:ident, $features:literal, $load:ident, $spread:ident, $multiply:ident) => {
            /// # Safety
            /// The processor must have the instructions and the pointers lead to as many values as `Kernel::tile` says.
            pub(super) unsafe fn $name(
                vectors: usize,
                units: usize,
                a: *const u32,
                b: *const u32,
                c: *mut f32,
                add: bool,
            ) {
                // SAFETY: the caller's promise, passed on.
                unsafe {
                    match vectors {
                        1 => $tile::<1>(units, a, b, c, add),
                        2 => $tile::<2>(units, a, b, c, add),
                        _ => $tile::<3>(units, a, b, c, add),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn $tile<const N: usize>(units: usize, a: *const u32, b: *const u32, c: *mut f32, add: bool) {
                let mut sums = [[_mm512_setzero_ps(); N]; 8];
                for unit in 0..units {
                    // SAFETY: `unit < units`, so rows and columns end inside `8 * units` and `units * 16 N` units.
                    unsafe {
                        let mut line = [$load(b.add(unit * N * 16)); N];
                        for j in 1..N {
                            line[j] = $load(b.add((unit * N + j) * 16));
                        }
                        for i in 0..8 {
                            let x = $spread(a.add(i * units + unit));
                            for j in 0..N {
                                sums[i][j] = $multiply(sums[i][j], x, line[j]);
                            }
                        }
                    }
                }
                for i in 0..8 {
                    for j in 0..N {
                        // SAFETY: the tile holds `8 * 16 N` values.
                        unsafe {
                            let to = c.add((i * N + j) * 16);
                            let sum = if add { _mm512_add_ps(_mm512_loadu_ps(to), sums[i][j]) } else { sums[i][j] };
                            _mm512_storeu_ps(to, sum);
                        }
                    }
                }
            }
        };
    }

    // Functions, not closures: a closure does not take over the instructions that its surroundings are compiled for.
    macro_rules! step {
        ($features:literal, $load:ident, $spread:ident, $multiply:ident, $vector:ty,
         |$from:ident| $load_body:expr, |$one:ident| $spread_body:expr, |$sum:ident, $x:ident, $y:ident| $multiply_body:expr) => {
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn $load($from: *const u32) -> $vector {
                // SAFETY: the caller answers for 16 units.
                unsafe { $load_body }
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn $spread($one: *const u32) -> $vector {
                // SAFETY: the caller answers for one unit.
                unsafe { $spread_body }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn $multiply($sum: __m512, $x: $vector, $y: $vector) -> __m512 {
                $multiply_body
            }
        };
    }

    step!(
        "avx512f",
        load_floats,
        spread_float,
        multiply_floats,
        __m512,
        |from| _mm512_loadu_ps(from.cast()),
        |one| _mm512_set1_ps(f32::from_bits(*one)),
        |sum, x, y| _mm512_fmadd_ps(x, y, sum)
    );
    step!(
        "avx512f,avx512bw,avx512bf16",
        load_pairs,
        spread_pair,
        multiply_pairs,
        __m512bh,
        |from| std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(from.cast())),
        |one| std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(*one as i32)),
        |sum, x, y| _mm512_dpbf16_ps(sum, x, y)
    );

    avx512!(floats_avx512, floats_tile_avx512, "avx512f", load_floats, spread_float, multiply_floats);
    avx512!(pairs_avx512, pairs_tile_avx512, "avx512f,avx512bw,avx512bf16", load_pairs, spread_pair, multiply_pairs);

    /// 6 rows of up to 2 vectors of 8, 12 accumulators of 16 registers.
    ///
    /// # Safety
    /// The processor must have AVX2 and FMA and the pointers lead to as many values as `Kernel::tile` says.
    pub(super) unsafe fn floats_avx2(
        vectors: usize,
        units: usize,
        a: *const u32,
        b: *const u32,
        c: *mut f32,
        add: bool,
    ) {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            match vectors {
                1 => floats_tile_avx2::<1>(units, a, b, c, add),
                _ => floats_tile_avx2::<2>(units, a, b, c, add),
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn floats_tile_avx2<const N: usize>(units: usize, a: *const u32, b: *const u32, c: *mut f32, add: bool) {
        let mut sums = [[_mm256_setzero_ps(); N]; 6];
        for unit in 0..units {
            // SAFETY: `unit < units`, so rows and columns end inside `6 * units` and `units * 8 N` units.
            unsafe {
                let mut line = [_mm256_loadu_ps(b.add(unit * N * 8).cast()); N];
                for j in 1..N {
                    line[j] = _mm256_loadu_ps(b.add((unit * N + j) * 8).cast());
                }
                for i in 0..6 {
                    let x = _mm256_set1_ps(f32::from_bits(*a.add(i * units + unit)));
                    for j in 0..N {
                        sums[i][j] = _mm256_fmadd_ps(x, line[j], sums[i][j]);
                    }
                }
            }
        }
        for i in 0..6 {
            for j in 0..N {
                // SAFETY: the tile holds `6 * 8 N` values.
                unsafe {
                    let to = c.add((i * N + j) * 8);
                    let sum = if add { _mm256_add_ps(_mm256_loadu_ps(to), sums[i][j]) } else { sums[i][j] };
                    _mm256_storeu_ps(to, sum);
                }
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    //! For 64-bit Arm: 8 rows of up to 3 vectors of 4, 24 accumulators of 32 registers.

    #![allow(clippy::wildcard_imports, reason = "intrinsics")]
    #![expect(clippy::needless_range_loop, reason = "the loops over a tile's registers are unrolled")]

    use std::arch::aarch64::*;

    /// # Safety
    /// The pointers must lead to as many values as `Kernel::tile` says.
    pub(super) unsafe fn floats(vectors: usize, units: usize, a: *const u32, b: *const u32, c: *mut f32, add: bool) {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            match vectors {
                1 => tile::<1>(units, a, b, c, add),
                2 => tile::<2>(units, a, b, c, add),
                _ => tile::<3>(units, a, b, c, add),
            }
        }
    }

    #[target_feature(enable = "neon")]
    unsafe fn tile<const N: usize>(units: usize, a: *const u32, b: *const u32, c: *mut f32, add: bool) {
        let mut sums = [[vdupq_n_f32(0.0); N]; 8];
        for unit in 0..units {
            // SAFETY: `unit < units`, so rows and columns end inside `8 * units` and `units * 4 N` units.
            unsafe {
                let mut line = [vld1q_f32(b.add(unit * N * 4).cast()); N];
                for j in 1..N {
                    line[j] = vld1q_f32(b.add((unit * N + j) * 4).cast());
                }
                for i in 0..8 {
                    let x = f32::from_bits(*a.add(i * units + unit));
                    for j in 0..N {
                        sums[i][j] = vfmaq_n_f32(sums[i][j], line[j], x);
                    }
                }
            }
        }
        for i in 0..8 {
            for j in 0..N {
                // SAFETY: the tile holds `8 * 4 N` values.
                unsafe {
                    let to = c.add((i * N + j) * 4);
                    let sum = if add { vaddq_f32(vld1q_f32(to), sums[i][j]) } else { sums[i][j] };
                    vst1q_f32(to, sum);
                }
            }
        }
    }
}
