//! `sdgen verify`: what a file is, whether it is whole, whether it runs.

use std::path::PathBuf;

use clap::Args;

use super::checks;
use super::compute::ComputeArgs;
use super::general::GeneralArgs;
use super::model::PredictionChoice;
use crate::request::Parts;
use crate::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen verify
  sdgen verify sd15 ./stable-diffusion-v1-5
  sdgen verify models/*.safetensors --json
  sdgen verify --all --junit report.xml
  sdgen verify cat.png --reproduce
  sdgen verify ./my-merge --smoke";

/// Say what a model is, whether it is whole, and whether it runs.
///
/// Without a name the built-in model is checked and paints a small picture: a test of this program for build servers. Files of
/// models are opened, hashed, compared with what their network wants and with what was published, and every value in them is looked
/// at. Nothing is changed.
/// The exit code is 5 when anything fails.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// Models, parts of models, files of weights, pictures [default: the built-in model, with --smoke].
    ///
    /// A model is a folder in diffusers' layout, or a file; a part of one is a folder with `config.json`.
    #[arg(value_name = "MODEL|PICTURE")]
    names: Vec<PathBuf>,

    /// Check everything in the cache of downloaded models [default: off].
    ///
    /// It is the cache of Python's `huggingface_hub`: what that fetched is checked too. With --smoke, the models that this
    /// version runs paint.
    #[arg(long, conflicts_with_all = ["names", "reproduce"])]
    pub all: bool,

    /// Also paint a small picture with each model [default: off].
    ///
    /// Two steps of at most 256x256 pixels. The picture must not be flat, nor hold values that are no numbers.
    #[arg(long)]
    pub smoke: bool,

    /// Make pictures again from their recipes and compare [default: off].
    ///
    /// All pixels must be the same. The recipe is in each picture that sdgen writes with `--metadata full`.
    #[arg(long)]
    pub reproduce: bool,

    /// With --reproduce, the model, where the recipe's name does not lead to it.
    #[arg(short, long, value_name = "DIR", requires = "reproduce")]
    model: Option<PathBuf>,

    /// A diffusers folder whose configs and vocabularies hold for bare files.
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,

    /// What the denoiser predicts, for files of SD 2.x that do not say.
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    prediction: PredictionChoice,

    /// Also write the results as JUnit XML, for build servers.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// On what the work is done.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// What the program says.
    #[command(flatten)]
    pub general: GeneralArgs,
}

impl VerifyArgs {
    /// What is to be checked, in order.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is no text.
    pub fn names(&self) -> Result<Vec<String>> {
        if self.reproduce && self.names.is_empty() {
            return Err(Error::usage(
                "`--reproduce` has no picture to make again",
                "name one: `sdgen verify cat.png --reproduce`",
            ));
        }
        self.names.iter().map(|name| checks::path("file", name)).collect()
    }

    /// What was said about single files beside their names.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is no text.
    pub fn parts(&self) -> Result<Parts> {
        let config = self.config.as_deref().map(|path| checks::path("config", path)).transpose()?;
        Ok(Parts { config, prediction: self.prediction.prediction(), ..Parts::default() })
    }

    /// The model that recipes are to use.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is no text.
    pub fn model(&self) -> Result<Option<String>> {
        self.model.as_deref().map(|path| checks::path("model", path)).transpose()
    }
}
