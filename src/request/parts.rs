//! What a model is put together from, and how its weights are kept.

use serde::{Deserialize, Serialize};

use super::QuantizedType;
use crate::sampling::Prediction;

/// What of a model is taken from elsewhere, what its files do not say, and how its weights are kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parts {
    /// The denoiser: a file, or a folder with its config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unet: Option<String>,
    /// The autoencoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vae: Option<String>,
    /// The first text encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_l: Option<String>,
    /// The second text encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_g: Option<String>,
    /// T5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t5: Option<String>,
    /// Whether Stable Diffusion 3 does without T5.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_t5: bool,
    /// A folder whose configs and vocabularies hold for bare files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Whether a training checkpoint's averaged weights (EMA) are meant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ema: bool,
    /// What the denoiser predicts, where it is not to be taken from the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    /// What the linear layers of the denoiser and the text encoders are quantised to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantize: Option<QuantizedType>,
}

impl Parts {
    /// Components that can be taken from elsewhere, and the options of the command line for them.
    pub const OPTIONS: [(&'static str, &'static str); 5] = [
        ("unet", "--unet"),
        ("vae", "--vae"),
        ("text_encoder", "--clip-l"),
        ("text_encoder_2", "--clip-g"),
        ("t5", "--t5"),
    ];

    /// The components that are given: diffusers' name for them, the option of the command line, the path. The denoiser is `unet`
    /// and T5 `t5` for all families.
    pub fn components(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        let paths = [&self.unet, &self.vae, &self.clip_l, &self.clip_g, &self.t5];
        let parts = Self::OPTIONS.into_iter().zip(paths);
        parts.filter_map(|((component, option), path)| Some((component, option, path.as_deref()?)))
    }

    /// All paths, to be changed.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let parts = [&mut self.unet, &mut self.vae, &mut self.clip_l, &mut self.clip_g, &mut self.t5, &mut self.config];
        parts.into_iter().flatten()
    }

    /// Whether nothing is taken from elsewhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Parts::default()
    }
}
