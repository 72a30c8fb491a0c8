//! Winograd's minimal filtering: a convolution of 3x3 as 36 products with a quarter of the multiplications.
//!
//! A square of 4x4 outputs sees 6x6 pixels. Weights and pixels are transformed, the channels' products summed up for each of the 36
//! places, and the sums transformed to outputs. All of it goes block by block: what a task works on stays in a second-level cache.
//! Transformed weights would take four times the memory, so each task makes those that it needs from the weights as they are kept.

#![expect(unsafe_code, reason = "squares of one output are written by several threads")]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::super::gemm::{Kernel, Packed};
use super::super::isa::per_isa;
use super::super::memory::unfilled_units;
use super::super::output::Output;
use super::super::simd::WIDEST;
use super::source::{Place, Source};
use super::transform::{self, transform_pixels, transform_sums, transform_weights, PixelLines};
use super::transform::{INPUTS, OUTPUTS, PRODUCTS};
use super::{Finish, Pictures, Window};

/// Channels that are worked on at a time.
pub(super) const GROUP: usize = 64;
/// Outputs of a task from which on it transforms its pixels itself.
const LEAST_ROWS: usize = 128;
/// Sums that a task holds at most whose pixels others transformed, 896 KiB.
const SUMS: usize = 224 << 10;
/// Blocks of squares that share the transformed weights of a task.
const BLOCKS: usize = 2;
/// Rows of outputs whose weights are transformed at a time.
const ROWS: usize = 32;
/// Transformed pixels that are held at a time, 32 MiB.
const STRIP: usize = 8 << 20;

/// As [`super::conv2d`], to an output of `height` and `width`; neither it nor the input is empty.
pub(super) fn conv2d(
    x: &[f32],
    pictures: &Pictures,
    window: &Window,
    weights: &Packed,
    finish: &Finish,
    [height, width]: [usize; 2],
    out: &mut [f32],
) {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    let kernel = *weights.kernel();
    let grid = Grid { batch: pictures.batch, height, width, block: kernel.width(), lanes: kernel.lanes() };
    let source = Source::new(x, pictures, window, kernel);
    let plan = Plan::new(&grid, pictures.channels, weights, rayon::current_num_threads());
    let job = Job { grid, channels: pictures.channels, source, weights, finish, out: Output::new(out) };
    for start in (0..grid.blocks()).step_by(plan.blocks_at_a_time) {
        let blocks = start..(start + plan.blocks_at_a_time).min(grid.blocks());
        let shared = plan.shared.then(|| job.transform(&blocks));
        let slabs = job.slabs(&blocks);
        let tasks = blocks.len().div_ceil(plan.blocks) * plan.row_tasks();
        (0..tasks).into_par_iter().with_max_len(1).for_each(|index| {
            let (rows, index) = (index % plan.row_tasks() * plan.panels, index / plan.row_tasks() * plan.blocks);
            let panels = rows..(rows + plan.panels).min(plan.all_panels);
            let part = start + index..(start + index + plan.blocks).min(blocks.end);
            let pixels = shared.as_ref().map(|pixels| &pixels[index * slabs..]);
            SCRATCH.with_borrow_mut(|scratch| job.run(&panels, &part, pixels, scratch));
        });
    }
}

/// The squares of all outputs, in blocks.
#[derive(Debug, Clone, Copy)]
struct Grid {
    batch: usize,
    height: usize,
    width: usize,
    /// Squares of a block.
    block: usize,
    /// What the width of a block's lines is a multiple of.
    lanes: usize,
}

/// Squares side by side.
struct Segment {
    picture: usize,
    /// Row and column of the first square.
    y: usize,
    x: usize,
    squares: usize,
    /// The first square's place in its block.
    column: usize,
}

impl Grid {
    /// Squares in a row, and in all pictures.
    fn squares(&self) -> (usize, usize) {
        let across = self.width.div_ceil(OUTPUTS);
        (across, across * self.height.div_ceil(OUTPUTS) * self.batch)
    }

