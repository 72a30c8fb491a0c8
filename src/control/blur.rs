//! The Gaussian blur of OpenCV and, with other bounds, of SciPy: a sampled kernel, borders mirrored.

use rayon::prelude::*;

use super::pixels::{mirrored, Plane};

/// Where the border's mirror stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mirror {
    /// In the middle of the outermost pixel, which is not repeated (OpenCV's `BORDER_REFLECT_101`).
    OnPixel,
    #[allow(dead_code, reason = "for the networks of annotators")]
    /// Behind it, so that it is repeated (SciPy's `reflect`).
    BehindPixel,
}

/// OpenCV's kernel of a `sigma` for 8-bit pictures ends at 3 sigma.
pub(super) fn blur_bytes(plane: &Plane, sigma: f64) -> Plane {
    blur(plane, sigma, radius(sigma, 3.0), Mirror::OnPixel)
}

/// OpenCV's kernel of a `sigma` for floats ends at 4 sigma.
pub(super) fn blur_floats(plane: &Plane, sigma: f64) -> Plane {
    blur(plane, sigma, radius(sigma, 4.0), Mirror::OnPixel)
}

/// SciPy's `gaussian_filter`.
#[allow(dead_code, reason = "for the networks of annotators")]
pub(super) fn blur_scipy(plane: &Plane, sigma: f64) -> Plane {
    blur(plane, sigma, (4.0 * sigma + 0.5) as usize, Mirror::BehindPixel)
}

/// Half of OpenCV's kernel size, which is `2 sigma times + 1`, made odd.
fn radius(sigma: f64, times: f64) -> usize {
    let size = (sigma * times * 2.0 + 1.0).round_ties_even() as usize | 1;
    size / 2
}

fn blur(plane: &Plane, sigma: f64, radius: usize, mirror: Mirror) -> Plane {
    let weights = kernel(sigma, radius);
    let Plane { width, height, channels, .. } = *plane;
    let place = |at: usize, tap: usize, n: usize| {
        let i = at as isize + tap as isize - radius as isize;
        match mirror {
            Mirror::OnPixel => mirrored(i, n),
            Mirror::BehindPixel => {
                let i = i.rem_euclid(2 * n as isize) as usize;
                i.min(2 * n - 1 - i)
            }
        }
    };
    let row = width * channels;
    let mut across = vec![0f32; plane.values.len()];
    across.par_chunks_exact_mut(row).zip(plane.values.par_chunks_exact(row)).for_each(|(out, values)| {
        for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
            for (tap, weight) in weights.iter().enumerate() {
                let source = place(x, tap, width) * channels;
                pixel.iter_mut().zip(&values[source..]).for_each(|(sum, value)| *sum += weight * value);
            }
        }
    });
    let mut down = vec![0f32; plane.values.len()];
    down.par_chunks_exact_mut(row).enumerate().for_each(|(y, out)| {
        for (tap, weight) in weights.iter().enumerate() {
            let source = place(y, tap, height) * row;
            out.iter_mut().zip(&across[source..]).for_each(|(sum, value)| *sum += weight * value);
        }
    });
    Plane::new(width, height, channels, down)
}

fn kernel(sigma: f64, radius: usize) -> Vec<f32> {
    let weights: Vec<f64> = (0..=2 * radius)
        .map(|i| {
            let distance = i as f64 - radius as f64;
            (-distance * distance / (2.0 * sigma * sigma)).exp()
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| (weight / sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_mirrored_in_two_ways() {
        let plane = Plane::new(3, 1, 1, vec![9.0, 0.0, 0.0]);
        let on = blur(&plane, 1e9, 1, Mirror::OnPixel);
        assert_eq!(on.values.iter().map(|v| v.round()).collect::<Vec<_>>(), [3.0, 3.0, 0.0]);
        let behind = blur(&plane, 1e9, 1, Mirror::BehindPixel);
        assert_eq!(behind.values.iter().map(|v| v.round()).collect::<Vec<_>>(), [6.0, 3.0, 0.0]);
    }

    #[test]
    fn a_blur_keeps_the_mean_even_of_pictures_smaller_than_its_kernel() {
        let plane = Plane::new(1, 2, 3, vec![1.0, 2.0, 3.0, 3.0, 4.0, 5.0]);
        for blurred in [blur_bytes(&plane, 4.0), blur_scipy(&plane, 3.0)] {
            let sum: f32 = blurred.values.iter().sum();
            assert!((sum - 18.0).abs() < 1e-3, "{blurred:?}");
        }
        assert_eq!((radius(4.0, 3.0), radius(0.5, 4.0), radius(6.0, 4.0)), (12, 2, 24));
    }
}
