//! How Winograd's squares are divided: into blocks as wide as a tile, and those among tasks.

use std::ops::Range;

use super::super::gemm::Packed;
use super::transform::{OUTPUTS, PRODUCTS};
use super::winograd::ROWS;

/// Sums that a task holds at most whose pixels others transformed, 896 KiB.
const SUMS: usize = 224 << 10;
/// Blocks of squares that share the transformed weights of a task.
const BLOCKS: usize = 2;
/// Transformed pixels that are held at a time, 32 MiB.
const STRIP: usize = 8 << 20;

/// The squares of all outputs, in blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    /// Squares of a block.
    pub block: usize,
    /// What the width of a block's lines is a multiple of.
    pub lanes: usize,
}

/// Squares side by side.
pub(super) struct Segment {
    pub picture: usize,
    /// Row and column of the first square.
    pub y: usize,
    pub x: usize,
    pub squares: usize,
    /// The first square's place in its block.
    pub column: usize,
}

impl Grid {
    /// Squares in a row, and in all pictures.
    pub(super) fn squares(&self) -> (usize, usize) {
        let across = self.width.div_ceil(OUTPUTS);
        (across, across * self.height.div_ceil(OUTPUTS) * self.batch)
    }

    pub(super) fn blocks(&self) -> usize {
        self.squares().1.div_ceil(self.block)
    }

    /// The squares of a block.
    pub(super) fn range(&self, block: usize) -> Range<usize> {
        block * self.block..((block + 1) * self.block).min(self.squares().1)
    }

    /// The width of a block's lines.
    pub(super) fn line(&self, block: usize) -> usize {
        self.range(block).len().next_multiple_of(self.lanes)
    }

    /// The squares of a block, row by row.
    pub(super) fn segments(&self, block: usize) -> impl Iterator<Item = Segment> {
        let (range, across, down) = (self.range(block), self.squares().0, self.height.div_ceil(OUTPUTS));
        let mut next = range.start;
        std::iter::from_fn(move || {
            let (row, x) = (next / across, next % across);
            let squares = (across - x).min(range.end - next);
            let column = next - range.start;
            next += squares;
            (squares > 0).then_some(Segment { picture: row / down, y: row % down, x, squares, column })
        })
    }
}

/// How the work is divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub all_panels: usize,
    /// Panels of weights that a task takes.
    pub panels: usize,
    /// Blocks of squares that a task takes.
    pub blocks: usize,
    /// Blocks that are worked on before the next.
    pub blocks_at_a_time: usize,
    /// Whether their pixels are transformed before the tasks begin, and not by each task.
    pub shared: bool,
}

impl Plan {
    pub(super) fn new(grid: &Grid, channels: usize, weights: &Packed, threads: usize) -> Self {
        let even = |count: usize, at_most: usize| count.div_ceil(count.div_ceil(at_most.max(1)));
        let rows = weights.kernel().rows();
        let (all_panels, all_blocks) = (weights.lines().div_ceil(rows), grid.blocks());
        // A task that takes all outputs of its blocks transforms their pixels itself, while they are in the cache.
        let row_tasks = (4 * threads).div_ceil(all_blocks);
        if row_tasks == 1 {
            let blocks = if all_blocks >= 8 * threads { BLOCKS } else { 1 };
            return Plan { all_panels, panels: all_panels, blocks, blocks_at_a_time: all_blocks, shared: false };
        }
        let blocks_at_a_time = even(all_blocks, STRIP / (PRODUCTS * channels * grid.block));
        let blocks = even(blocks_at_a_time, BLOCKS);
        let room = SUMS / (PRODUCTS * rows * blocks * grid.line(0));
        let balanced = all_panels.div_ceil((4 * threads).div_ceil(blocks_at_a_time.div_ceil(blocks)));
        let panels = even(all_panels, room.min(balanced.max(ROWS / rows)));
        Plan { all_panels, panels, blocks, blocks_at_a_time, shared: true }
    }

    pub(super) fn row_tasks(&self) -> usize {
        self.all_panels.div_ceil(self.panels)
    }
}
