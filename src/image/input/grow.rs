//! Dilation: the largest value within a disc.

use ::image::GrayImage;
use rayon::prelude::*;

/// Each value becomes the largest within `radius` pixels of it; what lies outside the picture has no say.
pub(super) fn dilate(values: &GrayImage, radius: u32) -> GrayImage {
    let (width, height) = (values.width() as usize, values.height() as usize);
    if width == 0 || height == 0 {
        return values.clone();
    }
    // More changes nothing: the disc covers the picture.
    let radius = (radius as usize).min(width + height);
    let rows: Vec<&[u8]> = values.as_raw().chunks_exact(width).collect();
    let mut out = values.clone();
    out.par_chunks_exact_mut(width).enumerate().for_each(|(y, out)| {
        let mut widened = vec![0; width];
        for (other, row) in rows.iter().enumerate().take(y + radius + 1).skip(y.saturating_sub(radius)) {
            let distance = other.abs_diff(y);
            let half = ((radius * radius - distance * distance) as f64).sqrt() as usize;
            widen(row, half, &mut widened);
            for (out, &value) in out.iter_mut().zip(&widened) {
                *out = (*out).max(value);
            }
        }
    });
    out
}

/// The largest value within `half` positions to either side, in time that does not depend on `half`: maxima from both ends
/// of blocks as wide as the window (van Herk 1992, Gil and Werman 1993).
fn widen(row: &[u8], half: usize, out: &mut [u8]) {
    let window = 2 * half + 1;
    let padded = |i: usize| i.checked_sub(half).and_then(|i| row.get(i)).copied().unwrap_or(0);
    let length = row.len() + 2 * half;
    let (mut ahead, mut behind) = (vec![0u8; length], vec![0u8; length]);
    for i in 0..length {
        ahead[i] = if i % window == 0 { padded(i) } else { ahead[i - 1].max(padded(i)) };
    }
    for i in (0..length).rev() {
        let ends = i + 1 == length || (i + 1) % window == 0;
        behind[i] = if ends { padded(i) } else { behind[i + 1].max(padded(i)) };
    }
    for (x, out) in out.iter_mut().enumerate() {
        *out = behind[x].max(ahead[x + window - 1]);
    }
}
