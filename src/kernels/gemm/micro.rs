//! One tile of an output from one panel of each operand; `tile` has the loops.
//!
//! Operands are made of *units* of 32 bits: an f32, or two bf16 that follow each other along the depth. A panel of rows is
//! [rows][units], a panel of columns is [units][columns]; both are padded with zeros, so that every tile is whole.

#![expect(unsafe_code, reason = "the loops read and write memory whose bounds are checked here")]

use super::super::isa::{InstructionSet, Isa};
#[cfg(target_arch = "x86_64")]
use super::tile::x86;
use super::tile::{widths, Exit, Floats, TileFn};
use super::Rounding;

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
        a: (&[u32], usize),
        b: &[u32],
        before: Before,
        c: &mut [f32],
    ) {
        assert_eq!(c.len(), self.rows * width);
        let to = c.as_mut_ptr();
        let before = match before {
            Before::Zero => std::ptr::null(),
            Before::Same => to.cast_const(),
            Before::Other(sums) => {
                assert_eq!(sums.len(), c.len());
                sums.as_ptr()
            }
        };
        // SAFETY: as many values as a tile has lie behind `to` and `before` (just checked).
        unsafe { self.tile_to(width, units, a, b, &Exit { before, to, stride: width, ..Exit::NOWHERE }) };
    }

    /// As [`Kernel::tile_of_rows`], where `exit` says what becomes of the sums.
    ///
    /// # Panics
    /// When the slices have other sizes or `width` is no width of a tile.
    ///
    /// # Safety
    /// The pointers of `exit` must be null or lead to what a tile of so many columns reads and writes.
    #[inline]
    pub(super) unsafe fn tile_to(
        &self,
        width: usize,
        units: usize,
        (a, stride): (&[u32], usize),
        b: &[u32],
        exit: &Exit,
    ) {
        let vectors = width / self.lanes;
        assert!(width.is_multiple_of(self.lanes) && (1..=self.vectors).contains(&vectors));
        assert!(a.len() >= (self.rows - 1) * stride + units && b.len() == units * width);
        // SAFETY: `isa` is the proof that the processor has the instructions; the function reads `units` units of each row and
        // `units * width` others, which is what the slices hold, and the caller answers for the rest.
        unsafe { (self.tile)(vectors, units, (a.as_ptr(), stride), b.as_ptr(), exit) }
    }
}
