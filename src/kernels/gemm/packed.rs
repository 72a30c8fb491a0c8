//! Operands in panels, block by block along the depth.

use std::ops::Range;

use rayon::prelude::*;

use super::super::memory::unfilled_units;
use super::super::quant::Quantized;
use super::super::simd::bytes;
use super::kept::Kept;
use super::micro::Kernel;
use super::widened::widen_panels;

/// Units of a block along the depth: a panel of columns and one of rows stay in a first-level cache of 32 KiB or more.
pub(super) const BLOCK: usize = 128;

/// Which operand a matrix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first: its lines are the rows of the output.
    Rows,
    /// The second: its lines are the columns of the output.
    Columns,
}

/// How the lines of an operand lie in panels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panels {
    pub side: Side,
    /// Rows or columns.
    pub lines: usize,
    /// Lines of a whole panel.
    pub height: usize,
    /// What the height of the last panel is a multiple of.
    grain: usize,
    /// Depth in units.
    pub units: usize,
    /// Units of a block along the depth.
    block: usize,
}

impl Panels {
    pub(super) fn new(kernel: &Kernel, side: Side, lines: usize, units: usize) -> Self {
        let (height, grain) = match side {
            Side::Rows => (kernel.rows(), kernel.rows()),
            Side::Columns => (kernel.width(), kernel.lanes()),
        };
        Panels { side, lines, height, grain, units, block: BLOCK }
    }

    /// The same in blocks of `block` units.
    pub(super) fn in_blocks_of(self, block: usize) -> Self {
        Panels { block, ..self }
    }

    pub(super) fn count(&self) -> usize {
        self.lines.div_ceil(self.height)
    }

    /// Lines with padding.
    pub(super) fn padded(&self) -> usize {
        self.lines.next_multiple_of(self.grain)
    }

    /// Lines of panel `index`, padded.
    pub(super) fn height_of(&self, index: usize) -> usize {
        self.height.min(self.padded() - index * self.height)
    }

    /// Lines of panels `range`, padded.
    pub(super) fn heights(&self, range: &Range<usize>) -> usize {
        (range.end * self.height).min(self.padded()) - range.start * self.height
    }

    /// Lines of panel `index` that are no padding.
    pub(super) fn lines_of(&self, index: usize) -> Range<usize> {
        index * self.height..((index + 1) * self.height).min(self.lines)
    }

    pub(super) fn blocks(&self) -> usize {
        self.units.div_ceil(self.block)
    }

    /// The units of block `index`.
    pub(super) fn block(&self, index: usize) -> Range<usize> {
        index * self.block..((index + 1) * self.block).min(self.units)
    }

    /// The parts of an operand packed as a whole: for each panel its blocks.
    pub(super) fn split<'a, T>(&self, mut packed: &'a mut [T]) -> Vec<Vec<&'a mut [T]>> {
        let mut parts: Vec<Vec<_>> = (0..self.count()).map(|_| Vec::with_capacity(self.blocks())).collect();
        for block in 0..self.blocks() {
            for (panel, parts) in parts.iter_mut().enumerate() {
                let (part, behind) = packed.split_at_mut(self.height_of(panel) * self.block(block).len());
                parts.push(part);
                packed = behind;
            }
        }
        parts
    }

    /// Where the panels of a block lie in an operand packed as a whole.
    fn place(&self, block: usize, panels: &Range<usize>) -> Range<usize> {
        let units = self.block(block).len();
        let start = block * self.block * self.padded() + panels.start * self.height * units;
        start..start + self.heights(panels) * units
    }
}

/// An operand that is packed while the product runs.
pub trait Fill: Sync {
    /// Packs `lines` over `units`: [height][units] for rows, [units][height] for columns. `out` holds anything; the places
    /// of lines beyond the last must become zero.
    fn fill(&self, units: Range<usize>, lines: Range<usize>, height: usize, out: &mut [u32]);

    /// All lines as they lie in memory, [lines, depth], if they are rows that need no packing.
    fn rows_in_memory(&self) -> Option<&[u32]> {
        None
    }
}

