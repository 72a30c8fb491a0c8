//! `sdgen controlnet`: text to image, guided by pictures.

use clap::Args;

use super::control::ControlArgs;
use super::paint::PaintArgs;
use crate::image::input::Resize;
use crate::{Error, Request, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen controlnet --control canny=edges.png \"a house in snow\" -m sd15
  sdgen controlnet --control canny=edges.png:0.7 --control depth=depth.png:0.5:0:0.6 \"a room\" -m sd15
  sdgen controlnet --control ./control_v11p_sd15_scribble.pth=drawing.png \"an owl\" -m ./model.safetensors
  sdgen controlnet --control canny=photo.jpg \"a house in snow\" -m flux-canny
  sdgen controlnet --control canny=photo.jpg \"a house\" -m flux-dev --lora flux1-canny-dev-lora.safetensors
  sdgen img2img -i photo.jpg --control canny=edges.png \"in autumn\" -m sd15";

/// Make pictures from a text and pictures that say where things are.
///
/// A ControlNet is shown a map (edges, depth, a skeleton), and the picture follows it. Its size is the result's, rounded down to multiples
/// of 8 (of 16 for FLUX.1 Canny and Depth), unless another one is given: then it is stretched to that. With a picture to begin with: `sdgen img2img` and `sdgen inpaint` take
/// `--control` as well.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct ControlnetArgs {
    /// What all commands know that make pictures.
    #[command(flatten)]
    pub paint: PaintArgs,

    /// The ControlNets.
    #[command(flatten)]
    pub control: ControlArgs,

    /// How the maps get the size [default: stretch].
    ///
    /// `crop` covers the size and cuts what sticks out, `fit` keeps the whole map and its shape inside the size, `fill` does
    /// and repeats its edges up to the size, `stretch` changes its shape.
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Control")]
    pub resize: Option<Resize>,
}

impl ControlnetArgs {
    /// Everything among the options that decides the picture.
    ///
    /// # Errors
    /// As [`PaintArgs::request`] and [`ControlArgs::controls`], and when there is no ControlNet.
    pub fn request(&self) -> Result<Request> {
        let request = self.paint.request()?;
        let controls = self.control.controls(self.resize, None, None)?;
        if controls.is_empty() {
            return Err(Error::usage(
                "no ControlNet is given",
                "say which one is shown which picture: `--control canny=edges.png`",
            ));
        }
        Ok(Request { controls, ..request })
    }
}
