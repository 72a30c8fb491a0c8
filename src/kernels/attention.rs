//! Attention in blocks with a running softmax (Milakov and Gimelshein 2018, Dao et al. 2022): no matrix of all scores.

#![expect(unsafe_code, reason = "the queries' outputs are written by several threads")]

mod softmax;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use self::softmax::{exponentials, Running, Tiles};
use super::gemm::Kernel;
use super::math::exp;
use super::output::Output;
use super::simd::{floats, WIDEST};

/// Queries of a task, a multiple of every kernel's rows.
const QUERIES: usize = 48;
/// Values of the keys of a block at most: more would leave no room for the scores in a second-level cache.
const KEY_VALUES: usize = 16 << 10;
/// Keys of a block at least, and at most.
const KEYS: [usize; 2] = [96, 384];
/// The running maximum before there is any: low, and still a number whose differences are numbers.
const LOWEST: f32 = -1e30;

/// The sizes of an attention. Queries are [batch, queries, heads, width], keys and values [batch, keys, heads, width].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Number of sequences.
    pub batch: usize,
    /// Heads of each.
    pub heads: usize,
    /// Queries of each.
    pub queries: usize,
    /// Keys and values of each.
    pub keys: usize,
    /// Values of a head's vector.
    pub width: usize,
}

/// `softmax(scale q k^T + mask) v` head by head, to `out` [batch, queries, heads, width]; `mask` is [queries, keys] for all heads or
/// [heads, queries, keys]. Operands are rounded as `kernel` says, probabilities too; scores, their softmax and sums are f32.
///
/// # Panics
/// When the slices have other sizes.
pub fn attention(kernel: &Kernel, shape: &Shape, qkv: [&[f32]; 3], mask: Option<&[f32]>, scale: f32, out: &mut [f32]) {
    attention_in_slices(kernel, shape, usize::MAX, qkv, mask, scale, out);
}

/// As [`attention`], with the keys and values of at most `heads_at_once` heads of the batch packed at a time: the same bits in less
/// memory.
///
/// # Panics
/// When the slices have other sizes.
pub fn attention_in_slices(
    kernel: &Kernel,
    shape: &Shape,
    heads_at_once: usize,
    [q, k, v]: [&[f32]; 3],
    mask: Option<&[f32]>,
    scale: f32,
    out: &mut [f32],
) {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    let Shape { batch, heads, queries, keys, width } = *shape;
    assert!(q.len() == batch * queries * heads * width && out.len() == q.len());
    assert!(k.len() == batch * keys * heads * width && v.len() == k.len());
    assert!(mask.is_none_or(|mask| [queries * keys, heads * queries * keys].contains(&mask.len())));
    if out.is_empty() || keys == 0 {
        return out.fill(0.0);
    }
    let layout = Layout::new(kernel, shape);
    let (all, tasks) = (batch * heads, queries.div_ceil(QUERIES));
    for first in (0..all).step_by(heads_at_once.clamp(1, all)) {
        let slice = first..first.saturating_add(heads_at_once.max(1)).min(all);
        let packed = layout.pack(slice.clone(), k, v);
        let task = Task { layout, q, first, packed: &packed, mask, scale, out: Output::new(out) };
        (0..slice.len() * tasks).into_par_iter().with_max_len(1).for_each(|index| {
            let start = index % tasks * QUERIES;
            let range = start..(start + QUERIES).min(queries);
            SCRATCH.with_borrow_mut(|scratch| task.run(first + index / tasks, range, scratch));
        });
    }
}

/// How keys and values lie when packed: head by head, block by block, a block's keys before its values.
#[derive(Clone, Copy)]
struct Layout {
    kernel: Kernel,
    shape: Shape,
    /// Keys of a block, whole panels.
    keys: usize,
}

impl Layout {
    fn new(kernel: &Kernel, shape: &Shape) -> Self {
        let keys = (KEY_VALUES / shape.width.max(1)).clamp(KEYS[0], KEYS[1]).next_multiple_of(kernel.width());
        Layout { kernel: *kernel, shape: *shape, keys }
    }

    /// Units of a head's vector.
    fn depth(&self) -> usize {
        self.kernel.units(self.shape.width)
    }

