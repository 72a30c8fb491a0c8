//! `sdgen lora-merge`: LoRAs into a model, or several into one.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::general::GeneralArgs;
use super::model::BareFileArgs;
use super::save::{FloatType, SaveArgs};
use super::{checks, values};
use crate::request::Lora;
use crate::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen lora-merge -m sd15.safetensors style.safetensors:0.8 -o sd15-style.safetensors
  sdgen lora-merge -m ./stable-diffusion-v1-5 style.safetensors:0.8:0.4 face.safetensors:0.5 -o ./merged
  sdgen lora-merge -m sdxl style -o sdxl-style.safetensors --layout single --dtype f16
  sdgen lora-merge --lora-only style.safetensors:0.8 face.safetensors:0.5 -o both.safetensors
  sdgen lora-merge --lora-only large.safetensors -o small.safetensors --rank 16";

/// Merge LoRAs into a model, or into one LoRA.
///
/// The result paints what the model paints with the LoRAs, and needs none of them. Tensors that no LoRA changes are copied byte for
/// byte. What was merged, and how strongly, is written into the result. A tensor at a time is in memory; the result appears whole or
/// not at all.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct LoraMergeArgs {
    /// LoRAs: FILE[:SCALE[:TEXT_SCALE]], or names of them as with `generate --lora`.
    ///
    /// SCALE holds for the denoiser, and for the text encoders unless TEXT_SCALE is given [default: 1].
    #[arg(value_name = "LORA", required = true, value_parser = Lora::from_str)]
    pub loras: Vec<Lora>,

    /// The model to merge them into: a folder, a file of weights, a short name or the built-in model, `emoji`.
    ///
    /// With --lora-only, the model whose names the modules get, where it is not built as the published ones of its family, and whose
    /// weights those kinds need that build on them (DoRA, IA3, GLoRA, OFT).
    #[arg(short, long, value_name = "MODEL", required_unless_present = "lora_only")]
    model: Option<PathBuf>,

    /// What to write: a folder, or a file that ends with .safetensors.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,

    /// Make one LoRA of all, with the names of kohya's scripts, or of PEFT in diffusers for FLUX.1 and Stable Diffusion 3.
    ///
    /// Ranks add up, and nothing is lost. Other kinds than LoRA and LoCon need --rank.
    #[arg(long, conflicts_with = "layout")]
    pub lora_only: bool,

    /// The rank of the one LoRA: the best approximation of the sum.
    #[arg(long, value_name = "N", requires = "lora_only", value_parser = |s: &str| values::whole(s, 1..=1024))]
    pub rank: Option<usize>,

    /// Fail when a part of a LoRA has no place in the model.
    #[arg(long)]
    pub strict: bool,

    /// A folder to look for LoRAs in that are given by name; repeatable.
    #[arg(long = "lora-dir", value_name = "DIR")]
    lora_dirs: Vec<PathBuf>,

    /// The type of all numbers that are floats [default: as they are; f16 where they are quantised].
    #[arg(long, value_name = "TYPE", value_enum)]
    pub dtype: Option<FloatType>,

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

impl LoraMergeArgs {
    /// The model as it was named.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is no text.
    pub fn model(&self) -> Result<Option<String>> {
        self.model.as_deref().map(|path| checks::path("model", path)).transpose()
    }

    /// The folders to look for LoRAs in.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is no text.
    pub fn lora_dirs(&self) -> Result<Vec<String>> {
        self.lora_dirs.iter().map(|path| checks::path("LoRAs", path)).collect()
    }

    /// Refuses a result of another kind than --lora-only writes.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the ending.
    pub fn check_lora_name(&self) -> Result<()> {
        if self.output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors")) {
            return Ok(());
        }
        let message = format!("`{}` is no name for a LoRA", Path::new(&self.output).display());
        Err(Error::usage(message, "end it with .safetensors"))
    }
}
