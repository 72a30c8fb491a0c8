//! `sdgen info`: what files say about themselves.

use std::path::PathBuf;

use clap::Args;

use super::general::GeneralArgs;

const EXAMPLES: &str = "\
Examples:
  sdgen info cat.png
  sdgen info lora.safetensors model.safetensors
  sdgen info ./stable-diffusion-v1-5
  sdgen info *.png --json";

/// Print what models, LoRAs and pictures say about themselves.
///
/// Of models and LoRAs: what they are, their tensors, and the texts in the file. Of pictures: how they were made, as sdgen,
/// AUTOMATIC1111's web UI, ComfyUI, InvokeAI and others wrote it down.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct InfoArgs {
    /// Files of weights, pictures, folders of models.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// What the program says.
    #[command(flatten)]
    pub general: GeneralArgs,
}
