//! `sdgen img2img`: image to image.

use clap::Args;

use super::control::ControlArgs;
use super::input::InputArgs;
use super::paint::PaintArgs;
use crate::request::Input;
use crate::{Request, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen img2img -i apple.png \"a green apple\"
  sdgen img2img -i photo.jpg \"as a watercolour\" --strength 0.6 -m ./stable-diffusion-v1-5
  sdgen img2img -i photo.jpg \"in winter\" -W 768 -H 512 --resize fill -m ./stable-diffusion-v1-5
  sdgen img2img -i photo.jpg \"make it night\" -m flux-kontext -W 1248 -H 832
  cat sketch.png | sdgen img2img -i - \"sunflower\" --output - | display";

/// Make pictures from a picture and a text.
///
/// The picture gets noise, as much as the strength says, and is denoised towards the text. Its size is the result's, rounded
/// down to multiples of 8, unless another one is given.
///
/// FLUX.1 Kontext edits the picture as the text says: it begins with noise and sees the picture beside it, so that there is no
/// strength. It paints 1024x1024 unless another size is given.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct Img2ImgArgs {
    /// What all commands that make pictures know.
    #[command(flatten)]
    pub paint: PaintArgs,
    /// The picture to begin with.
    #[command(flatten)]
    pub input: InputArgs,
    /// Show FLUX.1 Kontext the picture at its own size.
    ///
    /// It sees the picture at the nearest of the sizes that it was trained with, about a megapixel, unless this is given.
    #[arg(long, help_heading = "Image")]
    pub no_auto_resize: bool,
    /// ControlNets.
    #[command(flatten)]
    pub control: ControlArgs,
}

impl Img2ImgArgs {
    /// Everything among the options that decides the picture.
    ///
    /// # Errors
    /// As [`PaintArgs::request`], and when there is no picture to begin with.
    pub fn request(&self) -> Result<Request> {
        let request = self.paint.request()?;
        // Maps come to lie where the picture does.
        let controls = self.control.controls(None, Some(&self.input), None)?;
        let input = Input { no_auto_resize: self.no_auto_resize, ..self.input.input()? };
        Ok(Request { input: Some(input), controls, ..request })
    }
}
