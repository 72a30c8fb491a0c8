//! Pillow's `ImageFilter.GaussianBlur`: three box blurs whose radius has a fraction ("Fast Almost-Gaussian Filtering",
//! Kovesi 2010; "extended box", Gwosdek et al. 2011), each rounded to 8 bits.

use ::image::{imageops, GrayImage};
use rayon::prelude::*;

const PASSES: usize = 3;

/// Blurred with this standard deviation in pixels; 0 and less change nothing.
pub(super) fn gaussian_blur(values: &GrayImage, radius: f32) -> GrayImage {
    if radius <= 0.0 || values.as_raw().is_empty() {
        return values.clone();
    }
    let window = Window::new(box_radius(radius));
    let blurred_rows = blur_rows(values.clone(), &window);
    // Columns are rows of the transposed picture.
    let transposed = imageops::rotate90(&imageops::flip_vertical(&blurred_rows));
    let blurred = blur_rows(transposed, &window);
    imageops::flip_vertical(&imageops::rotate270(&blurred))
}

/// The radius of the box whose three-fold blur has this standard deviation, in f32 where Pillow has it.
fn box_radius(radius: f32) -> f32 {
    let variance = radius * radius / PASSES as f32;
    let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
    let whole = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
    let fraction = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance);
    whole + fraction / (6.0 * (variance - (whole + 1.0) * (whole + 1.0)))
}

/// A box with soft ends: `radius` whole pixels to either side, and one more that counts in part.
struct Window {
    radius: usize,
    /// Weight of a whole pixel, 24 bits behind the point.
    whole: u32,
    /// Weight of the pixel at either end.
    end: u32,
}

impl Window {
    fn new(radius: f32) -> Self {
        let whole = ((1u32 << 24) as f32 / (radius * 2.0 + 1.0)) as u32;
        let pixels = radius as u32 * 2 + 1;
        Window { radius: radius as usize, whole, end: ((1 << 24) - pixels * whole) / 2 }
    }
}

fn blur_rows(mut values: GrayImage, window: &Window) -> GrayImage {
    let width = values.width() as usize;
    values.par_chunks_exact_mut(width).for_each(|row| {
        let mut source = row.to_vec();
        for _ in 0..PASSES {
            blur_row(&source, window, row);
            source.copy_from_slice(row);
        }
    });
    values
}

/// Beyond the ends of a row its outermost values go on.
fn blur_row(row: &[u8], window: &Window, out: &mut [u8]) {
    let last = row.len() - 1;
    let at = |i: usize| u32::from(row[i.saturating_sub(window.radius + 1).min(last)]);
    // Indices into `at` are shifted by radius + 1, so that they stay positive: position x is at(x + radius + 1).
    let span = 2 * window.radius + 1;
    let mut sum: u32 = (0..span).map(at).sum();
    for (x, out) in out.iter_mut().enumerate() {
        sum = sum + at(x + span) - at(x);
        let ends = at(x) + at(x + span + 1);
        *out = ((sum * window.whole + ends * window.end + (1 << 23)) >> 24) as u8;
    }
}
