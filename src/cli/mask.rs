//! What of a picture is painted anew.

use std::path::PathBuf;

use clap::Args;

use super::{checks, values};
use crate::image::input::{Fill, Margins};
use crate::request::{limits, Inpaint, PictureFile};
use crate::Result;

/// Pixels around the masked part that are worked on with it, when no other number is said: A1111's.
const PAD: &str = "32";

/// The options of the heading "Mask".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Mask")]
pub struct MaskArgs {
    /// What is painted anew: the white of this picture.
    ///
    /// Of any of the formats that --image takes. Brighter than half is white. A mask of another size than the picture's is
    /// resized.
    #[arg(long, value_name = "FILE")]
    pub mask: Option<PathBuf>,

    /// Paint the black of the mask anew [default: off].
    #[arg(long)]
    pub invert_mask: bool,

    /// Pixels by which the mask grows; below 0 it shrinks.
    #[arg(long, value_name = "PX", allow_negative_numbers = true, default_value = "0",
          value_parser = |s: &str| values::signed(s, limits::MASK_GROW))]
    pub mask_grow: i32,

    /// Pixels over which the painted passes into the rest.
    ///
    /// The border lies outside the mask. With --soft-mask, the mask itself is blurred instead.
    #[arg(long, value_name = "PX", allow_negative_numbers = true, default_value = "0",
          value_parser = |s: &str| values::decimal(s, limits::MASK_BLUR))]
    pub mask_blur: f64,

    /// Grey is painted anew less strongly [default: off].
    ///
    /// Differential diffusion (Levin and Fried 2023): the darker a pixel of the mask, the later its painting begins.
    #[arg(long)]
    pub soft_mask: bool,

    /// Work on the masked part alone, at full size [default: off].
    ///
    /// The mask's surroundings, PAD pixels wide (32 when not said), are cut out, brought to --width and --height or to the
    /// model's size, painted, and pasted back. The result has the picture's size.
    #[arg(long, value_name = "PAD", num_args = 0..=1, require_equals = true, default_missing_value = PAD,
          allow_negative_numbers = true, value_parser = |s: &str| values::whole(s, limits::MASK_PAD))]
    pub only_masked: Option<usize>,

    /// New ground on each side, painted too [default: none].
    ///
    /// Pixels to the left, above, to the right and below the picture.
    #[arg(long, value_name = "L,T,R,B", allow_negative_numbers = true, value_parser = values::margins)]
    pub extend: Option<Margins>,

    /// What lies under the mask at the start.
    ///
    /// It shows at strengths below 1; at 1 painting begins with noise alone.
    #[arg(long, value_name = "WHAT", value_enum)]
    pub fill: Option<Fill>,

    /// Take the rest as the model gives it back [default: off].
    ///
    /// Models change the whole picture a little. What is not masked is replaced by the original's pixels, unless this is said.
    #[arg(long)]
    pub no_paste_back: bool,
}

impl MaskArgs {
    /// The mask's part of the request.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] when the mask's path is no text.
    pub fn inpaint(&self) -> Result<Inpaint> {
        let mask = self.mask.as_ref().map(|path| checks::path("mask", path)).transpose()?;
        Ok(Inpaint {
            mask: mask.map(|file| PictureFile { file, sha256: None }),
            invert: self.invert_mask,
            grow: self.mask_grow,
            blur: self.mask_blur,
            soft: self.soft_mask,
            only_masked: self.only_masked,
            extend: self.extend,
            fill: self.fill.unwrap_or_default(),
            paste_back: !self.no_paste_back,
        })
    }
}
