//! Where keys and values lie when they are packed.

use std::ops::Range;

use rayon::prelude::*;

use super::super::gemm::Kernel;
use super::super::memory::unfilled_units;
use super::super::transpose::turn_floats;
use super::Shape;

/// Keys of a block, about: their scores with a panel of queries stay in a first-level cache.
const KEYS: usize = 128;

/// Head by head, block by block, a block's keys before its values.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub kernel: Kernel,
    pub shape: Shape,
    /// Keys of a block, whole panels.
    pub keys: usize,
}

impl Layout {
    pub(super) fn new(kernel: &Kernel, shape: &Shape) -> Self {
        Layout { kernel: *kernel, shape: *shape, keys: KEYS / kernel.rows() * kernel.rows() }
    }

    /// Units of a head's vector.
    pub(super) fn depth(&self) -> usize {
        self.kernel.units(self.shape.width)
    }

    /// Width of the values with padding.
    pub(super) fn value_rows(&self) -> usize {
        self.shape.width.next_multiple_of(self.kernel.rows())
    }

    /// Units that the keys and the values of a block of `keys` take.
    pub(super) fn parts(&self, keys: usize) -> [usize; 2] {
        [keys.next_multiple_of(self.kernel.rows()) * self.depth(), self.kernel.units(keys) * self.value_rows()]
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let (keys, block) = (self.shape.keys, self.keys);
        (0..keys).step_by(block).map(move |start| start..(start + block).min(keys))
    }

    pub(super) fn head_units(&self) -> usize {
        self.blocks().map(|block| self.parts(block.len()).iter().sum::<usize>()).sum()
    }

    /// The keys and values of some heads of the batch.
    pub(super) fn pack(&self, heads: Range<usize>, k: &[f32], v: &[f32]) -> Vec<u32> {
        let mut packed = unfilled_units(heads.len() * self.head_units());
        let mut rest = packed.as_mut_slice();
        let mut pieces = Vec::new();
        for head in heads {
            for block in self.blocks() {
                let (piece, behind) = rest.split_at_mut(self.parts(block.len()).iter().sum());
                rest = behind;
                pieces.push((head, block, piece));
            }
        }
        pieces.into_par_iter().for_each_init(Vec::new, |scratch, (head, block, piece)| {
            let (keys, values) = piece.split_at_mut(self.parts(block.len())[0]);
            self.pack_keys(head, block.clone(), k, keys);
            self.pack_values(head, block, v, values, scratch);
        });
        packed
    }

    /// The vector of a head at `token` of `tokens`.
    pub(super) fn vector(&self, head: usize, token: usize, tokens: usize) -> Range<usize> {
        let Shape { heads, width, .. } = self.shape;
        let start = ((head / heads * tokens + token) * heads + head % heads) * width;
        start..start + width
    }

    /// The vectors of a head at some of `tokens`, turned: [width][height].
    pub(super) fn turned(
        &self,
        head: usize,
        some: Range<usize>,
        tokens: usize,
        x: &[f32],
        height: usize,
        to: &mut [f32],
    ) {
        let Shape { heads, width, .. } = self.shape;
        let line = heads * width;
        let start = head / heads * tokens;
        let lines = &x[(start + some.start) * line..(start + some.end) * line];
        turn_floats(self.kernel.isa(), lines, line, head % heads * width, height, to);
    }

    /// Keys as rows of the first product.
    fn pack_keys(&self, head: usize, block: Range<usize>, k: &[f32], out: &mut [u32]) {
        let mut lines = out.chunks_exact_mut(self.depth());
        for (token, line) in block.zip(&mut lines) {
            self.kernel.encode(&k[self.vector(head, token, self.shape.keys)], line);
        }
        lines.for_each(|padding| padding.fill(0));
    }

    /// Values as rows of the second product, whose depth are the keys.
    fn pack_values(&self, head: usize, block: Range<usize>, v: &[f32], out: &mut [u32], scratch: &mut Vec<f32>) {
        let keys = block.len();
        scratch.resize(self.shape.width * keys, 0.0);
        self.turned(head, block, self.shape.keys, v, keys, scratch);
        let mut lines = out.chunks_exact_mut(self.kernel.units(keys));
        for (values, line) in scratch.chunks_exact(keys).zip(&mut lines) {
            self.kernel.encode(values, line);
        }
        lines.for_each(|padding| padding.fill(0));
    }
}
