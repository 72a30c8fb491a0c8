//! Values between pixels: planes of floats, borders, and the way back to 8 bits.

use image::RgbImage;

/// Values at pixels, several channels side by side, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub values: Vec<f32>,
}

impl Plane {
    /// These values, as many as pixels times channels.
    pub fn new(width: usize, height: usize, channels: usize, values: Vec<f32>) -> Self {
        debug_assert_eq!(values.len(), width * height * channels);
        Plane { width, height, channels, values }
    }

    /// The pixels of a picture, 0..255.
    pub fn of(picture: &RgbImage) -> Self {
        let values = picture.as_raw().iter().map(|byte| f32::from(*byte)).collect();
        Plane::new(picture.width() as usize, picture.height() as usize, 3, values)
    }

    /// A value of one channel for each pixel.
    pub fn map<'a>(&'a self, f: impl Fn(&'a [f32]) -> f32) -> Self {
        let values = self.values.chunks_exact(self.channels).map(f).collect();
        Plane::new(self.width, self.height, 1, values)
    }

    /// What `f` makes of the values of two planes of one size, one after the other.
    pub fn zip(&self, other: &Plane, f: impl Fn(f32, f32) -> f32) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| f(*a, *b)).collect();
        Plane { values, ..*self }
    }

    /// As a picture: values of 0..255 with what lies behind the point cut off, one channel as grey.
    pub fn cut_to_picture(&self) -> RgbImage {
        self.to_picture(|value| value as u8)
    }

    /// As a picture: values of 0..255 rounded, half to even, one channel as grey.
    pub fn round_to_picture(&self) -> RgbImage {
        self.to_picture(|value| value.round_ties_even() as u8)
    }

    fn to_picture(&self, byte: impl Fn(f32) -> u8) -> RgbImage {
        let bytes = match self.channels {
            1 => self.values.iter().flat_map(|value| [byte(*value); 3]).collect(),
            _ => self.values.iter().map(|value| byte(*value)).collect(),
        };
        RgbImage::from_raw(self.width as u32, self.height as u32, bytes).unwrap_or_default()
    }
}

/// A picture of white where `f` holds of a pixel, and black elsewhere.
pub(super) fn white_where(picture: &RgbImage, f: impl Fn([u8; 3]) -> bool) -> RgbImage {
    let mut map = picture.clone();
    map.pixels_mut().for_each(|pixel| pixel.0 = [if f(pixel.0) { 255 } else { 0 }; 3]);
    map
}

/// The index inside 0..n that stands for `i`: mirrored at the outermost pixel, which is not repeated.
pub(super) fn mirrored(i: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let i = i.rem_euclid(period);
    i.min(period - i) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_do_not_repeat_the_border() {
        let seen: Vec<usize> = (-4..8).map(|i| mirrored(i, 3)).collect();
        assert_eq!(seen, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!(mirrored(-5, 1), 0);
    }

    #[test]
    fn bytes_saturate() {
        let plane = Plane::new(3, 1, 1, vec![-3.0, 2.5, 300.0]);
        assert_eq!(plane.round_to_picture().as_raw(), &[0, 0, 0, 2, 2, 2, 255, 255, 255]);
        assert_eq!(plane.cut_to_picture().as_raw(), &[0, 0, 0, 2, 2, 2, 255, 255, 255]);
    }
}
