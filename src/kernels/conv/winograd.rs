//! Winograd's minimal filtering: a convolution of 3x3 as 36 products with a quarter of the multiplications.
//!
//! A square of 4x4 outputs sees 6x6 pixels. Weights and pixels are transformed, the channels' products summed up for each of the 36
//! places, and the sums transformed to outputs. All of it goes block by block: what a task works on stays in a second-level cache.
//! Transformed weights would take four times the memory, so each task makes those that it needs from the weights as they are kept.

#![expect(unsafe_code, reason = "squares of one output are written by several threads")]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::super::ahead::Ahead;
use super::super::gemm::{Kernel, Packed};
use super::super::isa::per_isa;
use super::super::memory::unfilled_units;
use super::super::output::Output;
use super::super::simd::WIDEST;
use super::super::stream::Writer;
use super::grid::{Grid, Plan, Segment};
use super::source::{Place, Source};
use super::transform::{self, transform_pixels, transform_sums, transform_weights, PixelLines};
use super::transform::{INPUTS, OUTPUTS, PRODUCTS};
use super::{Finish, Pictures, Window};

/// Channels that are worked on at a time.
pub(super) const GROUP: usize = 64;
/// Rows of outputs whose weights are transformed at a time.
pub(super) const ROWS: usize = 32;

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
    let grid = Grid::new([pictures.batch, height, width], &kernel, rayon::current_num_threads());
    let source = Source::new(x, pictures, window, kernel);
    let plan = Plan::new(&grid, pictures.channels, weights, rayon::current_num_threads());
    let job = Job { grid, channels: pictures.channels, source, weights, finish, out: Output::new(out) };
    for start in (0..grid.blocks).step_by(plan.blocks_at_a_time) {
        let blocks = start..(start + plan.blocks_at_a_time).min(grid.blocks);
        let shared = plan.shared.then(|| job.transform(&blocks));
        let tasks = blocks.len().div_ceil(plan.blocks) * plan.row_tasks();
        (0..tasks).into_par_iter().with_max_len(1).for_each(|index| {
            let (rows, index) = (index % plan.row_tasks() * plan.panels, index / plan.row_tasks() * plan.blocks);
            let panels = rows..(rows + plan.panels).min(plan.all_panels);
            let part = start + index..(start + index + plan.blocks).min(blocks.end);
            let pixels = shared.as_ref().map(|pixels| &pixels[index * job.slab()..]);
            SCRATCH.with_borrow_mut(|scratch| job.run(&panels, &part, pixels, scratch));
        });
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

    /// Transformed pixels of the widest block, group after group.
    fn slab(&self) -> usize {
        PRODUCTS * (self.channels * self.grid.widest() + self.groups() * WIDEST)
    }

    /// Transforms the pixels of `blocks`: block by block, group by group a slab of [products][channels][line].
    fn transform(&self, blocks: &Range<usize>) -> Vec<u32> {
        let mut pixels = unfilled_units(blocks.len() * self.slab());
        let mut pieces = Vec::new();
        for (block, slab) in blocks.clone().zip(pixels.chunks_mut(self.slab())) {
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
                    // Each channel lies elsewhere, so that the processor does not foresee the next.
                    self.source.prefetch(channel + 1, place, line.len());
                    self.source.line(channel, place, line, scratch);
                }
                let to = &mut slab[index * line + segment.column..];
                transform_pixels(self.kernel().isa(), lines, segment.squares, to, stride);
            }
        }
    }

    /// The outputs of some panels of weights for some blocks, whose slabs `pixels` begins with; if there are none, they are made.
    fn run(&self, panels: &Range<usize>, blocks: &Range<usize>, pixels: Option<&[u32]>, scratch: &mut Scratch) {
        let (rows, slab) = (self.kernel().rows(), self.slab());
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
                let mut ahead = Ahead::new(self.kept_next(group, &some, panels), blocks.len() * PRODUCTS * some.len());
                for (i, block) in blocks.clone().enumerate() {
                    let line = self.grid.line(block);
                    let before = PRODUCTS * Self::stride_before(group, line);
                    let pixels =
                        pixels.map_or(&own[(i * own_slab).min(own.len())..], |pixels| &pixels[i * slab + before..]);
                    let at = i * panels.len() * self.grid.block + (first - panels.start) * line;
                    let sums = (&mut sums[at * PRODUCTS * rows..], group > 0);
                    self.products([channels, line], weights, pixels, sums, &mut ahead);
                }
            }
        }
        let mut writer = Writer::new(self.kernel().isa(), self.out.streams());
        for (i, block) in blocks.clone().enumerate() {
            let at = i * panels.len() * PRODUCTS * rows * self.grid.block;
            self.write(panels, block, &sums[at..], lines, &mut writer);
        }
    }

    /// The weights, as they are kept, that a task for `panels` transforms after those of `some` of them and a group of channels.
    fn kept_next(&self, group: usize, some: &Range<usize>, panels: &Range<usize>) -> &[u8] {
        let (group, start) = if some.end < panels.end { (group, some.end) } else { (group + 1, panels.start) };
        if group == self.groups() {
            return &[];
        }
        self.weights.kept(group, &(start..(start + ROWS / self.kernel().rows()).min(panels.end)))
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
    /// The sums are new or added to what is there; `ahead` has a turn for each product of a panel.
    fn products(
        &self,
        [channels, line]: [usize; 2],
        weights: &[u32],
        slab: &[u32],
        (sums, add): (&mut [f32], bool),
        ahead: &mut Ahead,
    ) {
        let rows = self.kernel().rows();
        let (tile, panel) = (rows * line, rows * channels);
        let per_product = weights.len() / PRODUCTS;
        for (product, weights) in weights.chunks_exact(per_product).enumerate() {
            let columns = &slab[product * Self::stride(channels, line)..][..channels * line];
            for (i, weights) in weights[..per_product - WIDEST].chunks_exact(panel).enumerate() {
                let sums = &mut sums[(i * PRODUCTS + product) * tile..][..tile];
                ahead.turn();
                self.kernel().tile(line, channels, weights, columns, sums, add);
            }
        }
    }

    /// Transforms the sums of a block, [panels][products][rows][line], to outputs.
    fn write(&self, panels: &Range<usize>, block: usize, sums: &[f32], lines: &mut Vec<f32>, writer: &mut Writer) {
        let (rows, line, isa) = (self.kernel().rows(), self.grid.line(block), self.kernel().isa());
        lines.resize(OUTPUTS * OUTPUTS * line, 0.0);
        for (panel, sums) in panels.clone().zip(sums.chunks_exact(PRODUCTS * rows * line)) {
            for row in 0..rows.min(self.weights.lines() - panel * rows) {
                transform_sums(isa, &sums[row * line..], rows * line, line, lines, self.grid.lanes);
                let output = panel * rows + row;
                for segment in self.grid.segments(block) {
                    self.write_segment(output, &segment, line, lines, writer);
                }
            }
        }
    }

    /// Adds what is to be added and writes the outputs of a segment.
    fn write_segment(&self, output: usize, segment: &Segment, line: usize, lines: &[f32], writer: &mut Writer) {
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
            let biases = (self.finish.bias[output], shift);
            writer.write(out, |out| finish_line(self.kernel().isa(), values, biases, self.finish, residual, out));
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
