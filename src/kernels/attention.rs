//! Attention in blocks with a running softmax (Milakov and Gimelshein 2018, Dao et al. 2022): no matrix of all scores.

#![expect(unsafe_code, reason = "the queries' outputs are written by several threads")]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::gemm::Kernel;
use super::isa::per_isa;
use super::math::exp;
use super::output::Output;

/// Queries of a task, a multiple of every kernel's rows.
const QUERIES: usize = 48;
/// Keys of a block, a multiple of every kernel's width: its scores for the rows of a tile stay in a first-level cache.
const KEYS: usize = 384;
/// The running maximum before there is any: low, and still a number whose differences are numbers.
const LOWEST: f32 = -1e30;
/// Values that are compared or summed side by side.
const LANES: usize = 16;

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

/// `softmax(scale q k^T + mask) v` head by head, to `out` [batch, queries, heads, width]; `mask` is [queries, keys]. Operands
/// are rounded as `kernel` says, probabilities too; scores, their softmax and sums are f32.
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
    assert!(mask.is_none_or(|mask| mask.len() == queries * keys));
    if out.is_empty() || keys == 0 {
        return out.fill(0.0);
    }
    let layout = Layout { kernel: *kernel, shape: *shape };
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
}

impl Layout {
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
        let keys = self.shape.keys;
        (0..keys).step_by(KEYS).map(move |start| start..(start + KEYS).min(keys))
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
    /// The scores of a panel for a block, tile after tile.
    scores: Vec<f32>,
    /// One row of them.
    line: Vec<f32>,
    /// Probabilities, [rows][units].
    probabilities: Vec<u32>,
    /// Sums of values, tile after tile for each panel.
    sums: Vec<f32>,
    /// For each query the maximum so far and the sum of exponentials.
    running: Vec<(f32, f32)>,
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
    fn run(&self, head: usize, queries: Range<usize>, scratch: &mut Scratch) {
        let Layout { kernel, shape } = self.layout;
        let (rows, depth) = (kernel.rows(), self.layout.depth());
        let panels = queries.len().div_ceil(rows);
        self.start(head, &queries, panels, scratch);
        let mut blocks = &self.packed[(head - self.first) * self.layout.head_units()..][..self.layout.head_units()];
        for block in self.layout.blocks() {
            let [keys_size, values_size] = self.layout.parts(block.len());
            let (keys, rest) = blocks.split_at(keys_size);
            let (values, rest) = rest.split_at(values_size);
            blocks = rest;
            for panel in 0..panels {
                let q = &scratch.queries[panel * rows * depth..][..rows * depth];
                products(&kernel, depth, q, keys, &mut scratch.scores[..rows * (keys_size / depth)], false);
                let first = queries.start + panel * rows;
                self.soften(panel, first..(first + rows).min(queries.end), &block, scratch);
                let size = rows * self.layout.value_width();
                let sums = &mut scratch.sums[panel * size..][..size];
                let units = kernel.units(block.len());
                products(&kernel, units, &scratch.probabilities[..rows * units], values, sums, true);
            }
        }
        self.finish(head, queries, scratch, shape.width);
    }

    /// Packs the queries and clears what is summed up.
    fn start(&self, head: usize, queries: &Range<usize>, panels: usize, scratch: &mut Scratch) {
        let Layout { kernel, shape } = self.layout;
        let (rows, depth) = (kernel.rows(), self.layout.depth());
        scratch.queries.clear();
        scratch.queries.resize(panels * rows * depth, 0);
        for (query, line) in queries.clone().zip(scratch.queries.chunks_exact_mut(depth)) {
            kernel.encode(&self.q[self.layout.vector(head, query, shape.queries)], line);
        }
        scratch.sums.clear();
        scratch.sums.resize(panels * rows * self.layout.value_width(), 0.0);
        scratch.running.clear();
        scratch.running.resize(panels * rows, (LOWEST, 0.0));
        scratch.scores.resize(rows * KEYS, 0.0);
        scratch.line.resize(KEYS, 0.0);
        scratch.probabilities.clear();
        scratch.probabilities.resize(rows * kernel.units(KEYS), 0);
    }

