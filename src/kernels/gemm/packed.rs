//! Operands in panels, block by block along the depth.

use std::ops::Range;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::encode::Kept;
use super::micro::Kernel;
use super::Rounding;

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
    fn split<'a, T>(&self, mut packed: &'a mut [T]) -> Vec<Vec<&'a mut [T]>> {
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
}

/// A packed operand.
#[derive(Debug, Clone)]
pub struct Packed {
    pub(super) kernel: Kernel,
    pub(super) panels: Panels,
    kept: Kept,
    units: Vec<u32>,
    halves: Vec<u16>,
}

/// Values of weights as files hold them.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [f16]),
    /// Half precision with the range of f32.
    Bf16(&'a [bf16]),
}

impl Values<'_> {
    /// Number of values.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never asked")]
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F16(values) => values.len(),
            Values::Bf16(values) => values.len(),
        }
    }

    /// The values of `place`, widened.
    fn read(&self, place: Range<usize>, to: &mut [f32]) {
        match self {
            Values::F32(values) => to.copy_from_slice(&values[place]),
            Values::F16(values) => values[place].convert_to_f32_slice(to),
            Values::Bf16(values) => values[place].convert_to_f32_slice(to),
        }
    }

    /// The smallest form that holds the values after `kernel` rounded them.
    fn kept(&self, kernel: &Kernel) -> Kept {
        match (kernel.pairs(), kernel.rounding(), self) {
            (true, ..) => Kept::Units,
            (_, Rounding::Bf16, _) | (_, Rounding::None, Values::Bf16(_)) => Kept::Bf16,
            (_, Rounding::F16, _) | (_, Rounding::None, Values::F16(_)) => Kept::F16,
            (_, Rounding::None, Values::F32(_)) => Kept::Units,
        }
    }
}

/// The lines of a matrix of weights along the depth as the product sees it: group by group of channels, in a group tap by tap, the
/// channels of a tap side by side.
struct Lines<'a> {
    kernel: Kernel,
    values: Values<'a>,
    channels: usize,
    taps: usize,
    group: usize,
}

/// What is needed to pack a panel.
#[derive(Default)]
struct Scratch {
    stored: Vec<f32>,
    tap: Vec<f32>,
    line: Vec<u32>,
    panel: Vec<u32>,
}

impl Lines<'_> {
    /// The units of a line, to `scratch.line`.
    fn read(&self, line: usize, scratch: &mut Scratch) {
        let size = self.channels * self.taps;
        scratch.stored.resize(size, 0.0);
        scratch.line.resize(self.kernel.units(self.channels) * self.taps, 0);
        self.values.read(line * size..(line + 1) * size, &mut scratch.stored);
        let mut rest = scratch.line.as_mut_slice();
        for group in scratch.stored.chunks((self.group * self.taps).max(1)) {
            let channels = group.len() / self.taps;
            scratch.tap.resize(channels, 0.0);
            for tap in 0..self.taps {
                let (out, behind) = rest.split_at_mut(self.kernel.units(channels));
                rest = behind;
                let stored = group[tap..].iter().step_by(self.taps);
                scratch.tap.iter_mut().zip(stored).for_each(|(to, x)| *to = *x);
                self.kernel.encode(&scratch.tap, out);
            }
        }
    }

    /// Packs a panel block by block and hands each to `put`.
    fn pack(&self, panels: &Panels, panel: usize, scratch: &mut Scratch, mut put: impl FnMut(usize, &[u32])) {
        let height = panels.height_of(panel);
        let mut packed = std::mem::take(&mut scratch.panel);
        packed.clear();
        packed.resize(height * panels.units, 0);
        for (within, line) in panels.lines_of(panel).enumerate() {
            self.read(line, scratch);
            for block in 0..panels.blocks() {
                let range = panels.block(block);
                let out = &mut packed[range.start * height..range.end * height];
                let units = &scratch.line[range];
                match panels.side {
                    Side::Rows => out[within * units.len()..][..units.len()].copy_from_slice(units),
                    Side::Columns => {
                        out[within..].iter_mut().step_by(height).zip(units).for_each(|(to, unit)| *to = *unit);
                    }
                }
            }
        }
        for block in 0..panels.blocks() {
            let range = panels.block(block);
            put(block, &packed[range.start * height..range.end * height]);
        }
        scratch.panel = packed;
    }
}

