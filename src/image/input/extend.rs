//! Outpainting: a larger canvas around a picture, and the mask of what is new.

use std::str::FromStr;

use ::image::{imageops, GrayImage, Luma, RgbImage};
use serde::{Deserialize, Serialize};

use super::mask::Mask;

/// Pixels of the picture next to new ground that are repainted with it, so that both grow together: one latent.
pub const SEAM_OVERLAP: u32 = 8;

/// Pixels to add on each side, written `LEFT,TOP,RIGHT,BOTTOM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Margins {
    /// Pixels to the left.
    pub left: u32,
    /// Pixels above.
    pub top: u32,
    /// Pixels to the right.
    pub right: u32,
    /// Pixels below.
    pub bottom: u32,
}

impl Margins {
    /// Whether there is nothing to add.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Margins::default()
    }

    /// The size of the canvas around a picture of this size; capped at the largest number.
    #[must_use]
    pub fn around(&self, (width, height): (u32, u32)) -> (u32, u32) {
        let sum = |side: u32, a: u32, b: u32| side.saturating_add(a).saturating_add(b);
        (sum(width, self.left, self.right), sum(height, self.top, self.bottom))
    }
}

impl FromStr for Margins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides: Vec<u32> = text
            .split(',')
            .map(|side| side.trim().parse().map_err(|_| format!("`{side}` is no number of pixels")))
            .collect::<Result<_, _>>()?;
        match sides[..] {
            [left, top, right, bottom] => Ok(Margins { left, top, right, bottom }),
            _ => Err(format!("four numbers are needed, LEFT,TOP,RIGHT,BOTTOM, not {}", sides.len())),
        }
    }
}

/// A picture with new ground around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extended {
    /// The picture; the new ground repeats its edges until it is painted.
    pub rgb: RgbImage,
    /// What was masked before, the new ground, and [`SEAM_OVERLAP`] pixels of the picture beside it.
    pub mask: Mask,
}

/// The picture on a canvas that is larger by these margins. `mask` is what else to repaint of the picture, of its size.
#[must_use]
pub fn extend(picture: &RgbImage, mask: Option<&Mask>, margins: Margins) -> Extended {
    let (width, height) = picture.dimensions();
    let (new_width, new_height) = margins.around((width, height));
    if width == 0 || height == 0 {
        return Extended {
            rgb: RgbImage::new(new_width, new_height),
            mask: Mask::uniform((new_width, new_height), 255),
        };
    }
    let inside = |at: u32, margin: u32, side: u32| at.saturating_sub(margin).min(side - 1);
    let rgb = RgbImage::from_fn(new_width, new_height, |x, y| {
        *picture.get_pixel(inside(x, margins.left, width), inside(y, margins.top, height))
    });
    let keeps = |at: u32, before: u32, side: u32, after: u32| {
        let overlap = |margin: u32| if margin > 0 { SEAM_OVERLAP.min(side / 4) } else { 0 };
        at >= before + overlap(before) && at < before + side - overlap(after)
    };
    let ground = GrayImage::from_fn(new_width, new_height, |x, y| {
        let kept = keeps(x, margins.left, width, margins.right) && keeps(y, margins.top, height, margins.bottom);
        Luma([if kept { 0 } else { 255 }])
    });
    let ground = Mask::new(ground);
    let mask = match mask {
        Some(mask) => {
            let mut moved = GrayImage::new(new_width, new_height);
            imageops::replace(&mut moved, mask.values(), i64::from(margins.left), i64::from(margins.top));
            ground.union(&Mask::new(moved))
        }
        None => ground,
    };
    Extended { rgb, mask }
}