    /// The probabilities of a panel's queries for a block, before they are divided by their sum.
    fn soften(&self, panel: usize, queries: Range<usize>, block: &Range<usize>, scratch: &mut Scratch) {
        let kernel = self.layout.kernel;
        let (rows, units, isa) = (kernel.rows(), kernel.units(block.len()), kernel.isa());
        let value_width = self.layout.value_width();
        let sums = &mut scratch.sums[panel * rows * value_width..][..rows * value_width];
        for (row, query) in queries.enumerate() {
            let line = &mut scratch.line[..block.len()];
            let mask = self.mask.map(|mask| &mask[query * self.layout.shape.keys..][block.clone()]);
            let tiles = Tiles { values: &scratch.scores, rows, width: kernel.width(), lanes: kernel.lanes() };
            let highest = tiles.gather_row(isa, row, self.scale, mask, line);
            let (before, total) = &mut scratch.running[panel * rows + row];
            let maximum = before.max(highest);
            let factor = exp(*before - maximum);
            *total = *total * factor + exponentials(isa, maximum, line);
            *before = maximum;
            kernel.encode(line, &mut scratch.probabilities[row * units..][..units]);
            if factor != 1.0 {
                let tiles = widths(value_width, kernel.width());
                let mut rest = &mut *sums;
                for width in tiles {
                    let (tile, behind) = rest.split_at_mut(rows * width);
                    rest = behind;
                    tile[row * width..][..width].iter_mut().for_each(|sum| *sum *= factor);
                }
            }
        }
    }

    fn finish(&self, head: usize, queries: Range<usize>, scratch: &Scratch, width: usize) {
        let kernel = self.layout.kernel;
        let size = kernel.rows() * self.layout.value_width();
        for (i, query) in queries.enumerate() {
            let (panel, row) = (i / kernel.rows(), i % kernel.rows());
            let inverse = scratch.running[i].1.recip();
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

/// Tiles of scores, one after the other.
struct Tiles<'a> {
    values: &'a [f32],
    rows: usize,
    width: usize,
    lanes: usize,
}

impl Tiles<'_> {
    /// A row, scaled and masked, to `line`; its maximum.
    fn gather_row(&self, isa: super::Isa, row: usize, scale: f32, mask: Option<&[f32]>, line: &mut [f32]) -> f32 {
        let mut start = 0;
        let count = line.len();
        for line in line.chunks_mut(self.width) {
            let width = self.width.min((count - start).next_multiple_of(self.lanes));
            let scores = &self.values[start * self.rows + row * width..][..line.len()];
            scaled(isa, scores, scale, line);
            start += line.len();
        }
        if let Some(mask) = mask {
            line.iter_mut().zip(mask).for_each(|(score, mask)| *score += mask);
        }
        maximum(isa, line)
    }
}

per_isa! {
    fn scaled(from: &[f32], scale: f32, to: &mut [f32]) {
        to.iter_mut().zip(from).for_each(|(to, score)| *to = score * scale);
    }
}

per_isa! {
    fn maximum(line: &[f32]) -> f32 {
        let mut highest = [LOWEST; LANES];
        let mut chunks = line.chunks_exact(LANES);
        for chunk in &mut chunks {
            highest.iter_mut().zip(chunk).for_each(|(high, x)| *high = if *x > *high { *x } else { *high });
        }
        let rest = chunks.remainder().iter().copied();
        highest.into_iter().chain(rest).fold(LOWEST, f32::max)
    }
}

per_isa! {
    /// Replaces each value by the exponential of its distance to the maximum; their sum.
    fn exponentials(maximum: f32, line: &mut [f32]) -> f32 {
        line.iter_mut().for_each(|x| *x = exp(*x - maximum));
        let mut sums = [0f32; LANES];
        let mut chunks = line.chunks_exact(LANES);
        for chunk in &mut chunks {
            sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x);
        }
        sums.iter_mut().zip(chunks.remainder()).for_each(|(sum, x)| *sum += x);
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests;
