//! Resizing with the arithmetic of Pillow's `Image.resize` for 8-bit pictures: the filter's support grows when shrinking,
//! coefficients are normalised and rounded to 22 bits behind the point, rows and columns are resized one after the other,
//! and each of the two passes rounds to 8 bits. Pictures with alpha are premultiplied before and divided after.

use std::f64::consts::PI;
use std::ops::Range;

use ::image::{imageops, ImageBuffer, Pixel};
use rayon::prelude::*;

/// An 8-bit picture of any pixel type.
pub(super) type Bytes<P> = ImageBuffer<P, Vec<u8>>;

/// How pixels between pixels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// The mean of what a pixel covers.
    Box,
    /// Linear interpolation.
    Bilinear,
    /// Cubic convolution with a = -0.5 (Keys 1981).
    Bicubic,
    /// A sinc windowed by a sinc, three lobes: the filter of diffusers' image processor.
    Lanczos,
}

impl Filter {
    /// Half the filter's width at scale 1, in pixels.
    fn support(self) -> f64 {
        match self {
            Filter::Nearest | Filter::Box => 0.5,
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let distance = x.abs();
        match self {
            // Half open, so that a pixel on the border belongs to one side.
            Filter::Nearest | Filter::Box => f64::from(x > -0.5 && x <= 0.5),
            Filter::Bilinear => (1.0 - distance).max(0.0),
            Filter::Bicubic if distance < 1.0 => ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0,
            Filter::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A,
            Filter::Bicubic => 0.0,
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * PI;
    x.sin() / x
}

/// The picture at another size, bit for bit as Pillow makes it. A size of 0 gives a picture without pixels.
#[must_use]
pub fn resize<P>(picture: &Bytes<P>, width: u32, height: u32, filter: Filter) -> Bytes<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    if picture.as_raw().is_empty() || width == 0 || height == 0 {
        return ImageBuffer::new(width, height);
    }
    if filter == Filter::Nearest {
        return nearest(picture, width, height);
    }
    resize_part(picture, (width, height), filter, 0..width, 0..height)
}

/// These columns and rows of the picture at another size; no more is computed than that, as a thin picture that is to cover
/// a square one would become very large. The picture has pixels, and the filter is not [`Filter::Nearest`].
pub(super) fn resize_part<P>(
    picture: &Bytes<P>,
    size: (u32, u32),
    filter: Filter,
    columns: Range<u32>,
    rows: Range<u32>,
) -> Bytes<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let (width, height) = (columns.len() as u32, rows.len() as u32);
    if size == picture.dimensions() {
        return imageops::crop_imm(picture, columns.start, rows.start, width, height).to_image();
    }
    let channels = usize::from(P::CHANNEL_COUNT);
    let has_alpha = channels == 4;
    let mut pixels = picture.as_raw().clone();
    if has_alpha {
        pixels.par_chunks_exact_mut(4).for_each(premultiply);
    }
    let across = Taps::new(picture.width(), size.0, columns, filter);
    let down = Taps::new(picture.height(), size.1, rows, filter);
    let old_width = picture.width() as usize;
    pixels = if columns_first(picture.dimensions(), size) {
        let pixels = resize_columns(pixels, old_width * channels, &down);
        resize_rows(pixels, old_width, channels, &across)
    } else {
        let pixels = resize_rows(pixels, old_width, channels, &across);
        resize_columns(pixels, width as usize * channels, &down)
    };
    if has_alpha {
        pixels.par_chunks_exact_mut(4).for_each(unpremultiply);
    }
    from_bytes(width, height, pixels)
}

/// Pillow 13 begins with the columns when the height shrinks by more than twice what the width does. The order shows, as
/// pixels are rounded in between.
fn columns_first(from: (u32, u32), to: (u32, u32)) -> bool {
    let shrinks_by = |from: u32, to: u32| i64::from(from) - i64::from(to);
    to.1 < from.1 && shrinks_by(from.1, to.1) > 2 * shrinks_by(from.0, to.0)
}

/// The rows of a picture resized to `height` as if its outermost row, the first or the last, went on for ever: what Pillow
/// gives for a source box of height 0 at that edge, with its default filter, bicubic.
pub(super) fn edge_rows<P>(picture: &Bytes<P>, height: u32, last: bool) -> Bytes<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let taps = Taps::of_edge(picture.height(), height, last);
    let row = picture.width() as usize * usize::from(P::CHANNEL_COUNT);
    from_bytes(picture.width(), height, resize_columns(picture.as_raw().clone(), row, &taps))
}

/// As [`edge_rows`] for the leftmost or rightmost column.
pub(super) fn edge_columns<P>(picture: &Bytes<P>, width: u32, last: bool) -> Bytes<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let taps = Taps::of_edge(picture.width(), width, last);
    let channels = usize::from(P::CHANNEL_COUNT);
    let pixels = resize_rows(picture.as_raw().clone(), picture.width() as usize, channels, &taps);
    from_bytes(width, picture.height(), pixels)
}

fn from_bytes<P>(width: u32, height: u32, pixels: Vec<u8>) -> Bytes<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    ImageBuffer::from_raw(width, height, pixels).unwrap_or_else(|| ImageBuffer::new(width, height))
}

