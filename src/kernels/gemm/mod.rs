//! The product of two matrices, `C = A B` with sums in f32: packed panels, blocks along the depth, tiles in registers.
//!
//! After Goto and van de Geijn 2008. `tile` has the innermost loops, `micro` chooses and checks, `encode` rounds and pairs values,
//! `packed` lays operands out in panels, `weights` and `arrange` those that a model is loaded from, `kept` and `widened` widen those
//! that stay half as large or quantised, `operand` brings them to tasks, `epilogue` turns sums into results, and this file divides a
//! product into tasks. How it is divided changes no bit of
//! the result: an output's products are summed block by block along the depth, whatever task it falls into.

mod arrange;
mod encode;
mod epilogue;
mod kept;
mod micro;
mod operand;
mod packed;
#[cfg(test)]
mod tests;
mod tile;
mod weights;
mod widened;

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

pub use self::encode::Rounding;
pub use self::epilogue::{Bias, Epilogue, Target};
pub use self::micro::Kernel;
pub use self::packed::{Fill, Packed, Side};
pub use self::weights::Values;

use self::epilogue::Place;
use self::micro::Before;
use self::operand::{Block, Operand};
use self::packed::Panels;
use self::tile::Exit;
use super::ahead::Ahead;
use super::output::Output;
use super::simd::{bits, streamed};

/// Sums that a task holds at most: 768 KiB, which a second-level cache should hold beside the panels.
const SUMS: usize = 192 << 10;
/// Lines of weights, or of another operand that it packs, that a task takes at most; more would only push the sums out of the cache.
const MOST_LINES: usize = 640;
/// What it costs to bring a line of an operand to a task, in multiplications of the task for each value.
const OPERAND_COST: usize = 8;
/// The same for weights that are widened from blocks.
const QUANTIZED_COST: usize = 128;
/// What a task costs beside that.
const TASK_COST: usize = 1000;

/// A product of packed weights and an operand that is packed on the way.
pub struct Product<'a> {
    /// The weights: either side.
    pub weights: &'a Packed,
    /// The other side.
    pub other: &'a dyn Fill,
    /// Its lines.
    pub lines: usize,
}

/// Rows that lie this many bytes apart would displace each other from a first-level cache.
const ALIASING: usize = 4096;

/// What a thread needs for a task, kept for the next.
#[derive(Default)]
struct Scratch {
    rows: Vec<u32>,
    columns: Vec<u32>,
    sums: Vec<f32>,
    /// A tile that is to be finished.
    tile: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Product<'_> {
    /// Computes and writes to `out` as `epilogue` says.
    ///
    /// # Panics
    /// When `out`, the bias or the residual are too small for the target.
    pub fn run(&self, epilogue: &Epilogue, out: &mut [f32]) {
        let (kernel, fixed) = (self.weights.kernel, self.weights.panels);
        let side = if fixed.side == Side::Rows { Side::Columns } else { Side::Rows };
        let other = Panels::new(&kernel, side, self.lines, fixed.units);
        if fixed.lines == 0 || other.lines == 0 {
            return;
        }
        let in_memory = self.other.rows_in_memory().filter(|_| !(4 * other.units).is_multiple_of(ALIASING));
        let packed = in_memory.is_none();
        let weight_cost = if self.weights.is_quantized() { QUANTIZED_COST } else { OPERAND_COST };
        let (fixed_step, other_step) = steps((&fixed, weight_cost), (&other, packed), rayon::current_num_threads());
        let share = packed && fixed_step < fixed.count();
        let shared = share.then(|| Packed::filled(kernel, other, self.other));
        let weights = || Operand::Packed(self.weights);
        let second = || match (in_memory, &shared) {
            (Some(rows), _) => Operand::Rows(rows, self.other, other),
            (None, Some(packed)) => Operand::Packed(packed),
            (None, None) => Operand::Fill(self.other, other),
        };
        let (a, b, row_panels, column_panels, row_step, column_step) = match fixed.side {
            Side::Rows => (weights(), second(), fixed, other, fixed_step, other_step),
            Side::Columns => (second(), weights(), other, fixed, other_step, fixed_step),
        };
        epilogue.check(row_panels.lines, column_panels.lines, out.len());
        let task = Task { kernel, a, b, rows: row_panels, columns: column_panels, epilogue, out: Output::new(out) };
        let column_tasks = column_panels.count().div_ceil(column_step);
        let tasks = row_panels.count().div_ceil(row_step) * column_tasks;
        (0..tasks).into_par_iter().with_max_len(1).for_each(|index| {
            let (i, j) = (index / column_tasks, index % column_tasks);
            let rows = i * row_step..((i + 1) * row_step).min(row_panels.count());
            let columns = j * column_step..((j + 1) * column_step).min(column_panels.count());
            SCRATCH.with_borrow_mut(|scratch| task.run(&rows, &columns, scratch));
        });
    }
}

