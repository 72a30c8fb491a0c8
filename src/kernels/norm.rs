//! Normalisation: sums in f64, rows in parallel, an activation on the way.

use rayon::prelude::*;

use super::elementwise::Function;
use super::isa::{per_isa, Isa};
use super::stream::{streams, Writer};

/// Sums that run side by side, so that vectors can hold them.
const LANES: usize = 16;
/// Values that are worked on while they are in a first-level cache.
const PIECE: usize = 4096;

/// How rows are normalised.
///
/// Row `r` belongs to group `r % groups` and holds `channels / groups` channels of `span` values each: one group with a span of 1 is
/// layer normalisation (Ba et al. 2016), a span of height times width is group normalisation (Wu and He 2018).
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// Groups of channels.
    pub groups: usize,
    /// Values of one channel in a row.
    pub span: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Multiplied with, by channel.
    pub scale: &'a [f32],
    /// Then added, by channel.
    pub shift: &'a [f32],
    /// Then applied.
    pub function: Option<Function>,
}

/// Mean and spread of values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// How many they are.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// The sum of their squared distances to it.
    pub squares: f64,
}

impl Moments {
    /// Those of these values and others together (Chan et al. 1979).
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let (count, distance) = (self.count + other.count, other.mean - self.mean);
        if count == 0.0 {
            return self;
        }
        let squares = self.squares + other.squares + distance * distance * self.count * other.count / count;
        Moments { count, mean: self.mean + distance * other.count / count, squares }
    }

    /// The reciprocal of the standard deviation, with `eps` added to the variance.
    #[must_use]
    pub fn inverse_deviation(&self, eps: f64) -> f64 {
        (self.squares / self.count + eps).sqrt().recip()
    }
}

/// The moments of each of the `rows` rows of `x`.
///
/// # Panics
/// When `x` does not consist of that many rows.
#[must_use]
pub fn moments(isa: Isa, rows: usize, x: &[f32]) -> Vec<Moments> {
    assert!(rows > 0 && !x.is_empty() && x.len().is_multiple_of(rows));
    x.par_chunks(x.len() / rows).map(|row| of_row(isa, row)).collect()
}

/// Normalises the rows of `x` to `out`: mean 0 and variance 1, then scaled, shifted, activated.
///
/// # Panics
/// When the slices do not consist of whole rows, or the channels not of whole groups.
pub fn normalise(isa: Isa, norm: &Norm, x: &[f32], out: &mut [f32]) {
    by_row(isa, norm, Some(x), out, |_, row| of_row(isa, row));
}

/// As [`normalise`], with the results in the place of `x`.
///
/// # Panics
/// As there.
pub fn normalise_in_place(isa: Isa, norm: &Norm, x: &mut [f32]) {
    by_row(isa, norm, None, x, |_, row| of_row(isa, row));
}

/// As [`normalise`], but with these moments in place of the rows' own: those of larger rows, of which they are a part.
///
/// # Panics
/// As [`normalise`], and when there are not as many moments as rows.
pub fn normalise_as(isa: Isa, norm: &Norm, moments: &[Moments], x: &[f32], out: &mut [f32]) {
    assert_eq!(moments.len() * (norm.scale.len() / norm.groups) * norm.span, x.len());
    by_row(isa, norm, Some(x), out, |row, _| moments[row]);
}

/// Divides each row of `x` by the root of its mean square (Zhang and Sennrich 2019), with `eps` added to the mean, and multiplies it
/// with `scale`, a value for each of the row's: to `out`.
///
/// # Panics
/// When the slices do not consist of whole rows.
pub fn rms_normalise(isa: Isa, eps: f64, scale: &[f32], x: &[f32], out: &mut [f32]) {
    let width = scale.len();
    assert!(x.len() == out.len() && width > 0 && x.len().is_multiple_of(width));
    let some = at_once(width) * width;
    out.par_chunks_mut(some).zip(x.par_chunks(some)).for_each(|(out, x)| {
        let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
        rows.for_each(|(out, x)| rms_row(isa, eps, scale, x, out));
    });
}

/// Rows of `width` values that a task takes.
fn at_once(width: usize) -> usize {
    (8192 / width).max(1)
}

