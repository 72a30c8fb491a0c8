//! Dilation: the largest value within a disc.

use std::mem::swap;

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
    // Rows in which nothing is masked are most of them.
    let rows: Vec<Option<&[u8]>> =
        values.as_raw().chunks_exact(width).map(|row| row.iter().any(|&value| value > 0).then_some(row)).collect();
    let mut out = values.clone();
    out.par_chunks_exact_mut(width).enumerate().for_each_init(Widener::default, |widener, (y, out)| {
        for (other, row) in rows.iter().enumerate().take(y + radius + 1).skip(y.saturating_sub(radius)) {
            let distance = other.abs_diff(y);
            let half = ((radius * radius - distance * distance) as f64).sqrt() as usize;
            if let Some(row) = row {
                widener.widen(row, half, out);
            }
        }
    });
    out
}

/// Room to work in.
#[derive(Default)]
struct Widener {
    now: Vec<u8>,
    next: Vec<u8>,
}

impl Widener {
    /// Raises `out` to the largest value of the row within `half` positions to either side: windows of twice the length out of
    /// two that touch, until two that overlap make the whole.
    fn widen(&mut self, row: &[u8], half: usize, out: &mut [u8]) {
        let window = 2 * half + 1;
        self.now.clear();
        self.now.resize(half, 0);
        self.now.extend(row);
        self.now.resize(row.len() + 2 * half, 0);
        let mut reach = 1;
        while 2 * reach <= window {
            self.next.clear();
            self.next.extend(self.now.iter().zip(&self.now[reach..]).map(|(a, b)| *a.max(b)));
            swap(&mut self.now, &mut self.next);
            reach *= 2;
        }
        for (out, (a, b)) in out.iter_mut().zip(self.now.iter().zip(&self.now[window - reach..])) {
            *out = (*out).max(*a).max(*b);
        }
    }
}