    fn blocks(&self) -> usize {
        self.squares().1.div_ceil(self.block)
    }

    /// The squares of a block.
    fn range(&self, block: usize) -> Range<usize> {
        block * self.block..((block + 1) * self.block).min(self.squares().1)
    }

    /// The width of a block's lines.
    fn line(&self, block: usize) -> usize {
        self.range(block).len().next_multiple_of(self.lanes)
    }

    /// The squares of a block, row by row.
    fn segments(&self, block: usize) -> impl Iterator<Item = Segment> {
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
struct Plan {
    all_panels: usize,
    /// Panels of weights that a task takes.
    panels: usize,
    /// Blocks of squares that a task takes.
    blocks: usize,
    /// Blocks that are worked on before the next.
    blocks_at_a_time: usize,
    /// Whether their pixels are transformed before the tasks begin, and not by each task.
    shared: bool,
}

impl Plan {
    fn new(grid: &Grid, channels: usize, weights: &Packed, threads: usize) -> Self {
        let even = |count: usize, at_most: usize| count.div_ceil(count.div_ceil(at_most.max(1)));
        let rows = weights.kernel().rows();
        let (all_panels, all_blocks) = (weights.lines().div_ceil(rows), grid.blocks());
        // A task that takes many outputs can transform its pixels itself, while they are in the cache.
        let row_tasks = (4 * threads).div_ceil(all_blocks);
        if all_blocks > 1 && weights.lines() / row_tasks >= LEAST_ROWS {
            let blocks = if all_blocks >= 8 * threads { BLOCKS } else { 1 };
            let panels = even(all_panels, all_panels.div_ceil(row_tasks));
            return Plan { all_panels, panels, blocks, blocks_at_a_time: all_blocks, shared: false };
        }
        let blocks_at_a_time = even(all_blocks, STRIP / (PRODUCTS * channels * grid.block));
        let blocks = even(blocks_at_a_time, BLOCKS);
        let room = SUMS / (PRODUCTS * rows * blocks * grid.line(0));
        let balanced = all_panels.div_ceil((4 * threads).div_ceil(blocks_at_a_time.div_ceil(blocks)));
        let panels = even(all_panels, room.min(balanced.max(ROWS / rows)));
        Plan { all_panels, panels, blocks, blocks_at_a_time, shared: true }
    }

    fn row_tasks(&self) -> usize {
        self.all_panels.div_ceil(self.panels)
    }
}

/// What a thread needs for a task, kept for the next.
#[derive(Default)]
struct Scratch {
    widened: Vec<u32>,
    weights: Vec<u32>,
    sums: Vec<f32>,
    lines: Vec<f32>,
    pixels: Vec<u32>,
    pixel_lines: PixelLines,
}

/// Makes room for `size` values at least.
fn grow<T: Copy + Default>(values: &mut Vec<T>, size: usize) {
    if values.len() < size {
        values.resize(size, T::default());
    }
}

/// A convolution on its way to `out`.
struct Job<'a> {
    grid: Grid,
    channels: usize,
    source: Source<'a>,
    weights: &'a Packed,
    finish: &'a Finish<'a>,
    out: Output<'a>,
}

impl Job<'_> {
    fn kernel(&self) -> &Kernel {
        self.weights.kernel()
    }

    /// The channels of group `index`.
    fn group(&self, index: usize) -> Range<usize> {
        index * GROUP..((index + 1) * GROUP).min(self.channels)
    }

    fn groups(&self) -> usize {
        self.channels.div_ceil(GROUP)
    }

    /// From product to product of a slab: its channels' lines, and room for the vector that a line's last may be.
    fn stride(channels: usize, line: usize) -> usize {
        channels * line + WIDEST
    }

    /// Transformed pixels of a block, group after group.
    fn slab(&self, line: usize) -> usize {
        PRODUCTS * (self.channels * line + self.groups() * WIDEST)
    }

