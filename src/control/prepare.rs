//! The size that a preprocessor works at.

use image::imageops;
use image::RgbImage;

use super::resize::{resize, Interpolation};
use crate::{Error, Result};

/// Sides that the operations without a network are padded to, as their origin does.
const PADDING: u32 = 64;

/// Pixels of the largest map: a picture that is thin becomes very long.
const MOST_PIXELS: f64 = 40e6;

/// Refuses a resolution at which the picture is too large to work on.
///
/// # Errors
/// [`Error::Usage`].
pub(super) fn check_size(picture: &RgbImage, resolution: Option<u32>) -> Result<()> {
    let (width, height) = picture.dimensions();
    let ((wide, high), _) = match resolution {
        Some(resolution) => scaled(picture, resolution),
        None => ((f64::from(width), f64::from(height)), 1.0),
    };
    if wide * high <= MOST_PIXELS {
        return Ok(());
    }
    let message = format!("a map of {wide:.0}x{high:.0} pixels, from a picture of {width}x{height}, is too large");
    Err(Error::usage(message, "give a smaller `--resolution`, such as 512"))
}

/// What `work` makes of the picture with its shorter side at `resolution` (its own size when absent), as the ControlNet
/// extension of A1111 prepares it: cubic when it grows, area when it shrinks; then the last row and column are repeated up to
/// multiples of 64, and what comes of them is cut off.
pub(super) fn at_resolution(
    picture: &RgbImage,
    resolution: Option<u32>,
    work: impl FnOnce(&RgbImage) -> RgbImage,
) -> RgbImage {
    let sized = with_shorter_side(picture, resolution, Interpolation::Cubic);
    let (width, height) = sized.dimensions();
    let padded = (width.next_multiple_of(PADDING), height.next_multiple_of(PADDING));
    let padded = RgbImage::from_fn(padded.0, padded.1, |x, y| *sized.get_pixel(x.min(width - 1), y.min(height - 1)));
    imageops::crop_imm(&work(&padded), 0, 0, width, height).to_image()
}

/// The picture with its shorter side at `resolution`, the other rounded half to even; area when it shrinks, otherwise `growing`.
pub(super) fn with_shorter_side(picture: &RgbImage, resolution: Option<u32>, growing: Interpolation) -> RgbImage {
    let Some(resolution) = resolution else { return picture.clone() };
    let (_, factor) = scaled(picture, resolution);
    resize(picture, sized(picture, resolution), filter(factor, growing))
}

/// As [`scaled`], in whole pixels.
fn sized(picture: &RgbImage, resolution: u32) -> (u32, u32) {
    let ((width, height), _) = scaled(picture, resolution);
    ((width.round_ties_even() as u32).max(1), (height.round_ties_even() as u32).max(1))
}

/// Width and height with the shorter one at `resolution`, and the factor.
fn scaled(picture: &RgbImage, resolution: u32) -> ((f64, f64), f64) {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let factor = f64::from(resolution) / width.min(height);
    ((width * factor, height * factor), factor)
}

/// The picture as annotators with a network take it: the shorter side near `resolution`, both multiples of 64 (which changes its
/// shape a little); Lanczos when it grows, area when it shrinks.
pub(super) fn for_network(picture: &RgbImage, resolution: u32) -> RgbImage {
    let (size, factor) = scaled(picture, resolution);
    let side = |side: f64| ((side / 64.0).round_ties_even() as u32).max(1) * 64;
    resize(picture, (side(size.0), side(size.1)), filter(factor, Interpolation::Lanczos4))
}

/// The map of what [`for_network`] gave, in the picture's shape: of its size, or with its shorter side at `resolution`.
pub(super) fn in_shape_of(picture: &RgbImage, resolution: Option<u32>, map: &RgbImage) -> RgbImage {
    let size = resolution.map_or(picture.dimensions(), |resolution| sized(picture, resolution));
    resize(map, size, Interpolation::Linear)
}

fn filter(factor: f64, growing: Interpolation) -> Interpolation {
    if factor > 1.0 {
        growing
    } else {
        Interpolation::Area
    }
}
