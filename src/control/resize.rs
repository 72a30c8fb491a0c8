//! Resizing as OpenCV's `resize` does it, which is not Pillow's: linear, cubic and Lanczos filters keep their width when the
//! picture shrinks, and "area" is the mean of what a pixel covers. The annotators were trained and are used with these.

use std::f64::consts::PI;

use image::RgbImage;

use super::pixels::Plane;
use crate::kernels::filter::{separable_bytes, separable_floats, Taps};

/// How pixels between pixels are found; the names are OpenCV's.
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

/// Parts of a weight that OpenCV tells apart when it resizes bytes with the Lanczos filter.
const PARTS: f32 = 2048.0;

/// The picture at another size, with OpenCV's bytes (linear interpolation and areas to within 1).
pub(super) fn resize(picture: &RgbImage, (width, height): (u32, u32), how: Interpolation) -> RgbImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    let (from, to) = ((picture.width() as usize, picture.height() as usize), (width as usize, height as usize));
    let [mut across, mut down] = taps(from, to, how);
    if how == Interpolation::Lanczos4 {
        for (_, weight) in across.iter_mut().chain(&mut down).flatten() {
            *weight = (*weight * PARTS).round_ties_even() / PARTS;
        }
    }
    let values = separable_bytes(picture.as_raw(), from.0, 3, &across, &down);
    Plane::new(to.0, to.1, 3, values).round_to_picture()
}

/// As [`resize`] for floats, which stay as they come.
pub(super) fn resize_plane(plane: &Plane, (width, height): (usize, usize), how: Interpolation) -> Plane {
    let from = (plane.width, plane.height);
    if from == (width, height) {
        return plane.clone();
    }
    let [across, down] = taps(from, (width, height), how);
    Plane::new(width, height, plane.channels, separable_floats(&plane.values, from.0, plane.channels, &across, &down))
}

/// Of rows and columns.
fn taps(from: (usize, usize), to: (usize, usize), how: Interpolation) -> [Taps; 2] {
    // One side that grows makes both linear.
    let shrinks = to.0 <= from.0 && to.1 <= from.1;
    [(from.0, to.0), (from.1, to.1)].map(|(from, to)| {
        let scale = from as f64 / to as f64;
        let inside = |i: isize| i.clamp(0, from as isize - 1) as u32;
        let line = |place| {
            let (first, weights) = tap(place as f64, scale, from, how, shrinks);
            (first..).map(inside).zip(weights).collect()
        };
        (0..to).map(line).collect()
    })
}

/// The first source of a place, and the weights of it and those after it.
fn tap(place: f64, scale: f64, from: usize, how: Interpolation, shrinks: bool) -> (isize, Vec<f32>) {
    // The middle of a pixel, in pixels of the source.
    let middle = (place + 0.5) * scale - 0.5;
    let (floor, rest) = (middle.floor(), middle - middle.floor());
    let linear = |rest: f64| vec![(1.0 - rest) as f32, rest as f32];
    match how {
        Interpolation::Nearest => ((place * scale) as isize, vec![1.0]),
        Interpolation::Linear => (floor as isize, linear(rest)),
        Interpolation::Cubic => (floor as isize - 1, normalised((0..4).map(|i| cubic(rest + 1.0 - f64::from(i))))),
        Interpolation::Lanczos4 => (floor as isize - 3, normalised((0..8).map(|i| lanczos(rest + 3.0 - f64::from(i))))),
        Interpolation::Area if shrinks => covered(place * scale, scale, from),
        Interpolation::Area => {
            let first = (place * scale).floor();
            let rest = (place + 1.0) - (first + 1.0) / scale;
            (first as isize, linear(if rest <= 0.0 { 0.0 } else { rest - rest.floor() }))
        }
    }
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

/// These with a sum of 1.
pub(super) fn normalised(weights: impl Iterator<Item = f64>) -> Vec<f32> {
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