/// Bits behind the point of a coefficient: 8 are the pixel's, 2 are for sums above 1.
const PRECISION: u32 = 32 - 8 - 2;

/// For each output position, where its inputs begin and their weights.
struct Taps {
    begins: Vec<usize>,
    /// Where the weights of each position begin in `weights`; one more than positions.
    offsets: Vec<usize>,
    weights: Vec<i32>,
    /// Whether the output is the input.
    identity: bool,
}

impl Taps {
    /// These positions of a line of `from` pixels that becomes one of `to`.
    fn new(from: u32, to: u32, positions: Range<u32>, filter: Filter) -> Self {
        let identity = from == to && positions == (0..to);
        Taps { identity, ..Taps::from_scale(from, 0.0, f64::from(from) / f64::from(to), positions, filter) }
    }

    /// `to` positions that all lie at the end or the beginning of a line.
    fn of_edge(from: u32, to: u32, last: bool) -> Self {
        let begin = if last { f64::from(from) } else { 0.0 };
        Taps::from_scale(from, begin, 0.0, 0..to, Filter::Bicubic)
    }

    fn from_scale(from: u32, begin: f64, scale: f64, positions: Range<u32>, filter: Filter) -> Self {
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let mut taps = Taps { begins: Vec::new(), offsets: vec![0], weights: Vec::new(), identity: false };
        for position in positions {
            let center = begin + (f64::from(position) + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let last = ((center + support + 0.5) as usize).min(from as usize);
            let weights: Vec<f64> =
                (first..last).map(|x| filter.weight((x as f64 - center + 0.5) * (1.0 / stretch))).collect();
            let sum: f64 = weights.iter().sum();
            let norm = if sum == 0.0 { 1.0 } else { sum };
            taps.weights.extend(weights.iter().map(|w| fixed_point(w / norm)));
            taps.begins.push(first);
            taps.offsets.push(taps.weights.len());
        }
        taps
    }

    fn len(&self) -> usize {
        self.begins.len()
    }

    /// The first input of an output position, and the weights from there.
    fn at(&self, position: usize) -> (usize, &[i32]) {
        (self.begins[position], &self.weights[self.offsets[position]..self.offsets[position + 1]])
    }
}

fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1u32 << PRECISION);
    (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// Half a unit, for rounding.
const HALF: i32 = 1 << (PRECISION - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn resize_rows(pixels: Vec<u8>, width: usize, channels: usize, taps: &Taps) -> Vec<u8> {
    if taps.identity {
        return pixels;
    }
    let height = pixels.len() / (width * channels);
    let mut out = vec![0; taps.len() * channels * height];
    out.par_chunks_exact_mut(taps.len() * channels).zip(pixels.par_chunks_exact(width * channels)).for_each(
        |(out, row)| {
            for (position, out) in out.chunks_exact_mut(channels).enumerate() {
                let (begin, weights) = taps.at(position);
                for (channel, out) in out.iter_mut().enumerate() {
                    let values = row[begin * channels + channel..].iter().step_by(channels);
                    let sum = weights.iter().zip(values).fold(HALF, |sum, (w, &v)| sum + w * i32::from(v));
                    *out = to_byte(sum);
                }
            }
        },
    );
    out
}

/// `row` is the number of bytes of a row, the same before and after.
fn resize_columns(pixels: Vec<u8>, row: usize, taps: &Taps) -> Vec<u8> {
    if taps.identity {
        return pixels;
    }
    let mut out = vec![0; taps.len() * row];
    out.par_chunks_exact_mut(row).enumerate().for_each(|(position, out)| {
        let (begin, weights) = taps.at(position);
        let mut sums = vec![HALF; row];
        for (weight, values) in weights.iter().zip(pixels[begin * row..].chunks_exact(row)) {
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum += weight * i32::from(value);
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = to_byte(sum);
        }
    });
    out
}

fn nearest<P>(picture: &Bytes<P>, width: u32, height: u32) -> Bytes<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let columns = nearest_positions(picture.width(), width);
    let rows = nearest_positions(picture.height(), height);
    ImageBuffer::from_fn(width, height, |x, y| *picture.get_pixel(columns[x as usize], rows[y as usize]))
}

/// Pillow adds the step up instead of multiplying, which differs in the last bit.
fn nearest_positions(from: u32, to: u32) -> Vec<u32> {
    let step = f64::from(from) / f64::from(to);
    let steps = std::iter::successors(Some(step * 0.5), |at| Some(at + step));
    steps.take(to as usize).map(|at| (at as u32).min(from - 1)).collect()
}

/// `value * alpha / 255`, rounded.
pub(super) fn scale_by(value: u8, alpha: u8) -> u8 {
    let product = u32::from(value) * u32::from(alpha) + 128;
    (((product >> 8) + product) >> 8) as u8
}

fn premultiply(pixel: &mut [u8]) {
    let (colours, alpha) = pixel.split_at_mut(3);
    for colour in colours {
        *colour = scale_by(*colour, alpha[0]);
    }
}

fn unpremultiply(pixel: &mut [u8]) {
    let (colours, alpha) = pixel.split_at_mut(3);
    let alpha = u32::from(alpha[0]);
    if alpha != 0 && alpha != 255 {
        for colour in colours {
            *colour = (255 * u32::from(*colour) / alpha).min(255) as u8;
        }
    }
}
