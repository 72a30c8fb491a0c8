//! How Winograd's squares are divided: into blocks as wide as a tile, and those among tasks.

use std::ops::Range;

use super::super::gemm::{Kernel, Packed};
use super::transform::{OUTPUTS, PRODUCTS};
use super::winograd::ROWS;

/// Sums that a task holds at most whose pixels others transformed, 896 KiB.
const SUMS: usize = 224 << 10;
/// Blocks of squares that share the transformed weights of a task that transforms their pixels itself, if there are many.
const BLOCKS: usize = 2;
/// Transformed pixels that are held at a time, 32 MiB.
const STRIP: usize = 8 << 20;

/// The squares of all outputs, in blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    /// Squares of a block at most.
    pub block: usize,
    /// What the width of a block's lines is a multiple of.
    pub lanes: usize,
    /// Number of blocks, all of about as many squares.
    pub blocks: usize,
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

    /// In as few blocks as they fit into, or in as many more as divide evenly among `threads` threads if those have several each.
    pub(super) fn new(pictures: [usize; 3], kernel: &Kernel, threads: usize) -> Self {
        let [batch, height, width] = pictures;
        let grid = Grid { batch, height, width, block: kernel.width(), lanes: kernel.lanes(), blocks: 0 };
        let vectors = grid.squares().1.div_ceil(grid.lanes);
        let least = vectors.div_ceil(grid.block / grid.lanes);
        let even = least.next_multiple_of(threads * together(least, threads));
        Grid { blocks: if least > 2 * threads && even <= vectors { even } else { least }, ..grid }
    }

    /// The squares of a block.
    pub(super) fn range(&self, block: usize) -> Range<usize> {
        let squares = self.squares().1;
        let vectors = squares.div_ceil(self.lanes);
        let start = |block: usize| (block * vectors / self.blocks * self.lanes).min(squares);
        start(block)..start(block + 1)
    }

    /// The width of a block's lines.
    pub(super) fn line(&self, block: usize) -> usize {
        self.range(block).len().next_multiple_of(self.lanes)
    }

    /// The widest block's lines.
    pub(super) fn widest(&self) -> usize {
        self.squares().1.div_ceil(self.lanes).div_ceil(self.blocks) * self.lanes
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

/// Of `blocks` blocks those that a task takes which transforms their pixels itself.
fn together(blocks: usize, threads: usize) -> usize {
    if blocks >= 8 * threads {
        BLOCKS
    } else {
        1
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
        let (all_panels, all_blocks) = (weights.lines().div_ceil(rows), grid.blocks);
        // A task that takes all outputs of its blocks transforms their pixels itself, while they are in the cache.
        let row_tasks = (4 * threads).div_ceil(all_blocks);
        if row_tasks == 1 {
            let blocks = together(all_blocks, threads);
            return Plan { all_panels, panels: all_panels, blocks, blocks_at_a_time: all_blocks, shared: false };
        }
        let blocks_at_a_time = even(all_blocks, STRIP / (PRODUCTS * channels * grid.block));
        let room = SUMS / (PRODUCTS * rows * grid.widest());
        let balanced = all_panels.div_ceil((4 * threads).div_ceil(blocks_at_a_time));
        let panels = even(all_panels, room.min(balanced.max(ROWS / rows)));
        Plan { all_panels, panels, blocks: 1, blocks_at_a_time, shared: true }
    }

    pub(super) fn row_tasks(&self) -> usize {
        self.all_panels.div_ceil(self.panels)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::gemm::Rounding;
    use super::super::super::Isa;
    use super::*;

    #[test]
    fn blocks_hold_each_square_once_and_divide_among_threads() {
        for isa in Isa::all() {
            let kernel = Kernel::new(isa, Rounding::None);
            for pictures in [[1, 1, 1], [2, 8, 8], [2, 64, 64], [1, 96, 97], [1, 256, 256], [3, 5, 1023]] {
                for threads in [1, 2, 3, 16] {
                    let grid = Grid::new(pictures, &kernel, threads);
                    let (mut next, mut widest) = (0, 0);
                    for block in 0..grid.blocks {
                        let range = grid.range(block);
                        assert!(range.start == next && !range.is_empty() && range.len() <= grid.block, "{grid:?}");
                        assert_eq!(grid.segments(block).map(|segment| segment.squares).sum::<usize>(), range.len());
                        (next, widest) = (range.end, widest.max(grid.line(block)));
                    }
                    assert_eq!((next, widest), (grid.squares().1, grid.widest()), "{grid:?}");
                    let several = grid.blocks > 3 * threads * BLOCKS && threads < 16;
                    assert!(!several || grid.blocks.is_multiple_of(threads), "{grid:?} {threads}");
                }
            }
        }
    }
}