    /// Width of the values with padding.
    fn value_width(&self) -> usize {
        self.shape.width.next_multiple_of(self.kernel.lanes())
    }

    /// Where the keys and the values of a block of `keys` lie in it.
    fn parts(&self, keys: usize) -> [usize; 2] {
        [keys.next_multiple_of(self.kernel.lanes()) * self.depth(), self.kernel.units(keys) * self.value_width()]
    }

    fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let (keys, block) = (self.shape.keys, self.keys);
        (0..keys).step_by(block).map(move |start| start..(start + block).min(keys))
    }

    fn head_units(&self) -> usize {
        self.blocks().map(|block| self.parts(block.len()).iter().sum::<usize>()).sum()
    }

    /// The keys and values of some heads of the batch.
    fn pack(&self, heads: Range<usize>, k: &[f32], v: &[f32]) -> Vec<u32> {
        let mut packed = vec![0u32; heads.len() * self.head_units()];
        let mut rest = packed.as_mut_slice();
        let mut pieces = Vec::new();
        for head in heads {
            for block in self.blocks() {
                let (piece, behind) = rest.split_at_mut(self.parts(block.len()).iter().sum());
                rest = behind;
                pieces.push((head, block, piece));
            }
        }
        pieces.into_par_iter().for_each(|(head, block, piece)| {
            let (keys, values) = piece.split_at_mut(self.parts(block.len())[0]);
            self.pack_keys(head, block.clone(), k, keys);
            self.pack_values(head, block, v, values);
        });
        packed
    }

    /// The vector of a head at `token` of `tokens`.
    fn vector(&self, head: usize, token: usize, tokens: usize) -> Range<usize> {
        let Shape { heads, width, .. } = self.shape;
        let start = ((head / heads * tokens + token) * heads + head % heads) * width;
        start..start + width
    }

    /// Keys as columns of the first product.
    fn pack_keys(&self, head: usize, block: Range<usize>, k: &[f32], out: &mut [u32]) {
        let (depth, widest) = (self.depth(), self.kernel.width());
        let mut line = vec![0; depth];
        for (panel, first) in block.clone().step_by(widest).enumerate() {
            let keys = first..(first + widest).min(block.end);
            let width = keys.len().next_multiple_of(self.kernel.lanes());
            let out = &mut out[panel * widest * depth..][..width * depth];
            for (column, token) in keys.enumerate() {
                self.kernel.encode(&k[self.vector(head, token, self.shape.keys)], &mut line);
                out[column..].iter_mut().step_by(width).zip(&line).for_each(|(to, unit)| *to = *unit);
            }
        }
    }

    /// Values as columns of the second product, whose depth are the keys.
    fn pack_values(&self, head: usize, block: Range<usize>, v: &[f32], out: &mut [u32]) {
        let (units, widest) = (self.kernel.units(block.len()), self.kernel.width());
        let per_unit = if self.kernel.pairs() { 2 } else { 1 };
        for (panel, first) in (0..self.shape.width).step_by(widest).enumerate() {
            let count = widest.min(self.shape.width - first);
            let width = count.next_multiple_of(self.kernel.lanes());
            let out = &mut out[panel * widest * units..][..width * units];
            let row = |token: usize| &v[self.vector(head, token, self.shape.keys)][first..][..count];
            for (token, to) in block.clone().step_by(per_unit).zip(out.chunks_exact_mut(width)) {
                let to = &mut to[..count];
                if !self.kernel.pairs() {
                    self.kernel.encode(row(token), to);
                } else if token + 1 < block.end {
                    self.kernel.encode_pairs(row(token), row(token + 1), to);
                } else {
                    self.kernel.encode_pairs(row(token), &vec![0.0; count], to);
                }
            }
        }
    }
}

/// What a thread needs for a task, kept for the next.
#[derive(Default)]
struct Scratch {
    /// Queries, [rows][units] for each panel.
    queries: Vec<u32>,
    /// A query times the scale.
    scaled: Vec<f32>,
    /// A query's probabilities before they are rounded.
    line: Vec<u32>,
    /// The scores of a block, tile after tile for each panel.
    scores: Vec<f32>,
    /// Probabilities, [rows][units] for each panel.
    probabilities: Vec<u32>,
    /// Sums of values, tile after tile for each panel.
    sums: Vec<f32>,
    /// What is known of each query.
    running: Vec<Running>,
}

