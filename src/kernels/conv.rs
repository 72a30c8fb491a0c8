//! Convolution as a product: the weights [outputs, taps x channels] times the windows of the picture, one a column.
//!
//! The windows never exist as a matrix. A strip of the picture is rounded and paired once, with its border of zeros; a panel of
//! columns is then copied from it at one offset for each tap and channel (implicit im2col, Chetlur et al. 2014). The weights'
//! depth runs tap by tap, so that channels which are paired lie in one unit of the picture.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::elementwise::Function;
use super::gemm::{Bias, Epilogue, Fill, Kernel, Packed, Product, Target};
use super::isa::per_isa;

/// Units of a strip: 32 MiB.
const STRIP: usize = 8 << 20;
/// Columns that are copied at a time where they follow each other.
const RUN: usize = 8;

/// Pictures that a convolution is given, [batch, channels, height, width].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pictures {
    /// Number of pictures.
    pub batch: usize,
    /// Channels of each.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// The size to enlarge to first, each pixel the nearest: height and width.
    pub enlarged: Option<(usize, usize)>,
}

/// The square window of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Side.
    pub kernel: usize,
    /// Step between outputs.
    pub stride: usize,
    /// Zeros above and to the left.
    pub before: usize,
    /// Zeros below and to the right.
    pub after: usize,
}

/// What is done with the sums: `function(sum + bias + shift) + residual`.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// A value for each output channel.
    pub bias: &'a [f32],
    /// A value for each picture and output channel, [batch, outputs].
    pub shift: Option<&'a [f32]>,
    /// A function of the result.
    pub function: Option<Function>,
    /// Added at last, [batch, outputs, height, width].
    pub residual: Option<&'a [f32]>,
}

impl Pictures {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch * self.channels * self.height * self.width
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Height and width as the window sees them.
    fn size(&self) -> (usize, usize) {
        self.enlarged.unwrap_or((self.height, self.width))
    }
}

impl Window {
    /// Height and width of the output for `pictures`; none if they are smaller than the window.
    #[must_use]
    pub fn outputs(&self, pictures: &Pictures) -> Option<(usize, usize)> {
        let side = |side: usize| {
            Some((side + self.before + self.after).checked_sub(self.kernel)?.checked_div(self.stride)? + 1)
        };
        let (height, width) = pictures.size();
        Some((side(height)?, side(width)?))
    }
}

