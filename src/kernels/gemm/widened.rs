//! Panels of quantised weights, widened and packed while a product runs.

use std::cell::RefCell;
use std::ops::Range;

use super::super::quant::Quantized;
use super::super::simd::{floats, floats_mut};
use super::super::transpose::turn_floats;
use super::micro::Kernel;
use super::packed::Panels;

/// Lines of a panel on their way.
#[derive(Default)]
struct Scratch {
    wide: Vec<f32>,
    units: Vec<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Some panels of columns of a block, as units: what rounding and packing the widened weights would give.
pub(super) fn widen_panels(
    kernel: &Kernel,
    weights: &Quantized,
    layout: &Panels,
    (block, panels): (usize, &Range<usize>),
    mut out: &mut [u32],
) {
    let units = layout.block(block);
    SCRATCH.with_borrow_mut(|scratch| {
        for panel in panels.clone() {
            let height = layout.height_of(panel);
            let (piece, behind) = std::mem::take(&mut out).split_at_mut(height * units.len());
            out = behind;
            widen_panel(kernel, weights, (units.clone(), layout.lines_of(panel)), height, scratch, piece);
        }
    });
}

fn widen_panel(
    kernel: &Kernel,
    weights: &Quantized,
    (units, lines): (Range<usize>, Range<usize>),
    height: usize,
    scratch: &mut Scratch,
    out: &mut [u32],
) {
    let Scratch { wide, units: encoded } = scratch;
    let (isa, [_, depth], grain) = (kernel.isa(), weights.dims(), weights.grain());
    let per_unit = if kernel.pairs() { 2 } else { 1 };
    let values = units.start * per_unit..(units.end * per_unit).min(depth);
    // What is widened together need not begin where the block does.
    let first = values.start / grain * grain;
    let len = values.end.next_multiple_of(grain).min(depth) - first;
    wide.resize(lines.len() * len, 0.0);
    for (line, to) in lines.clone().zip(wide.chunks_exact_mut(len)) {
        weights.widen(isa, line, first, to);
    }
    if lines.len() < height {
        out.fill(0);
    }
    if !kernel.rounds() {
        return turn_floats(isa, wide, len, values.start - first, height, floats_mut(out));
    }
    encoded.resize(lines.len() * units.len(), 0);
    for (line, to) in wide.chunks_exact(len).zip(encoded.chunks_exact_mut(units.len())) {
        kernel.encode(&line[values.start - first..][..values.len()], to);
    }
    turn_floats(isa, floats(encoded), units.len(), 0, height, floats_mut(out));
}
