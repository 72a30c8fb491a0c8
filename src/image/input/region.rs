//! The part of a picture that is worked on, and its way back.

use ::image::{imageops, ImageBuffer, Luma, Pixel, Rgb, RgbImage};

use super::fit::{fit, Resize};
use super::mask::Mask;
use super::resample::Bytes;

/// A rectangle of pixels inside a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The first column.
    pub left: u32,
    /// The first row.
    pub top: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

impl Region {
    /// The smallest rectangle around all that is repainted, with `pad` pixels around it, grown to the shape of `size` as far
    /// as the picture goes: diffusers' `get_crop_region`. `None` when nothing is repainted.
    #[must_use]
    pub fn around(mask: &Mask, size: (u32, u32), pad: u32) -> Option<Self> {
        let (across, down) = bounds(mask)?;
        let (width, height) = mask.dimensions();
        let (mut across, mut down) = (across.padded(pad, width), down.padded(pad, height));
        let shape = f64::from(size.0) / f64::from(size.1);
        if across.length() / down.length() > shape {
            down = down.grown_to(across.length() / shape, height);
        } else {
            across = across.grown_to(down.length() * shape, width);
        }
        let pixels = |span: Span| (span.end - span.begin) as u32;
        Some(Region { left: across.begin as u32, top: down.begin as u32, width: pixels(across), height: pixels(down) })
    }

    /// What lies inside.
    #[must_use]
    pub fn crop<P>(&self, picture: &Bytes<P>) -> Bytes<P>
    where
        P: Pixel<Subpixel = u8> + 'static,
    {
        imageops::crop_imm(picture, self.left, self.top, self.width, self.height).to_image()
    }

    /// The part of a picture inside, at `size`; where the picture was too narrow for the size's shape, its edges are repeated.
    #[must_use]
    pub fn zoom<P>(&self, picture: &Bytes<P>, size: (u32, u32)) -> Bytes<P>
    where
        P: Pixel<Subpixel = u8> + 'static,
    {
        fit(&self.crop(picture), size, Resize::Fill)
    }

    /// The way back of [`zoom`](Self::zoom): `whole` with `painted` inside.
    #[must_use]
    pub fn unzoom<P>(&self, whole: &Bytes<P>, painted: &Bytes<P>) -> Bytes<P>
    where
        P: Pixel<Subpixel = u8> + 'static,
    {
        let patch = fit(painted, (self.width, self.height), Resize::Crop);
        let mut out: ImageBuffer<P, Vec<u8>> = whole.clone();
        imageops::replace(&mut out, &patch, i64::from(self.left), i64::from(self.top));
        out
    }
}

/// From `begin` to before `end` on one axis.
#[derive(Clone, Copy)]
struct Span {
    begin: i64,
    end: i64,
}

impl Span {
    fn length(self) -> f64 {
        (self.end - self.begin) as f64
    }

    fn padded(self, pad: u32, limit: u32) -> Self {
        let pad = i64::from(pad);
        Span { begin: (self.begin - pad).max(0), end: (self.end + pad).min(i64::from(limit)) }
    }

    /// Grown on both sides alike, then moved inside the picture, then cut.
    fn grown_to(self, length: f64, limit: u32) -> Self {
        let limit = i64::from(limit);
        let more = (length - self.length()) as i64;
        let begin = self.begin - more / 2;
        let end = self.end + more - more / 2;
        let shift = (limit - end).min(0);
        let begin = begin + shift;
        let end = (end + shift - begin.min(0)).min(limit);
        Span { begin: begin.max(0), end }
    }
}

/// Columns and rows that have anything to repaint.
fn bounds(mask: &Mask) -> Option<(Span, Span)> {
    let marked = mask.values().enumerate_pixels().filter(|(_, _, &Luma([value]))| value > 0);
    marked.fold(None, |spans: Option<(Span, Span)>, (x, y, _)| {
        let (x, y) = (i64::from(x), i64::from(y));
        let (across, down) = spans.unwrap_or((Span { begin: x, end: x }, Span { begin: y, end: y }));
        let join = |span: Span, at: i64| Span { begin: span.begin.min(at), end: span.end.max(at + 1) };
        Some((join(across, x), join(down, y)))
    })
}

/// `painted` where the mask is 255, `original` bit for bit where it is 0, mixed in between. All have the same size; where
/// `painted` or the mask has no pixel, the original stays.
#[must_use]
pub fn paste_back(original: &RgbImage, painted: &RgbImage, mask: &Mask) -> RgbImage {
    let mut out = original.clone();
    for (x, y, pixel) in out.enumerate_pixels_mut() {
        let value = mask.values().get_pixel_checked(x, y).map_or(0, |p| p.0[0]);
        if let (1.., Some(paint)) = (value, painted.get_pixel_checked(x, y)) {
            *pixel = mix(*pixel, *paint, value);
        }
    }
    out
}

fn mix(Rgb(below): Rgb<u8>, Rgb(above): Rgb<u8>, weight: u8) -> Rgb<u8> {
    let weight = u32::from(weight);
    let channel = |i: usize| {
        let sum = u32::from(above[i]) * weight + u32::from(below[i]) * (255 - weight);
        ((sum + 127) / 255) as u8
    };
    Rgb([channel(0), channel(1), channel(2)])
}
