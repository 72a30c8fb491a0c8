//! The size of the picture to make, from what was asked for and the picture to start from.

use super::fit::Resize;
use crate::request::limits;
use crate::{Error, Result};

/// The size of a picture to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureSize {
    /// Pixels, a multiple of the grid.
    pub width: u32,
    /// Pixels, a multiple of the grid.
    pub height: u32,
    /// What was rounded, if anything.
    pub note: Option<String>,
}

/// The size to make from a picture of size `picture`: the one that is asked for; where one side is, the other follows the
/// picture's shape; where none is, the picture's own size. What was not asked for is rounded down to multiples of `grid`.
/// With [`Resize::Fit`] the asked size is a frame, and the result the largest inside it with the picture's shape.
///
/// # Errors
/// When the result is smaller or larger than pictures can be.
pub fn picture_size(
    picture: (u32, u32),
    asked: (Option<usize>, Option<usize>),
    how: Resize,
    grid: usize,
) -> Result<PictureSize> {
    let (own_width, own_height) = (picture.0.max(1) as usize, picture.1.max(1) as usize);
    let width_for = |height: usize| own_width * height / own_height;
    let height_for = |width: usize| own_height * width / own_width;
    let exact = match asked {
        (Some(width), Some(height)) if how == Resize::Fit => {
            (width.min(width_for(height)), height.min(height_for(width)))
        }
        (Some(width), Some(height)) => (width, height),
        (Some(width), None) => (width, height_for(width)),
        (None, Some(height)) => (width_for(height), height),
        (None, None) => (own_width, own_height),
    };
    let on_grid = |side: usize, asked: Option<usize>| if asked == Some(side) { side } else { side - side % grid };
    let (width, height) = (on_grid(exact.0, asked.0), on_grid(exact.1, asked.1));
    for side in [width, height] {
        if !limits::SIDE.contains(&side) {
            return Err(out_of_range(picture, (width, height)));
        }
    }
    let note = ((width, height) != exact)
        .then(|| format!("{}x{} is rounded down to {width}x{height}, multiples of {grid}", exact.0, exact.1));
    Ok(PictureSize { width: width as u32, height: height as u32, note })
}

fn out_of_range(picture: (u32, u32), size: (usize, usize)) -> Error {
    let (least, most) = (limits::SIDE.start(), limits::SIDE.end());
    let what = if size.0.min(size.1) < *least { "small" } else { "large" };
    Error::usage(
        format!(
            "from a picture of {}x{} pixels comes a size of {}x{}, which is too {what}",
            picture.0, picture.1, size.0, size.1
        ),
        format!("give `--width` and `--height`, {least} to {most} each"),
    )
}
