//! Convolution as a product: the weights [outputs, taps x channels] times the windows of the picture, one a column.
//!
//! The windows never exist as a matrix. A strip of the picture is rounded and paired once, with its border of zeros; a panel of
//! columns is then copied from it at one offset for each tap and channel (implicit im2col, Chetlur et al. 2014). The weights'
//! depth runs tap by tap, so that channels which are paired lie in one unit of the picture.

use std::ops::Range;

use rayon::prelude::*;

use super::super::gemm::{Bias, Epilogue, Fill, Kernel, Packed, Product, Target};
use super::super::isa::per_isa;
use super::super::memory::unfilled_units;
use super::source::{Place, Source};
use super::{Finish, Pictures, Window};

/// Units of a strip: 32 MiB.
const STRIP: usize = 8 << 20;
/// Columns that are copied at a time where they follow each other.
const RUN: usize = 8;

/// The window of a convolution of 1x1.
const POINT: Window = Window { kernel: 1, stride: 1, before: 0, after: 0 };

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
    let kernel = *weights.kernel();
    if *window == POINT && pictures.enlarged.is_none() {
        return pointwise(x, pictures, weights, finish, out);
    }
    let row_units = pictures.batch * kernel.units(pictures.channels) * ((width - 1) * window.stride + window.kernel);
    let rows = (STRIP / row_units).saturating_sub(window.kernel) / window.stride;
    let rows = height.div_ceil(height.div_ceil(rows.max(1)));
    for start in (0..height).step_by(rows) {
        let rows = start..(start + rows).min(height);
        let strip = Strip::new(x, pictures, window, kernel, rows.clone(), width);
        let target = Target {
            span: rows.len() * width,
            picture: weights.lines() * height * width,
            row: height * width,
            offset: start * width,
        };
        Product { weights, other: &strip, lines: strip.places.len() }.run(&epilogue(finish, target), out);
    }
}

/// What becomes of the sums.
fn epilogue<'a>(finish: &Finish<'a>, target: Target) -> Epilogue<'a> {
    let bias = match finish.shift {
        None => Bias::Rows(finish.bias),
        Some(shift) => Bias::RowsAndPictures(finish.bias, shift),
    };
    Epilogue { bias, function: finish.function, residual: finish.residual, target }
}

/// As [`conv2d`] where the window is one pixel: the pixels are columns as they lie.
fn pointwise(x: &[f32], pictures: &Pictures, weights: &Packed, finish: &Finish, out: &mut [f32]) {
    let pixels = pictures.height * pictures.width;
    let row = Pictures { height: 1, width: pixels, ..*pictures };
    let columns = Pixels { source: Source::new(x, &row, &POINT, *weights.kernel()), pixels };
    let target = Target { span: pixels, picture: weights.lines() * pixels, row: pixels, offset: 0 };
    Product { weights, other: &columns, lines: pictures.batch * pixels }.run(&epilogue(finish, target), out);
}

/// The pixels of pictures that are one row each, as columns.
struct Pixels<'a> {
    source: Source<'a>,
    pixels: usize,
}

impl Fill for Pixels<'_> {
    fn fill(&self, units: Range<usize>, lines: Range<usize>, height: usize, out: &mut [u32]) {
        let mut scratch = Vec::new();
        for (unit, out) in units.zip(out.chunks_exact_mut(height)) {
            let (mut rest, mut column) = (out, lines.start);
            while column < lines.end {
                let (picture, x) = (column / self.pixels, column % self.pixels);
                let count = (self.pixels - x).min(lines.end - column);
                let (line, behind) = rest.split_at_mut(count);
                // Each channel lies elsewhere: what the next panel reads of it is not foreseen by the processor.
                self.source.prefetch(unit, Place { picture, y: 0, x: x + count }, height);
                self.source.line(unit, Place { picture, y: 0, x }, line, &mut scratch);
                (rest, column) = (behind, column + count);
            }
            rest.fill(0);
        }
    }
}

/// Some rows of the output, and what their windows see.
struct Strip {
    kernel: Kernel,
    /// [batch, height, units of channels, width] with its border: what a panel needs of a row lies close together.
    image: Vec<u32>,
    /// Where the window of each column begins in the image.
    places: Vec<usize>,
    /// Units of a tap.
    channels: usize,
    width: usize,
    side: usize,
}

