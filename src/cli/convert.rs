//! `sdgen convert`: models in other layouts, types of numbers and containers.

use std::path::PathBuf;

use clap::Args;

use super::checks;
use super::general::GeneralArgs;
use super::model::BareFileArgs;
use super::save::{FloatType, SaveArgs};
use crate::request::QuantizedType;
use crate::Result;

const EXAMPLES: &str = "\
Examples:
  sdgen convert ./stable-diffusion-v1-5 -o sd15.safetensors --layout single --dtype f16
  sdgen convert sd15.safetensors -o ./sd15 --layout diffusers
  sdgen convert model.ckpt -o model.safetensors
  sdgen convert sdxl.safetensors -o sdxl-q8_0.gguf --quantize q8_0";

/// Write a model in another layout, type of numbers or container.
///
/// Stable Diffusion 1.x, 2.x, SDXL, 3, 3.5 and FLUX.1 change between a folder in diffusers' layout and one file with the names of the
/// original code. Any other file of weights (LoRAs, other families) can change its type of numbers and its container. A tensor at a
/// time is in memory. The result appears whole or not at all; the model itself is not changed.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct ConvertArgs {
    /// A model: a folder, a file of weights, or the built-in model, `emoji`.
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// What to write: a folder, or a file that ends with .safetensors or .gguf.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,

    /// The type of all numbers that are floats [default: as they are].
    #[arg(long, value_name = "TYPE", value_enum)]
    pub dtype: Option<FloatType>,

    /// Quantise the matrices, into a .gguf file.
    ///
    /// Convolutions, norms and the tables of words stay as they are, or become what --dtype says. Types with `_k` take rows of a
    /// multiple of 256 numbers, the others of 32.
    #[arg(long, value_name = "TYPE", value_enum)]
    pub quantize: Option<QuantizedType>,

    /// The result's shape and place.
    #[command(flatten)]
    pub save: SaveArgs,

    /// What is said about the model beside its name.
    #[command(flatten)]
    pub bare: BareFileArgs,

    /// What the program says.
    #[command(flatten)]
    pub general: GeneralArgs,
}

impl ConvertArgs {
    /// The model as it was named.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] for a path that is no text.
    pub fn model(&self) -> Result<String> {
        checks::path("model", &self.model)
    }
}
