//! The picture's colours and shapes at other places, for ControlNets that take its style and not its layout.

use image::RgbImage;
use rayon::prelude::*;

use super::pixels::Plane;
use super::resize::{resize_plane, Interpolation};
use crate::sampling::Uniform;

/// Pixels from one random place to the next.
const DISTANCE: usize = 256;

/// Each pixel comes from a place that a smooth random field names: controlnet_aux's content shuffle, and with numpy seeded with
/// `seed` the same picture.
pub(super) fn shuffle(picture: &RgbImage, seed: u32) -> RgbImage {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut random = Uniform::new(seed);
    let across = random_field(&mut random, width, height);
    let down = random_field(&mut random, width, height);
    let mut bytes = vec![0; width * height * 3];
    let rows = bytes.par_chunks_exact_mut(width * 3);
    rows.zip(across.par_chunks_exact(width)).zip(down.par_chunks_exact(width)).for_each(|((out, across), down)| {
        for ((pixel, x), y) in out.chunks_exact_mut(3).zip(across).zip(down) {
            pixel.copy_from_slice(&sample(picture, x * (width - 1) as f64, y * (height - 1) as f64));
        }
    });
    RgbImage::from_raw(picture.width(), picture.height(), bytes).unwrap_or_default()
}

/// A field of 0..1, smooth between random values.
fn random_field(random: &mut Uniform, width: usize, height: usize) -> Vec<f64> {
    let (columns, rows) = (width / DISTANCE + 2, height / DISTANCE + 2);
    let values = (0..columns * rows).map(|_| random.draw() as f32).collect();
    let wide = (width + 2 * DISTANCE, height + 2 * DISTANCE);
    let field = resize_plane(&Plane::new(columns, rows, 1, values), wide, Interpolation::Cubic);
    let inner = (0..height).flat_map(|y| &field.values[(y + DISTANCE) * wide.0 + DISTANCE..][..width]);
    let inner: Vec<f64> = inner.map(|value| f64::from(*value)).collect();
    let (least, most) = inner.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let range = (most - least).max(f64::MIN_POSITIVE);
    inner.into_iter().map(|value| (value - least) / range).collect()
}

/// The colour at a place between pixels.
fn sample(picture: &RgbImage, x: f64, y: f64) -> [u8; 3] {
    let (left, top) = (x.floor(), y.floor());
    let (right, bottom) = (x - left, y - top);
    let colour = |dx: u32, dy: u32| {
        let (x, y) = ((left as u32 + dx).min(picture.width() - 1), (top as u32 + dy).min(picture.height() - 1));
        picture.get_pixel(x, y).0.map(f64::from)
    };
    let [a, b, c, d] = [colour(0, 0), colour(1, 0), colour(0, 1), colour(1, 1)];
    std::array::from_fn(|i| {
        let above = a[i] * (1.0 - right) + b[i] * right;
        let below = c[i] * (1.0 - right) + d[i] * right;
        (above * (1.0 - bottom) + below * bottom).round_ties_even() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{difference, reference};

    #[test]
    fn the_seed_decides_as_in_numpy() {
        let picture = reference("annotators/photo2.png");
        let found = shuffle(&picture, 7);
        assert!(difference(&found, &reference("simple/photo2_shuffle_7.png")) <= 2);
        assert_ne!(found, shuffle(&picture, 8));
    }
}