impl Strip {
    /// For `rows` of the output.
    fn new(
        x: &[f32],
        pictures: &Pictures,
        window: &Window,
        kernel: Kernel,
        rows: Range<usize>,
        out_width: usize,
    ) -> Self {
        let reach = |outputs: usize| (outputs - 1) * window.stride + window.kernel;
        let (height, width) = (reach(rows.len()), reach(out_width));
        let channels = kernel.units(pictures.channels);
        let mut image = unfilled_units(pictures.batch * height * channels * width);
        let source = Source::new(x, pictures, window, kernel);
        image.par_chunks_exact_mut(channels * width).enumerate().for_each_init(Vec::new, |scratch, (index, lines)| {
            let (picture, y) = (index / height, index % height);
            let place = Place { picture, y: rows.start * window.stride + y, x: 0 };
            for (unit, line) in lines.chunks_exact_mut(width).enumerate() {
                source.line(unit, place, line, scratch);
            }
        });
        let place = |(picture, y, x): (usize, usize, usize)| {
            (picture * height + y * window.stride) * channels * width + x * window.stride
        };
        let count = rows.len();
        let columns = (0..pictures.batch)
            .flat_map(|picture| (0..count).flat_map(move |y| (0..out_width).map(move |x| (picture, y, x))));
        let places = columns.map(place).collect();
        Strip { kernel, image, places, channels, width, side: window.kernel }
    }
}

/// A panel of columns to be copied from an image.
struct Gather<'a> {
    strip: &'a Strip,
    units: Range<usize>,
    places: &'a [usize],
}

impl Gather<'_> {
    /// Calls `f` for each line of the panel with the line's distance from the places in the image.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]
    fn lines(&self, out: &mut [u32], height: usize, mut f: impl FnMut(&mut [u32], usize)) {
        let Strip { channels, width, side, .. } = *self.strip;
        let mut lines = out.chunks_exact_mut(height);
        let mut start = self.units.start;
        while start < self.units.end {
            let (tap, channel) = (start / channels, start % channels);
            let end = self.units.end.min((tap + 1) * channels);
            let mut offset = (tap / side * channels + channel) * width + tap % side;
            for line in lines.by_ref().take(end - start) {
                f(line, offset);
                offset += width;
            }
            start = end;
        }
    }
}

/// Whole panels whose columns follow each other in runs of 8.
#[inline(always)]
#[expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]
fn copy_runs<const RUNS: usize>(gather: &Gather, out: &mut [u32]) {
    let starts: [usize; RUNS] = std::array::from_fn(|run| gather.places[run * RUN]);
    gather.lines(out, RUNS * RUN, |line, offset| {
        for (run, start) in line.chunks_exact_mut(RUN).zip(starts) {
            run.copy_from_slice(&gather.strip.image[start + offset..][..RUN]);
        }
    });
}

per_isa! {
    /// [`copy_runs`] for the widths that panels have; whether it was one of them.
    fn gather_runs(gather: &Gather, out: &mut [u32]) -> bool {
        match gather.places.len() {
            48 => copy_runs::<6>(gather, out),
            32 => copy_runs::<4>(gather, out),
            16 => copy_runs::<2>(gather, out),
            8 => copy_runs::<1>(gather, out),
            _ => return false,
        }
        true
    }
}

impl Fill for Strip {
    fn fill(&self, units: Range<usize>, lines: Range<usize>, height: usize, out: &mut [u32]) {
        let gather = Gather { strip: self, units, places: &self.places[lines] };
        let in_runs = gather.places.len() == height
            && gather.places.chunks(RUN).all(|run| run.len() == RUN && run[RUN - 1] - run[0] == RUN - 1);
        if in_runs && gather_runs(self.kernel.isa(), &gather, out) {
            return;
        }
        gather.lines(out, height, |line, offset| {
            let (columns, padding) = line.split_at_mut(gather.places.len());
            columns.iter_mut().zip(gather.places).for_each(|(to, place)| *to = self.image[place + offset]);
            padding.fill(0);
        });
    }
}