impl Packed {
    /// Packs weights [lines, channels, taps] once, for many products. Values in half precision stay so.
    ///
    /// # Panics
    /// When there are not that many values.
    #[must_use]
    pub fn weights(kernel: Kernel, side: Side, values: Values, [lines, channels, taps]: [usize; 3]) -> Self {
        assert_eq!(values.len(), lines * channels * taps);
        let panels = Panels::new(&kernel, side, lines, taps * kernel.units(channels));
        Self::pack(&Lines { kernel, values, channels, taps, group: channels }, panels)
    }

    /// As [`Packed::weights`] for rows whose blocks are all taps of `group` channels: a row of a block is [taps, group].
    pub(in crate::kernels) fn groups(
        kernel: Kernel,
        values: Values,
        [lines, channels, taps]: [usize; 3],
        group: usize,
    ) -> Self {
        assert!(values.len() == lines * channels * taps && !kernel.pairs());
        let panels = Panels { block: group * taps, ..Panels::new(&kernel, Side::Rows, lines, taps * channels) };
        Self::pack(&Lines { kernel, values, channels, taps, group }, panels)
    }

    fn pack(source: &Lines, panels: Panels) -> Self {
        let (kernel, values) = (source.kernel, source.values);
        let (size, kept) = (panels.padded() * panels.units, values.kept(&kernel));
        let (mut units, mut halves) = (Vec::new(), Vec::new());
        if kept == Kept::Units {
            units = vec![0; size];
            panels.split(&mut units).into_par_iter().enumerate().for_each_init(
                Scratch::default,
                |scratch, (i, mut out)| {
                    source.pack(&panels, i, scratch, |block, units| out[block].copy_from_slice(units));
                },
            );
        } else {
            halves = vec![0; size];
            panels.split(&mut halves).into_par_iter().enumerate().for_each_init(
                Scratch::default,
                |scratch, (i, mut out)| {
                    source.pack(&panels, i, scratch, |block, units| kept.narrow(units, out[block]));
                },
            );
        }
        Packed { kernel, panels, kept, units, halves }
    }

    /// Packs an operand that several tasks will read.
    pub(super) fn filled(kernel: Kernel, panels: Panels, fill: &dyn Fill) -> Self {
        let mut units = vec![0; panels.padded() * panels.units];
        let pieces = panels.split(&mut units).into_iter().enumerate();
        let pieces: Vec<_> =
            pieces.flat_map(|(i, blocks)| blocks.into_iter().enumerate().map(move |b| (i, b))).collect();
        pieces.into_par_iter().for_each(|(panel, (block, piece))| {
            fill.fill(panels.block(block), panels.lines_of(panel), panels.height_of(panel), piece);
        });
        Packed { kernel, panels, kept: Kept::Units, units, halves: Vec::new() }
    }

    /// Some panels of a block; `scratch` holds them if they have to be widened.
    pub(in crate::kernels) fn block<'a>(
        &'a self,
        block: usize,
        panels: &Range<usize>,
        scratch: &'a mut Vec<u32>,
    ) -> &'a [u32] {
        let place = self.panels.place(block, panels);
        if self.kept == Kept::Units {
            return &self.units[place];
        }
        scratch.resize(place.len(), 0);
        self.kept.widen(self.kernel.isa(), &self.halves[place], scratch);
        scratch
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

    /// Bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * self.units.len() + 2 * self.halves.len()
    }
}
