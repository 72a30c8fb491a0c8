//! Resizing as OpenCV's `resize` does it, which is not Pillow's: linear, cubic and Lanczos filters keep their width when the
//! picture shrinks, and "area" is the mean of what a pixel covers. The annotators were trained and are used with these.

use std::f64::consts::PI;

use image::RgbImage;
use rayon::prelude::*;

use super::pixels::Plane;

/// How pixels between pixels are found; the names are OpenCV's.
#[allow(dead_code, reason = "for the networks of annotators")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interpolation {
    /// The pixel whose area begins before.
    Nearest,
    Linear,
    /// Cubic convolution with a = -0.75.
    Cubic,
    /// A sinc windowed by a sinc, four lobes on each side.
    Lanczos4,
    /// The mean of what a pixel covers; linear with that mean's places where a side grows.
    Area,
}

/// For each place along one side: the first of its sources, and their weights.
type Taps = Vec<(isize, Vec<f32>)>;

/// The picture at another size, to within 1 of OpenCV's.
pub(super) fn resize(picture: &RgbImage, (width, height): (u32, u32), how: Interpolation) -> RgbImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    let (from, to) = ((picture.width() as usize, picture.height() as usize), (width as usize, height as usize));
    Plane::new(to.0, to.1, 3, resampled(picture.as_raw(), 3, from, to, how)).round_to_picture()
}

/// As [`resize`] for floats, which stay as they come.
pub(super) fn resize_plane(plane: &Plane, (width, height): (usize, usize), how: Interpolation) -> Plane {
    let from = (plane.width, plane.height);
    if from == (width, height) {
        return plane.clone();
    }
    let values = resampled(&plane.values, plane.channels, from, (width, height), how);
    Plane::new(width, height, plane.channels, values)
}

fn resampled<T: Copy + Into<f32> + Sync>(
    values: &[T],
    channels: usize,
    from: (usize, usize),
    to: (usize, usize),
    how: Interpolation,
) -> Vec<f32> {
    // One side that grows makes both linear.
    let shrinks = to.0 <= from.0 && to.1 <= from.1;
    let (across, down) = (taps(from.0, to.0, how, shrinks), taps(from.1, to.1, how, shrinks));
    let inside = |i: isize, n: usize| i.clamp(0, n as isize - 1) as usize;
    let mut rows = vec![0f32; from.1 * to.0 * channels];
    rows.par_chunks_exact_mut(to.0 * channels).zip(values.par_chunks_exact(from.0 * channels)).for_each(
        |(out, row)| {
            for (pixel, (first, weights)) in out.chunks_exact_mut(channels).zip(&across) {
                for (i, weight) in weights.iter().enumerate() {
                    let source = inside(first + i as isize, from.0) * channels;
                    pixel.iter_mut().zip(&row[source..]).for_each(|(sum, value)| *sum += weight * (*value).into());
                }
            }
        },
    );
    let mut out = vec![0f32; to.1 * to.0 * channels];
    out.par_chunks_exact_mut(to.0 * channels).zip(&down).for_each(|(out, (first, weights))| {
        for (i, weight) in weights.iter().enumerate() {
            let source = inside(first + i as isize, from.1) * out.len();
            out.iter_mut().zip(&rows[source..]).for_each(|(sum, value)| *sum += weight * value);
        }
    });
    out
}

fn taps(from: usize, to: usize, how: Interpolation, shrinks: bool) -> Taps {
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|place| {
            let place = place as f64;
            // The middle of a pixel, in pixels of the source.
            let middle = (place + 0.5) * scale - 0.5;
            let (floor, rest) = (middle.floor(), middle - middle.floor());
            match how {
                Interpolation::Nearest => (((place * scale) as isize).min(from as isize - 1), vec![1.0]),
                Interpolation::Linear => (floor as isize, vec![(1.0 - rest) as f32, rest as f32]),
                Interpolation::Cubic => {
                    (floor as isize - 1, normalised((0..4).map(|i| cubic(rest + 1.0 - f64::from(i)))))
                }
                Interpolation::Lanczos4 => {
                    (floor as isize - 3, normalised((0..8).map(|i| lanczos(rest + 3.0 - f64::from(i)))))
                }
                Interpolation::Area if shrinks => covered(place * scale, scale, from),
                Interpolation::Area => {
                    let first = (place * scale).floor();
                    let rest = (place + 1.0) - (first + 1.0) / scale;
                    let rest = if rest <= 0.0 { 0.0 } else { rest - rest.floor() };
                    (first as isize, vec![(1.0 - rest) as f32, rest as f32])
                }
            }
        })
        .collect()
}

/// The pixels from `start` to `start + length`, each as far as it is covered.
fn covered(start: f64, length: f64, count: usize) -> (isize, Vec<f32>) {
    let end = (start + length).min(count as f64);
    let (first, last) = (start.floor(), end.ceil());
    let weights = (first as usize..last as usize).map(|i| {
        let (left, right) = (start.max(i as f64), end.min(i as f64 + 1.0));
        (right - left).max(0.0)
    });
    (first as isize, normalised(weights))
}

fn normalised(weights: impl Iterator<Item = f64>) -> Vec<f32> {
    let weights: Vec<f64> = weights.collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| (weight / sum) as f32).collect()
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.75;
    let x = x.abs();
    match x {
        _ if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
        _ => 0.0,
    }
}

fn lanczos(x: f64) -> f64 {
    if x.abs() < f64::from(f32::EPSILON) {
        return 1.0;
    }
    let x = x * PI;
    x.sin() / x * (x / 4.0).sin() / (x / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{difference, reference};

    #[test]
    fn pictures_are_those_of_opencv() {
        use Interpolation::{Area, Cubic, Lanczos4, Linear};
        let picture = reference("cv/rgb.png");
        for (size, how, name) in [
            ((64, 64), Area, "area"),
            ((48, 24), Area, "area"),
            ((128, 64), Lanczos4, "lanczos4"),
            ((150, 90), Linear, "linear"),
            ((64, 96), Cubic, "cubic"),
            ((128, 40), Area, "area"),
        ] {
            let expected = reference(&format!("cv/rgb_{}x{}_{name}.png", size.0, size.1));
            assert!(difference(&resize(&picture, size, how), &expected) <= 1, "{size:?} {name}");
        }
    }

    #[test]
    fn floats_are_not_rounded() {
        let plane = Plane::new(2, 1, 1, vec![0.0, 1.0]);
        assert_eq!(resize_plane(&plane, (4, 1), Interpolation::Linear).values, [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(resize_plane(&plane, (1, 1), Interpolation::Area).values, [0.5]);
        assert_eq!(resize_plane(&plane, (4, 1), Interpolation::Nearest).values, [0.0, 0.0, 1.0, 1.0]);
    }
}
