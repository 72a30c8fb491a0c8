//! Operands as tasks see them: packed before, packed on the way, or rows that need no packing.

use std::ops::Range;

use super::packed::{Fill, Packed, Panels};

/// An operand as a task sees it.
pub(super) enum Operand<'a> {
    Packed(&'a Packed),
    Fill(&'a dyn Fill, Panels),
    /// Rows as they lie in memory; only the last panel, if it is not whole, is filled.
    Rows(&'a [u32], &'a dyn Fill, Panels),
}

/// Some panels of a block.
pub(super) enum Block<'a> {
    /// One after the other.
    Packed(&'a [u32]),
    /// Rows of `depth` units from the first panel's and the block's first on, and a last panel for what is no whole one.
    Rows { rows: &'a [u32], depth: usize, whole: usize, last: &'a [u32] },
}

impl<'a> Block<'a> {
    /// Panel `index` of `height` rows with `units` units of the block, and the distance of its rows.
    pub(super) fn panel(&self, index: usize, height: usize, units: usize) -> (&'a [u32], usize) {
        match *self {
            Block::Packed(panels) => (&panels[index * height * units..][..height * units], units),
            Block::Rows { rows, depth, whole, .. } if index < whole => (&rows[index * height * depth..], depth),
            Block::Rows { last, .. } => (last, units),
        }
    }
}

impl Operand<'_> {
    /// Some panels of a block.
    pub(super) fn block<'a>(&'a self, block: usize, panels: &Range<usize>, scratch: &'a mut Vec<u32>) -> Block<'a> {
        match self {
            Operand::Packed(packed) => Block::Packed(packed.block(block, panels, scratch)),
            Operand::Fill(fill, layout) => Block::Packed(filled(*fill, layout, block, panels, scratch)),
            Operand::Rows(rows, fill, layout) => {
                let (depth, units) = (layout.units, layout.block(block));
                let whole = panels.end.min(layout.lines / layout.height).saturating_sub(panels.start);
                let last = filled(*fill, layout, block, &(panels.start + whole..panels.end), scratch);
                let first = (panels.start * layout.height * depth + units.start).min(rows.len());
                Block::Rows { rows: &rows[first..], depth, whole, last }
            }
        }
    }

    /// What a task asks for while it works on panel `panel` of `panels` and a block.
    pub(super) fn ahead(&self, block: usize, panels: &Range<usize>, panel: usize) -> &[u8] {
        match self {
            Operand::Packed(packed) => packed.ahead(block, panels, panel),
            Operand::Fill(..) | Operand::Rows(..) => &[],
        }
    }
}

/// Packs some panels of a block into `scratch`.
fn filled<'a>(
    fill: &dyn Fill,
    layout: &Panels,
    block: usize,
    panels: &Range<usize>,
    scratch: &'a mut Vec<u32>,
) -> &'a [u32] {
    let units = layout.block(block);
    let size = layout.heights(panels) * units.len();
    if scratch.len() < size {
        scratch.resize(size, 0);
    }
    let mut rest = &mut scratch[..size];
    for panel in panels.clone() {
        let height = layout.height_of(panel);
        let (piece, behind) = rest.split_at_mut(height * units.len());
        rest = behind;
        fill.fill(units.clone(), layout.lines_of(panel), height, piece);
    }
    &scratch[..size]
}
