//! `sdgen download`: fetch models.

use std::path::PathBuf;

use clap::Args;

use super::compute::DtypeChoice;
use super::general::GeneralArgs;
use crate::hub::download::{Target, Weights};
use crate::hub::settings::Settings;
use crate::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen download --list
  sdgen download sd15 sdxl-turbo
  sdgen download sdxl --dtype f32 --dry-run
  sdgen download org/name@revision
  sdgen download org/name/file.safetensors
  sdgen download https://civitai.com/api/download/models/128713 --output models
  sdgen generate \"a lighthouse\" -m sd15

Environment:
  HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT
                     as for Python's huggingface_hub; both use one cache
  CIVITAI_TOKEN      for models of CivitAI that want one
  HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE
                     the way to the network
  SDGEN_RETRY_PAUSE  seconds before the second attempt; each further one waits twice as long [default: 1]";

/// Fetch models.
///
/// Models with a short name (`--list`) and repositories go into the cache that Python's huggingface_hub uses too, and
/// `generate --model` finds them there. Only what is needed is fetched: configs, tokenizers, and each part's weights once. A
/// download that was cut goes on where it stopped; every file is checked against the hub's hash.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct DownloadArgs {
    /// Short names, repositories as `org/name[@revision]`, files of them as `org/name/file`, or addresses.
    ///
    /// An address may end in `#sha256=...`: the file has to have that checksum.
    #[arg(value_name = "MODEL", required_unless_present = "list")]
    pub models: Vec<String>,

    /// Show all models that have a short name [default: off].
    #[arg(long, conflicts_with_all = ["models", "dry_run"])]
    pub list: bool,

    /// Show what would be fetched, and its size [default: off].
    #[arg(long)]
    pub dry_run: bool,

    /// The number type of the weights, where a repository holds several.
    ///
    /// `auto` and `f16` take half-precision weights where there are some, which are half as large; `f32` and `bf16` take the
    /// published ones.
    #[arg(long, value_name = "TYPE", value_enum, default_value = "auto", hide_possible_values = true)]
    pub dtype: DtypeChoice,

    /// Where files from addresses go [default: the current folder].
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// What the program says.
    #[command(flatten)]
    pub general: GeneralArgs,
}

impl DownloadArgs {
    /// What is to be fetched.
    ///
    /// # Errors
    /// [`Error::Usage`] for what cannot be, and for a folder that nothing would go into.
    pub fn targets(&self, settings: &Settings) -> Result<Vec<Target>> {
        let targets: Vec<Target> =
            self.models.iter().map(|model| Target::parse(model, settings)).collect::<Result<_>>()?;
        let goes_there = |target: &Target| matches!(target, Target::Address(_));
        match &self.output {
            Some(folder) if !targets.iter().any(goes_there) => Err(Error::usage(
                format!("nothing goes into `{}`: `--output` is for addresses", folder.display()),
                "repositories go into the cache; `HF_HOME` moves it",
            )),
            _ => Ok(targets),
        }
    }

    /// Which weights are to be fetched.
    #[must_use]
    pub fn weights(&self) -> Weights {
        match self.dtype {
            DtypeChoice::Auto | DtypeChoice::F16 => Weights::Half,
            DtypeChoice::F32 | DtypeChoice::Bf16 => Weights::Full,
        }
    }
}