/// An attention on its way to `out`.
struct Task<'a> {
    layout: Layout,
    q: &'a [f32],
    /// The first head that is packed.
    first: usize,
    packed: &'a [u32],
    mask: Option<&'a [f32]>,
    scale: f32,
    out: Output<'a>,
}

impl Task<'_> {
    /// Scores, their softmax and the sums of values are each computed for all panels, so that a block's keys and then its values
    /// are read from memory once.
    fn run(&self, head: usize, queries: Range<usize>, scratch: &mut Scratch) {
        let Layout { kernel, shape, .. } = self.layout;
        let (rows, depth) = (kernel.rows(), self.layout.depth());
        let panels = queries.len().div_ceil(rows);
        self.start(head, &queries, panels, scratch);
        let mut blocks = &self.packed[(head - self.first) * self.layout.head_units()..][..self.layout.head_units()];
        for block in self.layout.blocks() {
            let [keys_size, values_size] = self.layout.parts(block.len());
            let (keys, rest) = blocks.split_at(keys_size);
            let (values, rest) = rest.split_at(values_size);
            blocks = rest;
            let tiles = rows * block.len().next_multiple_of(kernel.lanes());
            for (q, scores) in scratch.queries.chunks_exact(rows * depth).zip(scratch.scores.chunks_exact_mut(tiles)) {
                products(&kernel, depth, q, keys, scores, false);
            }
            for panel in 0..panels {
                let first = queries.start + panel * rows;
                self.soften(head, panel, first..(first + rows).min(queries.end), &block, scratch);
            }
            let (units, size) = (kernel.units(block.len()), rows * self.layout.value_width());
            let probabilities = scratch.probabilities.chunks_exact(rows * units);
            for (probabilities, sums) in probabilities.zip(scratch.sums.chunks_exact_mut(size)) {
                products(&kernel, units, probabilities, values, sums, block.start > 0);
            }
        }
        self.finish(head, queries, scratch, shape.width);
    }

    /// Packs the queries and makes room.
    fn start(&self, head: usize, queries: &Range<usize>, panels: usize, scratch: &mut Scratch) {
        let Layout { kernel, shape, keys } = self.layout;
        let (rows, depth) = (kernel.rows(), self.layout.depth());
        scratch.queries.clear();
        scratch.queries.resize(panels * rows * depth, 0);
        scratch.line.resize(keys + WIDEST, 0);
        scratch.scaled.resize(shape.width, 0.0);
        for (query, line) in queries.clone().zip(scratch.queries.chunks_exact_mut(depth)) {
            let vector = &self.q[self.layout.vector(head, query, shape.queries)];
            scratch.scaled.iter_mut().zip(vector).for_each(|(to, x)| *to = x * self.scale);
            kernel.encode(&scratch.scaled, line);
        }
        scratch.sums.resize(panels * rows * self.layout.value_width(), 0.0);
        scratch.running.clear();
        scratch.running.resize(panels * rows, Running { highest: LOWEST, total: 0.0 });
        scratch.scores.resize(panels * rows * keys, 0.0);
        scratch.probabilities.resize(panels * rows * kernel.units(keys) + WIDEST, 0);
    }

    /// The probabilities of a panel's queries for a block, before they are divided by their sum.
    fn soften(&self, head: usize, panel: usize, queries: Range<usize>, block: &Range<usize>, scratch: &mut Scratch) {
        let kernel = self.layout.kernel;
        let (rows, units, keys) = (kernel.rows(), kernel.units(block.len()), block.len());
        let padded = keys.next_multiple_of(kernel.lanes());
        let scores = &mut scratch.scores[panel * rows * padded..][..rows * padded];
        self.mask_panel(head, &queries, block, scores);
        let tiles = Tiles { scores, rows, width: kernel.width(), keys: padded };
        let value_width = self.layout.value_width();
        let sums = &mut scratch.sums[panel * rows * value_width..][..rows * value_width];
        for row in 0..queries.len() {
            let running = &mut scratch.running[panel * rows + row];
            // Without rounding a row is written where it belongs; what fills its last vector is written over by the next.
            let out = &mut scratch.probabilities[(panel * rows + row) * units..];
            let new = if kernel.rounds() {
                let new = exponentials(kernel.isa(), &tiles, row, running.highest, &mut scratch.line);
                kernel.encode(&floats(&scratch.line)[..keys], &mut out[..units]);
                new
            } else {
                exponentials(kernel.isa(), &tiles, row, running.highest, out)
            };
            let factor = exp(running.highest - new.highest);
            *running = Running { total: running.total * factor + new.total, ..new };
            if factor != 1.0 && block.start > 0 {
                let mut rest = &mut *sums;
                for width in widths(value_width, kernel.width()) {
                    let (tile, behind) = rest.split_at_mut(rows * width);
                    rest = behind;
                    tile[row * width..][..width].iter_mut().for_each(|sum| *sum *= factor);
                }
            }
        }
    }

    /// Adds the mask to a panel's scores, and hides what only fills its last vector.
    fn mask_panel(&self, head: usize, queries: &Range<usize>, block: &Range<usize>, scores: &mut [f32]) {
        let kernel = self.layout.kernel;
        let (rows, keys) = (kernel.rows(), block.len());
        let padded = keys.next_multiple_of(kernel.lanes());
        if self.mask.is_none() && padded == keys {
            return;
        }
        let shape = self.layout.shape;
        let mask = self.mask.map(|mask| {
            let own = shape.queries * shape.keys;
            &mask[if mask.len() > own { head % shape.heads * own } else { 0 }..]
        });
        let mut rest = scores;
        for start in (0..padded).step_by(kernel.width()) {
            let width = kernel.width().min(padded - start);
            let (tile, behind) = rest.split_at_mut(rows * width);
            rest = behind;
            for (query, line) in queries.clone().zip(tile.chunks_exact_mut(width)) {
                let (seen, filling) = line.split_at_mut(width.min(keys - start));
                filling.fill(LOWEST);
                if let Some(mask) = mask {
                    let mask = &mask[query * shape.keys + block.start + start..];
                    seen.iter_mut().zip(mask).for_each(|(score, mask)| *score += mask);
                }
            }
        }
    }

    fn finish(&self, head: usize, queries: Range<usize>, scratch: &Scratch, width: usize) {
        let kernel = self.layout.kernel;
        let size = kernel.rows() * self.layout.value_width();
        for (i, query) in queries.enumerate() {
            let (panel, row) = (i / kernel.rows(), i % kernel.rows());
            let inverse = scratch.running[i].total.recip();
            let place = self.layout.vector(head, query, self.layout.shape.queries);
            let mut sums = &scratch.sums[panel * size..][..size];
            // SAFETY: each query of each head belongs to one task, and has a place of its own in the output.
            let out = unsafe { self.out.part(place.start, place.len()) };
            for (out, tile_width) in out.chunks_mut(kernel.width()).zip(widths(width, kernel.width())) {
                let tile_width = tile_width.next_multiple_of(kernel.lanes());
                let (tile, behind) = sums.split_at(kernel.rows() * tile_width);
                sums = behind;
                let sums = &tile[row * tile_width..];
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * inverse);
            }
        }
    }
}

/// The widths of the panels that `total` columns are divided into.
fn widths(total: usize, widest: usize) -> impl Iterator<Item = usize> {
    (0..total).step_by(widest).map(move |start| widest.min(total - start))
}

/// The product of one panel of rows and all `panels` of columns, tile after tile.
fn products(kernel: &Kernel, units: usize, a: &[u32], panels: &[u32], out: &mut [f32], add: bool) {
    let (mut panels, mut out) = (panels, out);
    while !panels.is_empty() {
        let width = kernel.width().min(panels.len() / units);
        let (panel, panels_behind) = panels.split_at(width * units);
        let (tile, out_behind) = out.split_at_mut(kernel.rows() * width);
        kernel.tile(width, units, a, panel, tile, add);
        (panels, out) = (panels_behind, out_behind);
    }
}
