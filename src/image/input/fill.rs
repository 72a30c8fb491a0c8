//! What lies under the mask when repainting starts.

use ::image::{Rgb, RgbImage};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::mask::Mask;

/// What lies under the mask when repainting starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// The picture
    #[default]
    Original,
    /// Nothing but noise
    Noise,
    /// The colours around the mask, spread into it
    Blur,
}

/// The picture with what is masked replaced by the colours around it, spread smoothly into the hole: pull-push over a
/// pyramid of halves (Gortler et al. 1996, "The Lumigraph", section 3.4). Half masked pixels are mixed. Where the mask is 0
/// the picture stays bit for bit, and a picture that is masked as a whole stays as it is.
///
/// Both have the same size.
#[must_use]
pub fn fill_from_around(picture: &RgbImage, mask: &Mask) -> RgbImage {
    if picture.dimensions() != mask.dimensions() || mask.is_full() {
        return picture.clone();
    }
    let base = Level::new(picture, mask);
    let mut levels = vec![base];
    while let Some(level) = levels.last().filter(|level| level.width > 1 || level.height > 1) {
        let half = level.pull();
        levels.push(half);
    }
    let mut filled = levels.pop();
    while let (Some(mut level), Some(coarse)) = (levels.pop(), filled.as_ref()) {
        level.push(coarse);
        filled = Some(level);
    }
    let Some(filled) = filled else { return picture.clone() };
    let mut out = picture.clone();
    for ((pixel, value), colour) in out.pixels_mut().zip(mask.values().iter()).zip(&filled.pixels) {
        if *value > 0 {
            *pixel = Rgb([0, 1, 2].map(|i| colour[i].round().clamp(0.0, 255.0) as u8));
        }
    }
    out
}

/// One size of the pyramid.
struct Level {
    width: usize,
    height: usize,
    /// Red, green, blue in 0..255 and how much is known of them, 0..1.
    pixels: Vec<[f32; 4]>,
}

impl Level {
    fn new(picture: &RgbImage, mask: &Mask) -> Self {
        let pixels = picture.pixels().zip(mask.values().iter()).map(|(&Rgb([r, g, b]), &masked)| {
            [f32::from(r), f32::from(g), f32::from(b), 1.0 - f32::from(masked) / 255.0]
        });
        Level { width: picture.width() as usize, height: picture.height() as usize, pixels: pixels.collect() }
    }

    /// Half the size: of four pixels the mean of what is known.
    fn pull(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let mut sum = [0.0f32; 4];
                for (x, y) in [(2 * x, 2 * y), (2 * x + 1, 2 * y), (2 * x, 2 * y + 1), (2 * x + 1, 2 * y + 1)] {
                    if x < self.width && y < self.height {
                        let [r, g, b, known] = self.pixels[y * self.width + x];
                        sum = [sum[0] + r * known, sum[1] + g * known, sum[2] + b * known, sum[3] + known];
                    }
                }
                let [r, g, b, known] = sum;
                let norm = if known > 0.0 { known } else { 1.0 };
                pixels.push([r / norm, g / norm, b / norm, known.min(1.0)]);
            }
        }
        Level { width, height, pixels }
    }

    /// Completes what is unknown from a level of half the size, which is complete, by linear interpolation.
    fn push(&mut self, coarse: &Level) {
        for y in 0..self.height {
            for x in 0..self.width {
                let [r, g, b, known] = self.pixels[y * self.width + x];
                if known < 1.0 {
                    let from = coarse.between((x as f32 - 0.5) / 2.0, (y as f32 - 0.5) / 2.0);
                    let mix = |own: f32, other: f32| own * known + other * (1.0 - known);
                    self.pixels[y * self.width + x] = [mix(r, from[0]), mix(g, from[1]), mix(b, from[2]), 1.0];
                }
            }
        }
    }

    fn between(&self, x: f32, y: f32) -> [f32; 3] {
        let (x, y) = (x.clamp(0.0, (self.width - 1) as f32), y.clamp(0.0, (self.height - 1) as f32));
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(self.width - 1), (top + 1).min(self.height - 1));
        let (fx, fy) = (x - left as f32, y - top as f32);
        let at = |x: usize, y: usize, i: usize| self.pixels[y * self.width + x][i];
        [0, 1, 2].map(|i| {
            let above = at(left, top, i) * (1.0 - fx) + at(right, top, i) * fx;
            let below = at(left, bottom, i) * (1.0 - fx) + at(right, bottom, i) * fx;
            above * (1.0 - fy) + below * fy
        })
    }
}
