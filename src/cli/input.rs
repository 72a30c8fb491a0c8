//! The picture to begin with.

use std::path::PathBuf;

use clap::Args;

use super::{checks, values};
use crate::image::input::{Alpha, Resize};
use crate::request::{Input, PictureFile};
use crate::{Error, Result};

/// What `img2img` and `inpaint` know of the picture they begin with.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Image")]
pub struct InputArgs {
    /// The picture to begin with; `-` is standard input.
    ///
    /// PNG, JPEG, WebP, TIFF or BMP, told by its content, turned upright as its camera says.
    #[arg(short, long, value_name = "FILE")]
    pub image: Option<PathBuf>,

    /// How the picture gets the size [default: crop].
    ///
    /// `crop` covers the size and cuts what sticks out, `fit` keeps the whole picture and its shape inside the size, `fill` does
    /// and repeats its edges up to the size, `stretch` changes its shape.
    #[arg(long, value_name = "HOW", value_enum)]
    pub resize: Option<Resize>,

    /// What becomes of the picture's transparency.
    #[arg(long, value_name = "HOW", value_enum, default_value = "white")]
    pub alpha: Alpha,

    /// How much is painted anew, above 0 and up to 1 [default: 0.8; of inpaint, 1].
    ///
    /// Of the steps, this part is made: the rest is in the picture. At 1, little of what is painted anew shows what was there.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = values::strength, help_heading = "Sampling")]
    pub strength: Option<f64>,
}

impl InputArgs {
    /// The picture's part of the request.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none.
    pub fn input(&self) -> Result<Input> {
        let Some(image) = &self.image else {
            return Err(Error::usage("no picture is given", "say which one to begin with: `--image photo.jpg`"));
        };
        Ok(Input {
            picture: PictureFile { file: checks::path("picture", image)?, sha256: None },
            strength: self.strength,
            resize: self.resize.unwrap_or_default(),
            alpha: self.alpha,
            no_auto_resize: false,
        })
    }
}
