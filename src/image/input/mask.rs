//! Masks: one byte a pixel, 0 keeps, 255 repaints, values between do both.

use ::image::{GrayImage, Luma, Rgba, RgbaImage};

use super::blur::gaussian_blur;
use super::grow::dilate;
use super::resample::Bytes;

/// What is repainted: 255 wholly, 0 not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask(GrayImage);

impl Mask {
    /// A mask of these values.
    #[must_use]
    pub fn new(values: GrayImage) -> Self {
        Mask(values)
    }

    /// A mask with one value everywhere.
    #[must_use]
    pub fn uniform((width, height): (u32, u32), value: u8) -> Self {
        Mask(GrayImage::from_pixel(width, height, Luma([value])))
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &GrayImage {
        &self.0
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn dimensions(&self) -> (u32, u32) {
        self.0.dimensions()
    }

    /// What was kept is repainted, and the other way round.
    #[must_use]
    pub fn invert(&self) -> Self {
        self.map(|value| 255 - value)
    }

    /// Grown by so many pixels in all directions; shrunk when negative. What lies outside the picture has no say: a mask
    /// that touches the border goes on touching it.
    #[must_use]
    pub fn grow(&self, pixels: i32) -> Self {
        let radius = pixels.unsigned_abs();
        match pixels {
            0 => self.clone(),
            1.. => Mask(dilate(&self.0, radius)),
            _ => Mask(dilate(&self.invert().0, radius)).invert(),
        }
    }

    /// Blurred by Pillow's `GaussianBlur` of this radius in pixels, which is the standard deviation; 0 changes nothing.
    #[must_use]
    pub fn blur(&self, radius: f32) -> Self {
        Mask(gaussian_blur(&self.0, radius))
    }

    /// Either 0 or 255: below one half is kept, from there on repainted.
    #[must_use]
    pub fn binarise(&self) -> Self {
        self.map(|value| if value < 128 { 0 } else { 255 })
    }

    /// With a soft border outside, about so many pixels wide: for [`paste_back`](super::paste_back). The mask itself stays
    /// as it is, so that what was repainted is wholly shown.
    #[must_use]
    pub fn feather(&self, pixels: f32) -> Self {
        // The blur is at one half on a straight border; twice that, capped, falls from 255 there to 0 outside.
        let blurred = self.blur(pixels / 2.0);
        let mut out = self.clone();
        for (value, soft) in out.0.iter_mut().zip(blurred.0.iter()) {
            *value = (*value).max(soft.saturating_mul(2));
        }
        out
    }

    /// Repainted where either is.
    ///
    /// Both have the same size; of a larger one the rest is left out.
    #[must_use]
    pub fn union(&self, other: &Mask) -> Self {
        let mut out = self.clone();
        for (x, y, value) in out.0.enumerate_pixels_mut() {
            let theirs = other.0.get_pixel_checked(x, y).map_or(0, |p| p.0[0]);
            value.0[0] = value.0[0].max(theirs);
        }
        out
    }

    /// The part of the picture that is repainted, 0 to 1.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        let values = self.0.as_raw();
        let sum: u64 = values.iter().map(|&v| u64::from(v)).sum();
        sum as f64 / (255 * values.len().max(1)) as f64
    }

    /// Whether nothing is repainted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_raw().iter().all(|&v| v == 0)
    }

    /// Whether everything is repainted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.as_raw().iter().all(|&v| v == 255)
    }

    fn map(&self, f: impl Fn(u8) -> u8) -> Self {
        let mut out = self.clone();
        out.0.iter_mut().for_each(|value| *value = f(*value));
        out
    }
}

/// The brightness of each pixel by Pillow's `convert("L")`: ITU-R 601-2 in 16-bit fixed point; alpha has no say.
pub(super) fn luma(picture: &RgbaImage) -> GrayImage {
    let grey = picture.pixels().map(|&Rgba([r, g, b, _])| {
        let sum = 19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 0x8000;
        (sum >> 16) as u8
    });
    Bytes::from_raw(picture.width(), picture.height(), grey.collect()).unwrap_or_default()
}
