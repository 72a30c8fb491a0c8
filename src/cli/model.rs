//! Which model paints.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::checks;
use crate::request::{Parts, QuantizedType};
use crate::sampling::Prediction;
use crate::Result;

/// The options of the heading "Model".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// A short name, `org/name[@revision]`, a diffusers folder or a checkpoint file [default: built-in emoji model].
    ///
    /// Short names (`sdgen download --list`) and repositories are looked for in the cache that `sdgen download` and Python's
    /// huggingface_hub fill; nothing is fetched. A folder holds `model_index.json` and the folders `unet` or `transformer`, `vae`, `text_encoder`,
    /// `tokenizer` and `scheduler`, as `save_pretrained` of diffusers writes it; size, sampler and prediction type come from its
    /// config files. A file is a checkpoint in safetensors, GGUF or PyTorch format (read without running it) of Stable Diffusion
    /// 1.x, 2.x, SDXL, 3, 3.5 or FLUX.1; what it is comes from its tensors. The built-in model, `emoji`, paints emoji of 128x128
    /// pixels.
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Take the denoiser from here: a file, or a folder with config.json.
    ///
    /// Without `--model` it is the model, and the other parts have to be given too. A checkpoint that holds more than the
    /// denoiser will do, and so will the folder of a model or a name of what is in the cache (`--vae vae-mse`); the same holds for
    /// the options below.
    #[arg(long, value_name = "PATH")]
    pub unet: Option<PathBuf>,
    /// Take the autoencoder from here.
    #[arg(long, value_name = "PATH")]
    pub vae: Option<PathBuf>,
    /// Take the (first) text encoder from here.
    #[arg(long, value_name = "PATH")]
    pub clip_l: Option<PathBuf>,
    /// Take the second text encoder of SDXL or Stable Diffusion 3 from here.
    #[arg(long, value_name = "PATH")]
    pub clip_g: Option<PathBuf>,
    /// Take T5, the large text encoder of FLUX and Stable Diffusion 3, from here.
    #[arg(long, value_name = "PATH")]
    pub t5: Option<PathBuf>,
    /// Do without T5 in Stable Diffusion 3: less memory, and less of what the prompt says.
    #[arg(long)]
    pub no_t5: bool,
    /// A diffusers folder whose configs and vocabularies hold for a bare file.
    ///
    /// Needed only where a file's networks differ from the published ones in what tensors do not show: heads, groups of norms,
    /// the scheduler, the vocabulary.
    #[arg(long, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// What the denoiser predicts.
    ///
    /// `auto` takes it from the model. Checkpoint files of SD 2.x often do not say: then it has to be given.
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub prediction: PredictionChoice,
    /// Quantise the linear layers of the denoiser and the text encoders while they load, to save memory.
    ///
    /// As ggml does, and to its types: q8_0 is next to lossless, q4_0 takes half as much. Norms, biases, convolutions, tables of words and
    /// the VAE stay as they are, and so do layers whose rows are no whole blocks: of 32 numbers, with `_k` of 256. LoRAs are added beside
    /// the layers instead of changing the weights. It decides the picture; `sdgen convert --quantize` writes such a model. A GPU computes
    /// with the rounded numbers at full width: there it saves no memory.
    #[arg(long, value_name = "TYPE", value_enum)]
    pub quantize: Option<QuantizedType>,
    /// Take the averaged weights (EMA) of a training checkpoint that holds both.
    #[arg(long)]
    pub ema: bool,
}

/// What is said about a model beside its name, for commands that write models.
#[derive(Debug, Clone, Args)]
pub struct BareFileArgs {
    /// A diffusers folder whose configs and vocabularies hold for a bare file.
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,

    /// What the denoiser predicts, for files of SD 2.x that do not say.
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    prediction: PredictionChoice,
}

impl BareFileArgs {
    /// As a request has it.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for a path that is no text.
    pub fn parts(&self) -> Result<Parts> {
        let config = self.config.as_deref().map(|path| checks::path("config", path)).transpose()?;
        Ok(Parts { config, prediction: self.prediction.prediction(), ..Parts::default() })
    }
}

/// The values of `--prediction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PredictionChoice {
    /// What the model says
    #[default]
    Auto,
    /// The noise
    Epsilon,
    /// The velocity
    V,
}

impl PredictionChoice {
    /// The choice as part of a request.
    #[must_use]
    pub fn prediction(self) -> Option<Prediction> {
        match self {
            PredictionChoice::Auto => None,
            PredictionChoice::Epsilon => Some(Prediction::Epsilon),
            PredictionChoice::V => Some(Prediction::Velocity),
        }
    }
}