/// The convolution of `x` (which lies as `pictures` says) with weights packed as rows, [outputs, channels, kernel kernel], to `out`
/// [batch, outputs, height', width'].
///
/// # Panics
/// When the slices have other sizes, or the pictures are smaller than the window.
pub fn conv2d(x: &[f32], pictures: &Pictures, window: &Window, weights: &Packed, finish: &Finish, out: &mut [f32]) {
    let Some((height, width)) = window.outputs(pictures) else { return assert!(out.is_empty(), "no output") };
    assert!(x.len() == pictures.len() && out.len() == pictures.batch * weights.lines() * height * width);
    if pictures.is_empty() {
        return out.fill(0.0);
    }
    thread_local! {
        static IMAGE: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    }
    let kernel = *weights.kernel();
    let row_units = pictures.batch * kernel.units(pictures.channels) * ((width - 1) * window.stride + window.kernel);
    let rows = (STRIP / row_units).saturating_sub(window.kernel) / window.stride;
    let rows = height.div_ceil(height.div_ceil(rows.max(1)));
    let mut image = IMAGE.take();
    for start in (0..height).step_by(rows) {
        let rows = start..(start + rows).min(height);
        let strip = Strip::new(x, pictures, window, kernel, rows.clone(), width, image);
        let bias = match finish.shift {
            None => Bias::Rows(finish.bias),
            Some(shift) => Bias::RowsAndPictures(finish.bias, shift),
        };
        let target = Target {
            span: rows.len() * width,
            picture: weights.lines() * height * width,
            row: height * width,
            offset: start * width,
        };
        let epilogue = Epilogue { bias, function: finish.function, residual: finish.residual, target };
        Product { weights, other: &strip, lines: strip.places.len() }.run(&epilogue, out);
        image = strip.image;
    }
    IMAGE.set(image);
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
    /// For `rows` of the output; `image` is memory to use again.
    fn new(
        x: &[f32],
        pictures: &Pictures,
        window: &Window,
        kernel: Kernel,
        rows: Range<usize>,
        out_width: usize,
        mut image: Vec<u32>,
    ) -> Self {
        let reach = |outputs: usize| (outputs - 1) * window.stride + window.kernel;
        let (height, width) = (reach(rows.len()), reach(out_width));
        let channels = kernel.units(pictures.channels);
        image.resize(pictures.batch * height * channels * width, 0);
        let source = Source::new(x, pictures, kernel);
        image.par_chunks_exact_mut(channels * width).enumerate().for_each_init(Vec::new, |scratch, (index, lines)| {
            let (picture, y) = (index / height, index % height);
            let y = (rows.start * window.stride + y).wrapping_sub(window.before);
            for (unit, line) in lines.chunks_exact_mut(width).enumerate() {
                source.line(picture, unit, y, window.before, line, scratch);
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

/// The pictures behind a strip.
struct Source<'a> {
    x: &'a [f32],
    pictures: &'a Pictures,
    kernel: Kernel,
    /// For an enlarged picture the pixel that each pixel of a row is.
    nearest: Option<Vec<usize>>,
}

impl<'a> Source<'a> {
    fn new(x: &'a [f32], pictures: &'a Pictures, kernel: Kernel) -> Self {
        let nearest = pictures.enlarged.map(|(_, width)| (0..width).map(|x| x * pictures.width / width).collect());
        Source { x, pictures, kernel, nearest }
    }

    /// Row `y` of a picture's channels in `unit`, after `before` zeros; all zeros outside the picture.
    fn line(&self, picture: usize, unit: usize, y: usize, before: usize, line: &mut [u32], scratch: &mut Vec<f32>) {
        let (height, width) = self.pictures.size();
        let start = before.min(line.len());
        let end = (before + width).min(line.len());
        if y >= height || start == end {
            return line.fill(0);
        }
        let (left, rest) = line.split_at_mut(start);
        let (middle, right) = rest.split_at_mut(end - start);
        left.fill(0);
        right.fill(0);
        let count = middle.len();
        scratch.resize(2 * count, 0.0);
        let (first, second) = scratch.split_at_mut(count);
        if self.kernel.pairs() {
            let even = self.row(picture, 2 * unit, y, first);
            if 2 * unit + 1 < self.pictures.channels {
                self.kernel.encode_pairs(even, self.row(picture, 2 * unit + 1, y, second), middle);
            } else {
                second.fill(0.0);
                self.kernel.encode_pairs(even, second, middle);
            }
        } else {
            self.kernel.encode(self.row(picture, unit, y, first), middle);
        }
    }

    /// The first pixels of row `y`, as many as `scratch` has, which holds them if the picture is enlarged.
    fn row<'b>(&'b self, picture: usize, channel: usize, y: usize, scratch: &'b mut [f32]) -> &'b [f32] {
        let Pictures { channels, height, width, enlarged, .. } = *self.pictures;
        let y = enlarged.map_or(y, |(tall, _)| y * height / tall);
        let row = &self.x[((picture * channels + channel) * height + y) * width..][..width];
        let Some(nearest) = &self.nearest else { return &row[..scratch.len()] };
        scratch.iter_mut().zip(nearest).for_each(|(to, x)| *to = row[*x]);
        scratch
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

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::super::gemm::{Rounding, Side, Values};
    use super::super::Isa;
    use super::*;

    fn wave(count: usize, speed: f32) -> Vec<f32> {
        (0..count).map(|i| bf16::from_f32((i as f32 * speed + 0.3).sin()).to_f32()).collect()
    }

    /// The naive twin, in double precision.
    fn naive(x: &[f32], p: &Pictures, window: &Window, w: &[f32], outputs: usize, finish: &Finish) -> Vec<f64> {
        let (height, width) = window.outputs(p).unwrap();
        let (tall, wide) = p.size();
        let mut out = Vec::new();
        for i in 0..p.batch * outputs * height * width {
            let (picture, output, y, ox) =
                (i / (outputs * height * width), i / (height * width) % outputs, i / width % height, i % width);
            let mut sum =
                f64::from(finish.bias[output]) + finish.shift.map_or(0.0, |s| f64::from(s[picture * outputs + output]));
            for j in 0..p.channels * window.kernel * window.kernel {
                let (c, dy, dx) = (j / window.kernel.pow(2), j / window.kernel % window.kernel, j % window.kernel);
                let (iy, ix) = (
                    (y * window.stride + dy).wrapping_sub(window.before),
                    (ox * window.stride + dx).wrapping_sub(window.before),
                );
                if iy < tall && ix < wide {
                    let place =
                        ((picture * p.channels + c) * p.height + iy * p.height / tall) * p.width + ix * p.width / wide;
                    sum += f64::from(x[place]) * f64::from(w[output * p.channels * window.kernel.pow(2) + j]);
                }
            }
            out.push(sum + finish.residual.map_or(0.0, |r| f64::from(r[i])));
        }
        out
    }

    fn check(
        [batch, channels, height, width]: [usize; 4],
        enlarged: Option<(usize, usize)>,
        outputs: usize,
        window: Window,
    ) {
        let pictures = Pictures { batch, channels, height, width, enlarged };
        let (x, taps) = (wave(pictures.len(), 0.37), window.kernel * window.kernel);
        let w = wave(outputs * channels * taps, 0.11);
        let (out_height, out_width) = window.outputs(&pictures).unwrap();
        let (bias, shift) = (wave(outputs, 0.7), wave(batch * outputs, 0.9));
        let residual = wave(batch * outputs * out_height * out_width, 0.13);
        let finish = Finish { bias: &bias, shift: Some(&shift), function: None, residual: Some(&residual) };
        let expected = naive(&x, &pictures, &window, &w, outputs, &finish);
        for isa in Isa::all() {
            for rounding in [Rounding::None, Rounding::Bf16] {
                let kernel = Kernel::new(isa, rounding);
                let weights = Packed::weights(kernel, Side::Rows, Values::F32(&w), [outputs, channels, taps]);
                let mut out = vec![f32::NAN; expected.len()];
                conv2d(&x, &pictures, &window, &weights, &finish, &mut out);
                let worst = out.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-5, "{isa} {rounding:?} {pictures:?} {window:?}: {worst}");
            }
        }
    }

    const SAME: Window = Window { kernel: 3, stride: 1, before: 1, after: 1 };

    #[test]
    fn equals_the_definition() {
        check([2, 3, 5, 7], None, 4, SAME);
        check([2, 3, 5, 7], None, 4, Window { kernel: 1, stride: 1, before: 0, after: 0 });
        check([1, 3, 5, 7], None, 9, Window { kernel: 5, stride: 1, before: 2, after: 2 });
        check([3, 2, 1, 1], None, 3, SAME);
        check([1, 5, 1, 50], None, 1, SAME);
        check([2, 5, 50, 1], None, 17, SAME);
        check([2, 9, 16, 8], None, 33, SAME);
        check([2, 4, 8, 64], None, 8, SAME);
        for (height, width) in [(6, 8), (5, 7), (2, 3), (33, 17)] {
            check([2, 3, height, width], None, 2, Window { stride: 2, ..SAME });
            check([1, 3, height, width], None, 2, Window { stride: 2, before: 0, ..SAME });
        }
    }

    #[test]
    fn enlarging_first_is_folded_in() {
        check([2, 3, 4, 8], Some((8, 16)), 5, SAME);
        check([1, 4, 3, 5], Some((5, 9)), 2, SAME);
    }

    #[test]
    fn strips_join_without_a_seam() {
        // 18 units a pixel of f32: strips of 465 rows of 1002 pixels.
        check([1, 18, 600, 1000], None, 1, Window { kernel: 2, stride: 1, before: 1, after: 0 });
    }
}