/// Panels of the weights and of the other operand that a task takes: those with which the busiest thread has least to do. `packed` says
/// that the other operand has to be packed first: by each task, or by all together if several tasks need the same.
fn steps((fixed, weight_cost): (&Panels, usize), (other, packed): (&Panels, bool), threads: usize) -> (usize, usize) {
    let ways = divisions(fixed.count(), MOST_LINES / fixed.height).flat_map(|(fixed_step, fixed_parts)| {
        let weights = fixed_step * fixed.height;
        let room = SUMS / (weights * other.height);
        let room = if packed { room.min(MOST_LINES / other.height) } else { room };
        let sharing = if packed && fixed_parts > 1 { OPERAND_COST * other.lines / threads } else { 0 };
        divisions(other.count(), room).map(move |(other_step, other_parts)| {
            let lines = other_step * other.height;
            let cost = weights * lines + weight_cost * weights + OPERAND_COST * lines + TASK_COST;
            ((fixed_parts * other_parts).div_ceil(threads) * cost + sharing, fixed_step, other_step)
        })
    });
    ways.min().map_or((1, 1), |(_, fixed_step, other_step)| (fixed_step, other_step))
}

/// The sizes of parts, `most` or less, that `count` panels can be divided into, and how many parts they make.
fn divisions(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let at_most = move |most: usize| {
        let parts = count.div_ceil(most);
        (count.div_ceil(parts), parts)
    };
    std::iter::successors(Some(at_most(most.clamp(1, count))), move |(step, _)| (*step > 1).then(|| at_most(step - 1)))
}

/// A product on its way to `out`.
struct Task<'a> {
    kernel: Kernel,
    a: Operand<'a>,
    b: Operand<'a>,
    rows: Panels,
    columns: Panels,
    epilogue: &'a Epilogue<'a>,
    out: Output<'a>,
}

