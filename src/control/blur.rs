//! OpenCV's Gaussian blur: a sampled kernel, borders mirrored.

use super::pixels::{mirrored, Plane};
use super::resize::normalised;
use crate::kernels::filter::{separable_floats, Taps};

/// OpenCV's kernel of a `sigma` for 8-bit pictures ends at 3 sigma.
pub(super) fn blur_bytes(plane: &Plane, sigma: f64) -> Plane {
    blur(plane, sigma, radius(sigma, 3.0))
}

/// OpenCV's kernel of a `sigma` for floats ends at 4 sigma.
pub(super) fn blur_floats(plane: &Plane, sigma: f64) -> Plane {
    blur(plane, sigma, radius(sigma, 4.0))
}

/// Half of OpenCV's kernel size, which is `2 sigma times + 1`, made odd.
fn radius(sigma: f64, times: f64) -> usize {
    let size = (sigma * times * 2.0 + 1.0).round_ties_even() as usize | 1;
    size / 2
}

fn blur(plane: &Plane, sigma: f64, radius: usize) -> Plane {
    let weights = kernel(sigma, radius);
    let taps = |n: usize| -> Taps {
        let source = |at: usize, tap: usize| mirrored(at as isize + tap as isize - radius as isize, n) as u32;
        let line = |at| weights.iter().enumerate().map(|(tap, weight)| (source(at, tap), *weight)).collect();
        (0..n).map(line).collect()
    };
    let Plane { width, height, channels, .. } = *plane;
    let values = separable_floats(&plane.values, width, channels, &taps(width), &taps(height));
    Plane::new(width, height, channels, values)
}

fn kernel(sigma: f64, radius: usize) -> Vec<f32> {
    normalised((0..=2 * radius).map(|i| {
        let distance = i as f64 - radius as f64;
        (-distance * distance / (2.0 * sigma * sigma)).exp()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_mirrored() {
        let plane = Plane::new(3, 1, 1, vec![9.0, 0.0, 0.0]);
        let blurred = blur(&plane, 1e9, 1);
        assert_eq!(blurred.values.iter().map(|v| v.round()).collect::<Vec<_>>(), [3.0, 3.0, 0.0]);
    }

    #[test]
    fn a_blur_keeps_the_mean_even_of_pictures_smaller_than_its_kernel() {
        let plane = Plane::new(1, 2, 3, vec![1.0, 2.0, 3.0, 3.0, 4.0, 5.0]);
        for blurred in [blur_bytes(&plane, 4.0), blur_floats(&plane, 3.0)] {
            let sum: f32 = blurred.values.iter().sum();
            assert!((sum - 18.0).abs() < 1e-3, "{blurred:?}");
        }
        assert_eq!((radius(4.0, 3.0), radius(0.5, 4.0), radius(6.0, 4.0)), (12, 2, 24));
    }
}