    /// The same for the widest of `blocks`.
    fn slabs(&self, blocks: &Range<usize>) -> usize {
        self.slab(self.grid.line(blocks.start))
    }

    /// Transforms the pixels of `blocks`: block by block, group by group a slab of [products][channels][line].
    fn transform(&self, blocks: &Range<usize>) -> Vec<u32> {
        let mut pixels = unfilled_units(blocks.len() * self.slabs(blocks));
        let mut pieces = Vec::new();
        for (block, slab) in blocks.clone().zip(pixels.chunks_mut(self.slabs(blocks))) {
            let mut rest = slab;
            for group in 0..self.groups() {
                let (piece, behind) =
                    rest.split_at_mut(PRODUCTS * Self::stride(self.group(group).len(), self.grid.line(block)));
                rest = behind;
                pieces.push((block, group, piece));
            }
        }
        pieces.into_par_iter().for_each_init(PixelLines::default, |lines, (block, group, piece)| {
            self.transform_group(block, self.group(group), piece, lines);
        });
        pixels
    }

    fn transform_group(&self, block: usize, channels: Range<usize>, slab: &mut [u32], lines: &mut PixelLines) {
        lines.make_room(self.grid.block);
        let line = self.grid.line(block);
        let stride = Self::stride(channels.len(), line);
        for (index, channel) in channels.enumerate() {
            for segment in self.grid.segments(block) {
                let (y, x) = (segment.y * OUTPUTS, segment.x * OUTPUTS);
                for i in 0..INPUTS {
                    let place = Place { picture: segment.picture, y: y + i, x };
                    let (line, scratch) = lines.line(i, segment.squares);
                    self.source.line(channel, place, line, scratch);
                }
                let to = &mut slab[index * line + segment.column..];
                transform_pixels(self.kernel().isa(), lines, segment.squares, to, stride);
            }
        }
    }

    /// The outputs of some panels of weights for some blocks, whose slabs `pixels` begins with; if there are none, they are made.
    fn run(&self, panels: &Range<usize>, blocks: &Range<usize>, pixels: Option<&[u32]>, scratch: &mut Scratch) {
        let (rows, slab) = (self.kernel().rows(), self.slab(self.grid.line(blocks.start)));
        let Scratch { widened, weights, sums, lines, pixels: own, pixel_lines } = scratch;
        grow(sums, PRODUCTS * rows * panels.len() * self.grid.block * blocks.len());
        for group in 0..self.groups() {
            let channels = self.group(group).len();
            let own_slab = PRODUCTS * Self::stride(channels, self.grid.block);
            if pixels.is_none() {
                grow(own, own_slab * blocks.len());
                for (block, slab) in blocks.clone().zip(own.chunks_exact_mut(own_slab)) {
                    self.transform_group(block, self.group(group), slab, pixel_lines);
                }
            }
            for first in panels.clone().step_by(ROWS / rows) {
                let some = first..(first + ROWS / rows).min(panels.end);
                self.transform_weights(group, &some, widened, weights);
                for (i, block) in blocks.clone().enumerate() {
                    let line = self.grid.line(block);
                    let before = PRODUCTS * Self::stride_before(group, line);
                    let pixels =
                        pixels.map_or(&own[(i * own_slab).min(own.len())..], |pixels| &pixels[i * slab + before..]);
                    let at = i * panels.len() * self.grid.block + (first - panels.start) * line;
                    self.products(channels, line, weights, pixels, &mut sums[at * PRODUCTS * rows..], group > 0);
                }
            }
        }
        for (i, block) in blocks.clone().enumerate() {
            let at = i * panels.len() * PRODUCTS * rows * self.grid.block;
            self.write(panels, block, &sums[at..], lines);
        }
    }

