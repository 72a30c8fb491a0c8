//! Pictures and masks from a file or standard input.

use ::image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::decode::decode;
use super::fit::{fit, Resize};
use super::mask::{luma, Mask};
use super::resample::{resize, Filter};
use super::source::{InputRecord, Source};
use crate::Result;

/// What becomes of a picture's transparency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Alpha {
    /// The picture is laid on white
    #[default]
    White,
    /// It is ignored: hidden colours come to light
    Drop,
    /// It is the mask: what is transparent is repainted
    Mask,
}

/// A picture to start from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The pixels, upright.
    pub rgb: RgbImage,
    /// With [`Alpha::Mask`] and a picture that is transparent anywhere: where it is.
    pub mask: Option<Mask>,
    /// What the user should know: ignored profiles, first frames, hidden colours.
    pub notes: Vec<String>,
    /// For the metadata of what is made from it.
    pub record: InputRecord,
}

/// Reads a picture: PNG, JPEG, WebP, TIFF or BMP, told by its content; turned upright by its EXIF orientation, 8 bits a
/// channel (of 16 bits the higher ones).
///
/// # Errors
/// When it cannot be read, is no picture of these formats, is cut off or damaged, or is smaller or larger than pictures to
/// start from can be.
pub fn load(source: &Source, alpha: Alpha) -> Result<Loaded> {
    let bytes = source.read()?;
    let record = InputRecord::new(source, &bytes)?;
    let decoded = decode(&bytes, source)?;
    let mut notes = decoded.notes;
    let has_alpha = decoded.picture.color().has_alpha();
    let rgba = to_rgba8(decoded.picture);
    let transparent = has_alpha && rgba.pixels().any(|p| p.0[3] < 255);
    if transparent {
        notes.extend(match alpha {
            Alpha::White => Some(format!("{source} is transparent in places: it is laid on white")),
            Alpha::Drop => Some(format!("{source} is transparent in places: that is ignored")),
            Alpha::Mask => None,
        });
    }
    let flatten = if alpha == Alpha::White { on_white } else { without_alpha };
    let rgb = map_pixels(&rgba, flatten);
    let mask = (alpha == Alpha::Mask && transparent).then(|| Mask::new(transparency(&rgba)));
    Ok(Loaded { rgb, mask, notes, record })
}

/// A mask as it was loaded, in colour and at its own size.
#[derive(Debug, Clone)]
pub struct LoadedMask {
    rgba: RgbaImage,
    /// What the user should know.
    pub notes: Vec<String>,
    /// For the metadata of what is made with it.
    pub record: InputRecord,
}

/// Reads a mask, of the formats that [`load`] reads: white is repainted. As in diffusers its brightness counts and its
/// transparency does not; only of a mask of a single colour the transparency is all there is, and what is opaque of it is
/// laid on black.
///
/// # Errors
/// As [`load`].
pub fn load_mask(source: &Source) -> Result<LoadedMask> {
    let bytes = source.read()?;
    let record = InputRecord::new(source, &bytes)?;
    let decoded = decode(&bytes, source)?;
    let mut notes = decoded.notes;
    let mut rgba = to_rgba8(decoded.picture);
    if rgba.pixels().any(|p| p.0[3] < 255) {
        let first = without_alpha(*rgba.get_pixel(0, 0));
        if rgba.pixels().all(|&p| without_alpha(p) == first) {
            rgba.pixels_mut().for_each(|p| *p = on_black(*p));
            notes.push(format!("the mask {source} has one colour only: it counts where it is opaque"));
        } else {
            notes.push(format!("the mask {source} is transparent in places: its brightness counts, not that"));
        }
    }
    Ok(LoadedMask { rgba, notes, record })
}

impl LoadedMask {
    /// Width and height of the mask's file, in pixels.
    #[must_use]
    pub fn dimensions(&self) -> (u32, u32) {
        self.rgba.dimensions()
    }

    /// The mask for a picture of size `picture` that is brought to `size`, with a note when the mask has another size than
    /// the picture. It is resized in colour and made grey after, as in diffusers. A mask of the picture's shape is brought
    /// to the size at once; one of another shape is stretched onto the picture first.
    #[must_use]
    pub fn fitted(&self, picture: (u32, u32), size: (u32, u32), how: Resize) -> (Mask, Option<String>) {
        let (width, height) = self.rgba.dimensions();
        let note = ((width, height) != picture)
            .then(|| format!("the mask of {width}x{height} is resized to the picture's {}x{}", picture.0, picture.1));
        let same_shape = u64::from(width) * u64::from(picture.1) == u64::from(height) * u64::from(picture.0);
        let fitted = if same_shape || how == Resize::Stretch {
            fit(&self.rgba, size, how)
        } else {
            fit(&resize(&self.rgba, picture.0, picture.1, Filter::Lanczos), size, how)
        };
        (Mask::new(luma(&fitted)), note)
    }
}

/// 8 bits a channel: of 16 the higher ones, as Pillow reads them; floating point values clipped to 0..1.
fn to_rgba8(picture: DynamicImage) -> RgbaImage {
    match picture {
        DynamicImage::ImageRgba8(rgba) => rgba,
        DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_)
        | DynamicImage::ImageRgb16(_)
        | DynamicImage::ImageRgba16(_) => {
            let wide = picture.into_rgba16();
            let bytes = wide.as_raw().iter().map(|v| (v >> 8) as u8).collect();
            RgbaImage::from_raw(wide.width(), wide.height(), bytes).unwrap_or_default()
        }
        other => other.into_rgba8(),
    }
}

fn without_alpha(Rgba([r, g, b, _]): Rgba<u8>) -> Rgb<u8> {
    Rgb([r, g, b])
}

/// Pillow's `alpha_composite` over opaque white.
fn on_white(Rgba([r, g, b, a]): Rgba<u8>) -> Rgb<u8> {
    let alpha = u32::from(a);
    Rgb([r, g, b].map(|colour| over(u32::from(colour), alpha, 255)))
}

fn on_black(Rgba([r, g, b, a]): Rgba<u8>) -> Rgba<u8> {
    let alpha = u32::from(a);
    let [r, g, b] = [r, g, b].map(|colour| over(u32::from(colour), alpha, 0));
    Rgba([r, g, b, 255])
}

/// `colour` of this alpha over an opaque one, with 7 bits behind the point, as Pillow does.
fn over(colour: u32, alpha: u32, below: u32) -> u8 {
    let sum = ((colour * alpha + below * (255 - alpha)) << 7) + (0x80 << 7);
    ((((sum >> 8) + sum) >> 8) >> 7) as u8
}

fn map_pixels(picture: &RgbaImage, f: impl Fn(Rgba<u8>) -> Rgb<u8>) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| f(*picture.get_pixel(x, y)))
}

fn transparency(picture: &RgbaImage) -> GrayImage {
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| Luma([255 - picture.get_pixel(x, y).0[3]]))
}
