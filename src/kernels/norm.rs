//! Normalisation: sums in f64, rows in parallel, an activation on the way.

use rayon::prelude::*;

use super::elementwise::Function;
use super::isa::{per_isa, Isa};

/// Sums that run side by side, so that vectors can hold them.
const LANES: usize = 16;

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

/// Normalises the rows of `x` to `out`: mean 0 and variance 1, then scaled, shifted, activated.
///
/// # Panics
/// When the slices do not consist of whole rows, or the channels not of whole groups.
pub fn normalise(isa: Isa, norm: &Norm, x: &[f32], out: &mut [f32]) {
    let channels = norm.scale.len() / norm.groups;
    let row = channels * norm.span;
    assert!(norm.shift.len() == norm.scale.len() && norm.scale.len() == channels * norm.groups);
    assert!(x.len() == out.len() && row > 0 && x.len().is_multiple_of(row));
    let at_once = (8192 / row).max(1);
    out.par_chunks_mut(at_once * row).zip(x.par_chunks(at_once * row)).enumerate().for_each(|(task, (out, x))| {
        for (i, (out, x)) in out.chunks_exact_mut(row).zip(x.chunks_exact(row)).enumerate() {
            let first = (task * at_once + i) % norm.groups * channels;
            one_row(isa, norm, first, x, out);
        }
    });
}

per_isa! {
    fn one_row(norm: &Norm, first: usize, x: &[f32], out: &mut [f32]) {
        let count = x.len() as f64;
        let mean = sum(x, |v| v) / count;
        let variance = sum(x, |v| (v - mean) * (v - mean)) / count;
        let (mean, inverse) = (mean as f32, (variance + norm.eps).sqrt().recip() as f32);
        if norm.span == 1 {
            let parameters = norm.scale[first..].iter().zip(&norm.shift[first..]);
            out.iter_mut().zip(x.iter().zip(parameters)).for_each(|(y, (x, (scale, shift)))| {
                *y = (x - mean) * inverse * scale + shift;
            });
        } else {
            for (i, (out, x)) in out.chunks_exact_mut(norm.span).zip(x.chunks_exact(norm.span)).enumerate() {
                let (scale, shift) = (norm.scale[first + i], norm.shift[first + i]);
                out.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) * inverse * scale + shift);
            }
        }
        if let Some(function) = norm.function {
            function.apply(out);
        }
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
mod tests {
    use super::*;

    fn wave(count: usize, speed: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * speed + 0.3).sin() + 2.0).collect()
    }

    /// The naive twin, in double precision.
    fn naive(norm: &Norm, x: &[f32]) -> Vec<f64> {
        let channels = norm.scale.len() / norm.groups;
        let mut out = Vec::new();
        for (r, row) in x.chunks(channels * norm.span).enumerate() {
            let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / row.len() as f64;
            for (i, v) in row.iter().enumerate() {
                let channel = r % norm.groups * channels + i / norm.span;
                let y = (f64::from(*v) - mean) / (variance + norm.eps).sqrt() * f64::from(norm.scale[channel]);
                let y = y + f64::from(norm.shift[channel]);
                out.push(if norm.function.is_some() { y / (1.0 + (-y).exp()) } else { y });
            }
        }
        out
    }

    #[test]
    fn equals_the_definition() {
        for (groups, channels, span, batch) in
            [(1, 7, 1, 3), (1, 1280, 1, 20), (3, 6, 15, 2), (32, 320, 64, 1), (2, 2, 1, 5)]
        {
            let (scale, shift) = (wave(channels, 1.1), wave(channels, 0.7));
            for function in [None, Some(Function::Silu)] {
                let norm = Norm { groups, span, eps: 1e-5, scale: &scale, shift: &shift, function };
                let x = wave(batch * channels * span, 0.9);
                let expected = naive(&norm, &x);
                for isa in Isa::all() {
                    let mut out = vec![f32::NAN; x.len()];
                    normalise(isa, &norm, &x, &mut out);
                    let worst = out.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                    assert!(worst < 2e-5, "{isa} {groups} {channels} {span} {batch}: {worst}");
                }
            }
        }
    }
}