/// Normalises the rows of `x`, or of `out` itself if there is no `x`, by what `moments` says of a row, whose number it gets.
fn by_row(
    isa: Isa,
    norm: &Norm,
    x: Option<&[f32]>,
    out: &mut [f32],
    moments: impl Fn(usize, &[f32]) -> Moments + Sync,
) {
    let channels = norm.scale.len() / norm.groups;
    let row = channels * norm.span;
    assert!(norm.shift.len() == norm.scale.len() && norm.scale.len() == channels * norm.groups);
    assert!(x.is_none_or(|x| x.len() == out.len()) && row > 0 && out.len().is_multiple_of(row));
    let at_once = at_once(row);
    let stream = x.is_some() && streams(out.as_ptr(), out.len());
    let tasks = out.par_chunks_mut(at_once * row).enumerate();
    tasks.for_each_init(
        || Writer::new(isa, stream),
        |writer, (task, out)| {
            for (i, out) in out.chunks_exact_mut(row).enumerate() {
                let number = task * at_once + i;
                let x = x.map(|x| &x[number * row..][..row]);
                let scaled = Scaled::new(norm, number, moments(number, x.unwrap_or(out)));
                scaled.write(isa, x, out, writer);
            }
        },
    );
}

/// How a row is scaled.
struct Scaled<'a> {
    norm: &'a Norm<'a>,
    /// The row's first channel.
    first: usize,
    mean: f32,
    inverse: f32,
}

impl<'a> Scaled<'a> {
    fn new(norm: &'a Norm, row: usize, moments: Moments) -> Self {
        let first = row % norm.groups * (norm.scale.len() / norm.groups);
        Scaled { norm, first, mean: moments.mean as f32, inverse: moments.inverse_deviation(norm.eps) as f32 }
    }

    /// Writes the row piece by piece; its values lie in `x`, or in `out` itself.
    fn write(&self, isa: Isa, x: Option<&[f32]>, out: &mut [f32], writer: &mut Writer) {
        let span = if self.norm.span == 1 { out.len() } else { self.norm.span };
        for (channel, out) in out.chunks_exact_mut(span).enumerate() {
            for (i, out) in out.chunks_mut(PIECE).enumerate() {
                let x = x.map(|x| &x[channel * span + i * PIECE..][..out.len()]);
                writer.write(out, |out| scale_piece(isa, self, (channel, i * PIECE), x, out));
            }
        }
    }
}

per_isa! {
    fn of_row(x: &[f32]) -> Moments {
        // A loop and no fold, whose closure would be compiled without the vectors.
        let mut all = Moments::default();
        for piece in x.chunks(PIECE) {
            let count = piece.len() as f64;
            let mean = sum(piece, |v| v) / count;
            all = all.merged(Moments { count, mean, squares: sum(piece, |v| (v - mean) * (v - mean)) });
        }
        all
    }
}

per_isa! {
    /// A piece of a row that begins at a place in one of its channels; a span of 1 is a row of one value a channel.
    fn scale_piece(row: &Scaled, place: (usize, usize), x: Option<&[f32]>, out: &mut [f32]) {
        let Scaled { norm, first, mean, inverse } = *row;
        let (channel, start) = place;
        if let Some(x) = x {
            out.copy_from_slice(x);
        }
        if norm.span == 1 {
            let parameters = norm.scale[first + start..].iter().zip(&norm.shift[first + start..]);
            out.iter_mut().zip(parameters).for_each(|(v, (scale, shift))| {
                *v = (*v - mean) * inverse * scale + shift;
            });
        } else {
            let (scale, shift) = (norm.scale[first + channel], norm.shift[first + channel]);
            out.iter_mut().for_each(|v| *v = (*v - mean) * inverse * scale + shift);
        }
        if let Some(function) = norm.function {
            function.apply(out);
        }
    }
}

per_isa! {
    fn rms_row(eps: f64, scale: &[f32], x: &[f32], out: &mut [f32]) {
        let inverse = (sum(x, |v| v * v) / x.len() as f64 + eps).sqrt().recip() as f32;
        out.iter_mut().zip(x.iter().zip(scale)).for_each(|(y, (x, scale))| *y = x * inverse * scale);
    }
}

/// The sum of `f` of all values; the order is the same for every instruction set.
#[inline(always)]
#[expect(clippy::inline_always, reason = "its caller is compiled for several instruction sets")]
fn sum(x: &[f32], f: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0f64; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, v)| *sum += f(f64::from(*v)));
    }
    sums.iter_mut().zip(chunks.remainder()).for_each(|(sum, v)| *sum += f(f64::from(*v)));
    sums.iter().sum()
}

#[cfg(test)]
mod tests;