/// A packed operand.
#[derive(Debug, Clone)]
pub struct Packed {
    pub(super) kernel: Kernel,
    pub(super) panels: Panels,
    pub(super) store: Store,
}

/// The form in which a packed operand is kept.
#[derive(Debug, Clone)]
pub(super) enum Store {
    /// In panels, as the kernel reads them.
    Units(Vec<u32>),
    /// In panels, half as large.
    Halves(Kept, Vec<u16>),
    /// Not in panels: widened and packed by each product.
    Quantized(Quantized),
}

impl Packed {
    /// Packs an operand that several tasks will read.
    pub(super) fn filled(kernel: Kernel, panels: Panels, fill: &dyn Fill) -> Self {
        let mut units = unfilled_units(panels.padded() * panels.units);
        let pieces = panels.split(&mut units).into_iter().enumerate();
        let pieces: Vec<_> =
            pieces.flat_map(|(i, blocks)| blocks.into_iter().enumerate().map(move |b| (i, b))).collect();
        pieces.into_par_iter().for_each(|(panel, (block, piece))| {
            fill.fill(panels.block(block), panels.lines_of(panel), panels.height_of(panel), piece);
        });
        Packed { kernel, panels, store: Store::Units(units) }
    }

    /// Weights that stay as they are, as columns of products.
    #[must_use]
    pub fn quantized(kernel: Kernel, weights: Quantized) -> Self {
        let [lines, depth] = weights.dims();
        let panels = Panels::new(&kernel, Side::Columns, lines, kernel.units(depth));
        Packed { kernel, panels, store: Store::Quantized(weights) }
    }

    /// Whether it is packed anew by each product, so that each panel should be asked for once.
    pub(super) fn is_quantized(&self) -> bool {
        matches!(self.store, Store::Quantized(_))
    }

    /// Some panels of a block; `scratch` holds them if they have to be widened.
    pub(crate) fn block<'a>(&'a self, block: usize, panels: &Range<usize>, scratch: &'a mut Vec<u32>) -> &'a [u32] {
        let place = self.panels.place(block, panels);
        let (kept, halves) = match &self.store {
            Store::Units(units) => return &units[place],
            Store::Halves(kept, halves) => (kept, halves),
            Store::Quantized(weights) => {
                scratch.resize(place.len(), 0);
                widen_panels(&self.kernel, weights, &self.panels, (block, panels), scratch);
                return scratch;
            }
        };
        scratch.resize(place.len(), 0);
        kept.widen(self.kernel.isa(), &halves[place], scratch);
        scratch
    }

    /// Some panels of a block as they are kept, if that is in panels.
    pub(crate) fn kept(&self, block: usize, panels: &Range<usize>) -> &[u8] {
        let place = self.panels.place(block, panels);
        match &self.store {
            Store::Units(units) => bytes(&units[place]),
            Store::Halves(_, halves) => bytes(&halves[place]),
            Store::Quantized(_) => &[],
        }
    }

    /// What a task asks for while it works on panel `panel` of `panels` and a block: its next panel, or where each block is widened as
    /// a whole, that panel of the next block.
    pub(super) fn ahead(&self, block: usize, panels: &Range<usize>, panel: usize) -> &[u8] {
        let widened = matches!(self.store, Store::Halves(..));
        let (block, panel) = match panel + 1 {
            next if next < panels.end && !widened => (block, next),
            _ if widened => (block + 1, panel),
            _ => (block + 1, panels.start),
        };
        if block < self.panels.blocks() {
            self.kept(block, &(panel..panel + 1))
        } else {
            &[]
        }
    }

    /// Rows or columns.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.panels.lines
    }

    /// The kernel that it was packed for.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Bytes in memory, its own or shared.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.store {
            Store::Units(units) => size_of_val(units.as_slice()),
            Store::Halves(_, halves) => size_of_val(halves.as_slice()),
            Store::Quantized(weights) => weights.size(),
        }
    }
}
