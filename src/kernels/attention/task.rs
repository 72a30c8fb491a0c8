//! The attention of a panel of queries of one head.

#![expect(unsafe_code, reason = "the queries' outputs are written by several threads")]

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::super::output::Output;
use super::super::simd::{bits, prefetch};
use super::super::transpose::turn_floats;
use super::layout::Layout;
use super::softmax::{multiply_rows, soften, Running};

/// What a thread needs for a task, kept for the next.
#[derive(Default)]
pub(super) struct Scratch {
    /// Vectors that change between rows and columns.
    turned: Vec<f32>,
    /// Queries, [units][queries].
    queries: Vec<u32>,
    /// The scores of a block and then their exponentials, [keys][queries].
    scores: Vec<f32>,
    /// The exponentials as units, where they are rounded.
    rounded: Vec<u32>,
    /// Sums of values, [width][queries].
    sums: Vec<f32>,
    running: Running,
}

/// An attention on its way to `out`.
pub(super) struct Task<'a> {
    pub layout: Layout,
    pub q: &'a [f32],
    /// The first head that is packed.
    pub first: usize,
    pub packed: &'a [u32],
    pub mask: Option<&'a [f32]>,
    /// What scores are multiplied with, to be logarithms to the base 2.
    pub scale: f32,
    pub out: Output<'a>,
}

impl Task<'_> {
    /// Panel `panel` of the queries of a head.
    pub(super) fn run(&self, head: usize, panel: usize, scratch: &mut Scratch) {
        let kernel = &self.layout.kernel;
        let (rows, depth) = (kernel.rows(), self.layout.depth());
        let start = panel * kernel.width();
        let queries = start..(start + kernel.width()).min(self.layout.shape.queries);
        let width = queries.len().next_multiple_of(kernel.lanes());
        self.start(head, &queries, width, scratch);
        self.prefetch(head, &queries);
        let mut blocks = &self.packed[(head - self.first) * self.layout.head_units()..][..self.layout.head_units()];
        for block in self.layout.blocks() {
            let [keys_size, values_size] = self.layout.parts(block.len());
            let (keys, rest) = blocks.split_at(keys_size);
            let (values, rest) = rest.split_at(values_size);
            blocks = rest;
            let panels = keys.chunks_exact(rows * depth).zip(scratch.scores.chunks_exact_mut(rows * width));
            panels.for_each(|(keys, tile)| kernel.tile(width, depth, keys, &scratch.queries, tile, false));
            let scores = &mut scratch.scores[..block.len() * width];
            self.add_mask(head, &queries, &block, width, scores);
            let higher = soften(kernel.isa(), scores, &mut scratch.running);
            if higher && block.start > 0 {
                multiply_rows(kernel.isa(), &mut scratch.sums, &scratch.running.factors);
            }
            let units = kernel.units(block.len());
            let probabilities = self.rounded(scores, width, &mut scratch.rounded);
            let panels = values.chunks_exact(rows * units).zip(scratch.sums.chunks_exact_mut(rows * width));
            panels.for_each(|(values, tile)| {
                kernel.tile(width, units, values, probabilities, tile, block.start > 0);
            });
        }
        self.finish(head, queries, width, scratch);
    }

    /// Asks for the places of the results and for the queries of the next panel: a head's parts of them lie far from each other, which no
    /// processor foresees, and few keys take less time than to wait for them.
    fn prefetch(&self, head: usize, queries: &Range<usize>) {
        let all = self.layout.shape.queries;
        for query in queries.clone() {
            let place = self.layout.vector(head, query, all);
            self.out.prefetch(place.start, place.len());
        }
        for query in queries.end..(queries.end + queries.len()).min(all) {
            prefetch(&self.q[self.layout.vector(head, query, all)]);
        }
    }

    /// Packs the queries and makes room.
    fn start(&self, head: usize, queries: &Range<usize>, width: usize, scratch: &mut Scratch) {
        let Layout { kernel, shape, keys } = &self.layout;
        let Scratch { turned, queries: packed, scores, rounded, sums, running } = scratch;
        turned.clear();
        turned.resize(shape.width * width, 0.0);
        self.layout.turned(head, queries.clone(), shape.queries, self.q, width, turned);
        turned.iter_mut().for_each(|x| *x *= self.scale);
        packed.resize(self.layout.depth() * width, 0);
        if kernel.pairs() {
            pair_rows(&self.layout, turned, width, packed);
        } else {
            kernel.encode(turned, packed);
        }
        scores.resize(keys * width, 0.0);
        rounded.resize(if kernel.rounds() { kernel.units(*keys) * width } else { 0 }, 0);
        sums.resize(self.layout.value_rows() * width, 0.0);
        running.start(width);
    }

    /// The exponentials [keys][width] as columns of the second product, in `scratch` if they have to be rounded.
    fn rounded<'a>(&self, values: &'a [f32], width: usize, scratch: &'a mut [u32]) -> &'a [u32] {
        let kernel = &self.layout.kernel;
        if !kernel.rounds() {
            return bits(values);
        }
        let units = &mut scratch[..kernel.units(values.len() / width) * width];
        if kernel.pairs() {
            pair_rows(&self.layout, values, width, units);
        } else {
            kernel.encode(values, units);
        }
        units
    }

    /// Adds the mask to the scores of a block.
    fn add_mask(&self, head: usize, queries: &Range<usize>, block: &Range<usize>, width: usize, scores: &mut [f32]) {
        let Some(mask) = self.mask else { return };
        let shape = &self.layout.shape;
        let own = shape.queries * shape.keys;
        let mask = &mask[if mask.len() > own { head % shape.heads * own } else { 0 }..][..own];
        for (i, query) in queries.clone().enumerate() {
            let mask = &mask[query * shape.keys..][block.clone()];
            scores[i..].iter_mut().step_by(width).zip(mask).for_each(|(score, mask)| *score += mask * LOG2_E);
        }
    }

    /// Divides the sums by those of the probabilities and brings them to their places.
    fn finish(&self, head: usize, queries: Range<usize>, width: usize, scratch: &mut Scratch) {
        let Scratch { turned, sums, running, .. } = scratch;
        let (isa, shape) = (self.layout.kernel.isa(), &self.layout.shape);
        let sums = &mut sums[..shape.width * width];
        // Where a mask hides all keys, the sums are 0, or nearly.
        running.totals.iter_mut().for_each(|total| *total = total.max(f32::MIN_POSITIVE).recip());
        multiply_rows(isa, sums, &running.totals);
        turned.resize(width * shape.width, 0.0);
        turn_floats(isa, sums, width, 0, shape.width, turned);
        for (query, vector) in queries.zip(turned.chunks_exact(shape.width)) {
            let place = self.layout.vector(head, query, shape.queries);
            // SAFETY: each query of each head belongs to one task, and has a place of its own in the output.
            unsafe { self.out.part(place.start, place.len()) }.copy_from_slice(vector);
        }
    }
}

/// Rows that follow each other along the depth to rows of pairs; an odd last one is paired with zeros.
fn pair_rows(layout: &Layout, rows: &[f32], width: usize, to: &mut [u32]) {
    for (pair, to) in rows.chunks(2 * width).zip(to.chunks_exact_mut(width)) {
        match pair.split_at(width) {
            (even, []) => layout.kernel.encode_pairs(even, &vec![0.0; width], to),
            (even, odd) => layout.kernel.encode_pairs(even, odd, to),
        }
    }
}
