//! The innermost loops, compiled for each instruction set: a tile's sums stay in registers and leave them finished.

#![expect(clippy::inline_always, reason = "the instructions are those of the caller")]
#![expect(unsafe_code, reason = "vector instructions on memory whose bounds `Kernel` has checked")]

use std::marker::PhantomData;

use super::super::simd::{prefetch_line, Vector};

/// The first operand: its units, and how far its rows lie apart.
pub(super) type Rows = (*const u32, usize);

/// Multiplies `a` and `b` and lets the sums leave: vectors in a row of the tile, units, a, b, what happens to the sums.
pub(super) type TileFn = unsafe fn(usize, usize, Rows, *const u32, &Exit);

/// What happens to a tile's sums on their way out of the registers, in this order. A null pointer adds nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exit {
    /// Sums of earlier blocks, a tile without gaps.
    pub before: *const f32,
    /// A value for each column.
    pub columns: *const f32,
    /// A value for each row, twice.
    pub rows: [*const f32; 2],
    /// A tile whose rows lie as those of `to`.
    pub residual: *const f32,
    /// Where the results go.
    pub to: *mut f32,
    /// From row to row of `to`.
    pub stride: usize,
    /// On which way.
    pub way: Way,
}

/// The way of results to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To a cache that holds the memory.
    Near,
    /// To memory that has to be brought to a cache first.
    Far,
    /// Past the caches: `to` and `stride` are whole lines of them.
    Stream,
}

/// How a loop over tiles reads units and multiplies them.
///
/// # Safety
/// All methods need a processor that has the instructions; `load` reads as many units as a vector has values, `spread` one.
#[allow(clippy::missing_safety_doc, reason = "said above for all")]
pub(super) trait Step {
    /// Sums.
    type Sums: Vector;
    /// As many units.
    type Units: Copy;
    unsafe fn load(from: *const u32) -> Self::Units;
    unsafe fn spread(from: *const u32) -> Self::Units;
    unsafe fn multiply_add(sums: Self::Sums, x: Self::Units, y: Self::Units) -> Self::Sums;
}

/// A unit is an f32.
pub(super) struct Floats<V>(PhantomData<V>);

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
/// The processor must have the instructions and the pointers lead to as many values as a tile has rows, columns and units.
#[inline(always)]
pub(super) unsafe fn widths<S: Step, const R: usize>(
    vectors: usize,
    units: usize,
    a: Rows,
    b: *const u32,
    exit: &Exit,
) {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match vectors {
            1 => tile::<S, R, 1>(units, a, b, exit),
            2 => tile::<S, R, 2>(units, a, b, exit),
            _ => tile::<S, R, 3>(units, a, b, exit),
        }
    }
}

/// `R` rows of `N` vectors, whose sums all stay in registers.
///
/// # Safety
/// As [`widths`].
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "the loops over a tile's registers are unrolled")]
unsafe fn tile<S: Step, const R: usize, const N: usize>(units: usize, (a, stride): Rows, b: *const u32, exit: &Exit) {
    let lanes = S::Sums::LANES;
    // SAFETY: `unit < units`, so each row ends inside its `units` and the columns inside `units * N` vectors.
    unsafe {
        if exit.way != Way::Near {
            exit.prefetch::<S::Sums, R, N>();
        }
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
        exit.finish(sums);
    }
}

impl Exit {
    /// Nothing is added, and nothing can be written.
    pub(super) const NOWHERE: Self = Exit {
        before: std::ptr::null(),
        columns: std::ptr::null(),
        rows: [std::ptr::null(); 2],
        residual: std::ptr::null(),
        to: std::ptr::null_mut(),
        stride: 0,
        way: Way::Near,
    };

    /// Asks for what [`Exit::finish`] reads and writes.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn prefetch<V: Vector, const R: usize, const N: usize>(&self) {
        // SAFETY: the caller answers for the tiles.
        unsafe {
            if self.way == Way::Far {
                for i in 0..R {
                    for j in 0..N {
                        prefetch_line(self.to.add(i * self.stride + j * V::LANES));
                    }
                }
            }
            if !self.residual.is_null() {
                for i in 0..R {
                    for j in 0..N {
                        prefetch_line(self.residual.add(i * self.stride + j * V::LANES));
                    }
                }
            }
        }
    }

    /// Adds what is to be added and writes.
    ///
    /// # Safety
    /// The processor must have the vector's instructions, and each pointer that is not null lead to `R` rows, `N` vectors or both.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "the loops over a tile's registers are unrolled")]
    unsafe fn finish<V: Vector, const R: usize, const N: usize>(&self, mut sums: [[V; N]; R]) {
        // One pass over the registers for each kind: in one pass for all, the compiler keeps them in memory.
        // SAFETY: the caller answers for the pointers; `i < R` and `j < N`.
        unsafe {
            if !self.before.is_null() {
                for i in 0..R {
                    for j in 0..N {
                        sums[i][j] = V::load(self.before.add((i * N + j) * V::LANES)).add(sums[i][j]);
                    }
                }
            }
            if !self.columns.is_null() {
                for j in 0..N {
                    let column = V::load(self.columns.add(j * V::LANES));
                    for i in 0..R {
                        sums[i][j] = sums[i][j].add(column);
                    }
                }
            }
            for rows in self.rows {
                if !rows.is_null() {
                    for i in 0..R {
                        let row = V::splat(*rows.add(i));
                        for j in 0..N {
                            sums[i][j] = sums[i][j].add(row);
                        }
                    }
                }
            }
            if !self.residual.is_null() {
                for i in 0..R {
                    for j in 0..N {
                        let place = i * self.stride + j * V::LANES;
                        sums[i][j] = sums[i][j].add(V::load(self.residual.add(place)));
                    }
                }
            }
            if self.way == Way::Stream {
                for i in 0..R {
                    for j in 0..N {
                        sums[i][j].stream(self.to.add(i * self.stride + j * V::LANES));
                    }
                }
            } else {
                for i in 0..R {
                    for j in 0..N {
                        sums[i][j].store(self.to.add(i * self.stride + j * V::LANES));
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    //! The loop compiled for each instruction set of x86.

    #![allow(clippy::wildcard_imports, reason = "intrinsics")]

    use std::arch::x86_64::*;

    use super::{widths, Exit, Floats, Rows, Step};

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
            pub(in super::super) unsafe fn $name(vectors: usize, units: usize, a: Rows, b: *const u32, exit: &Exit) {
                // SAFETY: the caller's promise, passed on.
                unsafe { widths::<$step, $rows>(vectors, units, a, b, exit) }
            }
        };
    }

    // 24 sums and 12 sums, of 32 and 16 registers.
    compiled!(pairs_avx512, "avx512f,avx512bw,avx512bf16", Pairs, 8);
    compiled!(floats_avx512, "avx512f", Floats<__m512>, 8);
    compiled!(floats_avx2, "avx2,fma", Floats<__m256>, 6);
}
