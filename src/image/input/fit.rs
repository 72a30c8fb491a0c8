//! A picture brought to a size of another shape, with the geometry of diffusers' `VaeImageProcessor.resize`.

use ::image::{imageops, ImageBuffer, Pixel};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::resample::{edge_columns, edge_rows, resize_part, Bytes, Filter};

/// How a picture gets the shape of the one that is made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Scaled to cover the size; what sticks out is cut on both sides alike
    #[default]
    Crop,
    /// Scaled to lie inside the size; the result keeps the picture's shape and is smaller on one side
    Fit,
    /// Scaled to lie inside the size; its edges are repeated to fill the rest
    Fill,
    /// Scaled to the size, whatever becomes of its shape
    Stretch,
}

/// The picture at this size. Masks go through it as their pictures do, so that they stay where they were.
///
/// Scaled by Pillow's Lanczos filter. `Crop` is "crop" of diffusers and "crop and resize" of A1111, `Fill` "fill" and
/// "resize and fill", `Stretch` "default" and "just resize". With `Fit` the size was made to fit before, by
/// [`picture_size`](super::picture_size), but for the grid: what that leaves is cut as by `Crop`.
#[must_use]
pub fn fit<P>(picture: &Bytes<P>, (width, height): (u32, u32), how: Resize) -> Bytes<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    if picture.as_raw().is_empty() {
        return ImageBuffer::new(width, height);
    }
    let scaled = scaled_size(picture.dimensions(), (width, height), how);
    // What lies in the middle of the scaled picture, as far as there is that much.
    let middle = |scaled: u32, side: u32| {
        let begin = (scaled / 2).saturating_sub(side / 2);
        begin..(begin + side).min(scaled)
    };
    let (columns, rows) = (middle(scaled.0, width), middle(scaled.1, height));
    let shown = resize_part(picture, scaled, Filter::Lanczos, columns, rows);
    if shown.dimensions() == (width, height) {
        return shown;
    }
    let (left, top) = (width / 2 - shown.width() / 2, height / 2 - shown.height() / 2);
    let mut out = ImageBuffer::new(width, height);
    imageops::replace(&mut out, &shown, i64::from(left), i64::from(top));
    repeat_edges(&mut out, &shown, left, top);
    out
}

/// The size to which a picture is scaled before it is cut or put onto the canvas. At least one pixel.
fn scaled_size(picture: (u32, u32), (width, height): (u32, u32), how: Resize) -> (u32, u32) {
    // Shapes are compared by cross-multiplying: width / height against the picture's.
    let wanted = u64::from(width) * u64::from(picture.1);
    let shape = u64::from(height) * u64::from(picture.0);
    let width_for_height = (shape / u64::from(picture.1)).clamp(1, u64::from(u32::MAX)) as u32;
    let height_for_width = (wanted / u64::from(picture.0)).clamp(1, u64::from(u32::MAX)) as u32;
    match how {
        Resize::Stretch => (width, height),
        Resize::Crop | Resize::Fit if wanted > shape => (width, height_for_width),
        Resize::Crop | Resize::Fit => (width_for_height, height),
        Resize::Fill if wanted < shape => (width, height_for_width),
        Resize::Fill => (width_for_height, height),
    }
}

/// Fills what `scaled`, which lies at (left, top), leaves free on two opposite sides of `out`.
fn repeat_edges<P>(out: &mut Bytes<P>, scaled: &Bytes<P>, left: u32, top: u32)
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let right = out.width() - scaled.width() - left;
    let bottom = out.height() - scaled.height() - top;
    if left > 0 {
        imageops::replace(out, &edge_columns(scaled, left, false), 0, 0);
    }
    if right > 0 {
        let at = i64::from(left + scaled.width());
        imageops::replace(out, &edge_columns(scaled, right, true), at, 0);
    }
    if top > 0 {
        imageops::replace(out, &edge_rows(scaled, top, false), 0, 0);
    }
    if bottom > 0 {
        let at = i64::from(top + scaled.height());
        imageops::replace(out, &edge_rows(scaled, bottom, true), 0, at);
    }
}

/// What [`fit`] does to a picture of this size, or `None` when the picture stays as it is.
#[must_use]
pub fn fit_note(picture: (u32, u32), size: (u32, u32), how: Resize) -> Option<String> {
    if picture == size {
        return None;
    }
    let ((from_width, from_height), (width, height)) = (picture, size);
    let change = format!("the picture of {from_width}x{from_height} is brought to {width}x{height}");
    let scaled = scaled_size(picture, size, how);
    Some(match how {
        Resize::Stretch if u64::from(width) * u64::from(from_height) != u64::from(height) * u64::from(from_width) => {
            format!("{change}: its shape changes")
        }
        Resize::Fill if scaled != size => format!("{change}: its edges are repeated"),
        Resize::Crop | Resize::Fit if scaled != size => {
            let (cut_x, cut_y) = (scaled.0 - width, scaled.1 - height);
            let (cut, sides) = if cut_x > 0 { (cut_x, "width") } else { (cut_y, "height") };
            format!("{change}: {cut} pixels of its {sides} are cut")
        }
        _ => change,
    })
}
