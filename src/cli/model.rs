//! Which model paints.

use std::path::PathBuf;

use clap::Args;

/// The options of the heading "Model".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// A model folder in diffusers' layout [default: built-in emoji model].
    ///
    /// The folder holds `model_index.json` and the folders `unet`, `vae`, `text_encoder`, `tokenizer` and `scheduler`, as
    /// `save_pretrained` of diffusers writes it. Size, sampler and prediction type come from its config files. The built-in
    /// model, `emoji`, paints emoji of 128x128 pixels.
    #[arg(short, long, value_name = "DIR")]
    pub model: Option<PathBuf>,
}