impl Task<'_> {
    /// The part of the output where `rows` and `columns` meet. Tile after tile lies in `scratch.sums`, columns outside; with its last
    /// block a tile is finished at once, so that its way to memory takes place while the next is computed.
    fn run(&self, rows: &Range<usize>, columns: &Range<usize>, scratch: &mut Scratch) {
        let Scratch { rows: row_scratch, columns: column_scratch, sums, tile } = scratch;
        let (last, height) = (self.rows.blocks().saturating_sub(1), self.rows.height);
        let size = if last > 0 { rows.len() * height * self.columns.heights(columns) } else { 0 };
        if sums.len() < size {
            sums.resize(size, 0.0);
        }
        tile.resize(height * self.columns.height, 0.0);
        for block in 0..=last {
            let units = self.rows.block(block).len();
            let a = self.a.block(block, rows, row_scratch);
            let Block::Packed(mut b) = self.b.block(block, columns, column_scratch) else { return };
            let mut sums = sums.as_mut_slice();
            for column in columns.clone() {
                let width = self.columns.height_of(column);
                let (panel, behind) = b.split_at(width * units);
                b = behind;
                let (these, behind) = sums.split_at_mut(if last > 0 { rows.len() * height * width } else { 0 });
                sums = behind;
                let stripe = Stripe { a: &a, height, panel, width, units };
                let mut ahead = Ahead::new(self.b.ahead(block, columns, column), rows.len());
                if block == last {
                    self.finish(&stripe, rows, column, these, tile, &mut ahead);
                    continue;
                }
                let before = if block > 0 { Before::Same } else { Before::Zero };
                for (row, sums) in these.chunks_exact_mut(height * width).enumerate() {
                    ahead.turn();
                    self.kernel.tile_of_rows(width, units, stripe.rows(row), panel, before, sums);
                }
            }
        }
        streamed();
    }

    /// Adds the products of the last block to `sums`, those of the blocks before, and finishes tile by tile.
    #[expect(unsafe_code, reason = "tiles of one output are written by several threads")]
    fn finish(
        &self,
        stripe: &Stripe,
        rows: &Range<usize>,
        column: usize,
        sums: &[f32],
        tile: &mut [f32],
        ahead: &mut Ahead,
    ) {
        let Stripe { height, panel, width, units, .. } = *stripe;
        let mut sums = sums.chunks_exact(height * width);
        for (row, line) in rows.clone().enumerate() {
            let place = Place { rows: self.rows.lines_of(line), columns: self.columns.lines_of(column) };
            let sums = sums.next();
            ahead.turn();
            if let Some(exit) = self.epilogue.exit(&place, (height, width), &self.out) {
                let before = sums.map_or(exit.before, <[f32]>::as_ptr);
                // SAFETY: `exit` and `before` lead to whole tiles, and each place of the output belongs to one tile of one task.
                unsafe { self.kernel.tile_to(width, units, stripe.rows(row), panel, &Exit { before, ..exit }) };
                continue;
            }
            self.epilogue.prefetch(&place, &self.out);
            let (before, tile) = (sums.map_or(Before::Zero, Before::Other), &mut tile[..height * width]);
            self.kernel.tile_of_rows(width, units, stripe.rows(row), panel, before, tile);
            self.epilogue.finish(self.kernel.isa(), &place, width, tile, &self.out);
        }
    }
}

/// A block of some rows and of a panel of columns.
struct Stripe<'a> {
    a: &'a Block<'a>,
    height: usize,
    panel: &'a [u32],
    width: usize,
    units: usize,
}

impl<'a> Stripe<'a> {
    /// Panel `row` of the rows, and the distance of its rows.
    fn rows(&self, row: usize) -> (&'a [u32], usize) {
        self.a.panel(row, self.height, self.units)
    }
}

/// The rows of a matrix [rows, depth] as the first operand.
struct RowsOf<'a> {
    kernel: Kernel,
    values: &'a [f32],
    depth: usize,
}

impl Fill for RowsOf<'_> {
    fn fill(&self, units: Range<usize>, lines: Range<usize>, _height: usize, out: &mut [u32]) {
        let per_unit = if self.kernel.pairs() { 2 } else { 1 };
        let range = units.start * per_unit..(units.end * per_unit).min(self.depth);
        let mut out = out.chunks_exact_mut(units.len());
        for (line, out) in lines.zip(&mut out) {
            self.kernel.encode(&self.values[line * self.depth..][range.clone()], out);
        }
        out.for_each(|padding| padding.fill(0));
    }

    fn rows_in_memory(&self) -> Option<&[u32]> {
        (!self.kernel.rounds()).then(|| bits(self.values))
    }
}

/// `x` [rows, depth] times the transpose of `weights` [outputs, depth] (packed as columns), to `out` [rows, outputs].
///
/// # Panics
/// When the slices have other sizes.
pub fn linear(x: &[f32], rows: usize, weights: &Packed, epilogue: &Epilogue, out: &mut [f32]) {
    let depth = x.len() / rows.max(1);
    assert_eq!(x.len(), rows * depth);
    assert_eq!(weights.kernel.units(depth), weights.panels.units);
    let other = RowsOf { kernel: weights.kernel, values: x, depth };
    Product { weights, other: &other, lines: rows }.run(epilogue, out);
}