    /// The weights of some panels for a group of channels, to `to` [products][panels][rows][channels].
    fn transform_weights(&self, group: usize, panels: &Range<usize>, widened: &mut Vec<u32>, to: &mut Vec<u32>) {
        let (rows, channels) = (self.kernel().rows(), self.group(group).len());
        let kept = self.weights.block(group, panels, widened);
        // Lines a power of two apart would displace each other from the first-level cache.
        let stride = panels.len() * rows * channels + WIDEST;
        to.resize(PRODUCTS * stride, 0);
        for (row, kept) in kept.chunks_exact(transform::TAPS * channels).enumerate() {
            transform_weights(self.kernel().isa(), kept, &mut to[row * channels..], stride);
        }
    }

    /// Where group `index` begins in a slab's products.
    fn stride_before(index: usize, line: usize) -> usize {
        index * Self::stride(GROUP, line)
    }

    /// All 36 products of some panels of weights, [products][panels][rows][channels], and a slab, to sums [panels][products][rows][line].
    fn products(&self, channels: usize, line: usize, weights: &[u32], slab: &[u32], sums: &mut [f32], add: bool) {
        let rows = self.kernel().rows();
        let (tile, panel) = (rows * line, rows * channels);
        let per_product = weights.len() / PRODUCTS;
        for (product, weights) in weights.chunks_exact(per_product).enumerate() {
            let columns = &slab[product * Self::stride(channels, line)..][..channels * line];
            for (i, weights) in weights[..per_product - WIDEST].chunks_exact(panel).enumerate() {
                let sums = &mut sums[(i * PRODUCTS + product) * tile..][..tile];
                self.kernel().tile(line, channels, weights, columns, sums, add);
            }
        }
    }

    /// Transforms the sums of a block, [panels][products][rows][line], to outputs.
    fn write(&self, panels: &Range<usize>, block: usize, sums: &[f32], lines: &mut Vec<f32>) {
        let (rows, line, isa) = (self.kernel().rows(), self.grid.line(block), self.kernel().isa());
        lines.resize(OUTPUTS * OUTPUTS * line, 0.0);
        for (panel, sums) in panels.clone().zip(sums.chunks_exact(PRODUCTS * rows * line)) {
            for row in 0..rows.min(self.weights.lines() - panel * rows) {
                transform_sums(isa, &sums[row * line..], rows * line, line, lines, self.grid.lanes);
                let output = panel * rows + row;
                for segment in self.grid.segments(block) {
                    self.write_segment(output, &segment, line, lines);
                }
            }
        }
    }

    /// Adds what is to be added and writes the outputs of a segment.
    fn write_segment(&self, output: usize, segment: &Segment, line: usize, lines: &[f32]) {
        let Grid { height, width, .. } = self.grid;
        let (outputs, x) = (self.weights.lines(), segment.x * OUTPUTS);
        let count = (segment.squares * OUTPUTS).min(width - x);
        let shift = self.finish.shift.map(|shift| shift[segment.picture * outputs + output]);
        for (i, y) in (segment.y * OUTPUTS..height).take(OUTPUTS).enumerate() {
            let start = ((segment.picture * outputs + output) * height + y) * width + x;
            let values = &lines[OUTPUTS * (i * line + segment.column)..][..count];
            let residual = self.finish.residual.map(|residual| &residual[start..][..count]);
            // SAFETY: each square of each output belongs to one task, and has a place of its own in the output.
            let out = unsafe { self.out.part(start, count) };
            finish_line(self.kernel().isa(), values, (self.finish.bias[output], shift), self.finish, residual, out);
        }
    }
}

per_isa! {
    fn finish_line(
        values: &[f32],
        bias: (f32, Option<f32>),
        finish: &Finish,
        residual: Option<&[f32]>,
        out: &mut [f32],
    ) {
        let (bias, shift) = bias;
        match shift {
            None => out.iter_mut().zip(values).for_each(|(out, value)| *out = value + bias),
            Some(shift) => out.iter_mut().zip(values).for_each(|(out, value)| *out = (value + bias) + shift),
        }
        if let Some(function) = finish.function {
            function.apply(out);
        }
        if let Some(residual) = residual {
            out.iter_mut().zip(residual).for_each(|(out, residual)| *out += residual);
        }
    }
}
