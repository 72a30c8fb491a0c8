//! [`Denoiser`]: the network at the heart of a model, whichever family it is of, and [`DenoiserConfig`], what is known of it before
//! its weights are read.

use crate::hub::ModelFiles;
use crate::models::flux::{FluxConfig, FluxTransformer};
use crate::models::mmdit::{Mmdit, MmditConfig};
use crate::models::unet::{UNet2DConditionModel, UNetConfig};
use crate::nn::Params;
use crate::pipeline::Family;
use crate::Result;

/// The pipelines of diffusers for FLUX and Stable Diffusion 3. Others whose names begin so are not run.
const FLUX: [&str; 8] = [
    "FluxPipeline",
    "FluxImg2ImgPipeline",
    "FluxInpaintPipeline",
    "FluxFillPipeline",
    "FluxControlPipeline",
    "FluxControlImg2ImgPipeline",
    "FluxControlInpaintPipeline",
    KONTEXT,
];
/// That of FLUX.1 Kontext.
pub(super) const KONTEXT: &str = "FluxKontextPipeline";
const SD3: [&str; 3] =
    ["StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline"];

/// The config of a denoiser.
#[derive(Debug, Clone)]
pub enum DenoiserConfig {
    /// Stable Diffusion 1, 2 and SDXL.
    Unet(Box<UNetConfig>),
    /// FLUX.1.
    Flux(FluxConfig),
    /// Stable Diffusion 3 and 3.5.
    Mmdit(MmditConfig),
}

/// A denoiser, ready to run.
pub enum Denoiser {
    /// Stable Diffusion 1, 2 and SDXL.
    Unet(Box<UNet2DConditionModel>),
    /// FLUX.1.
    Flux(FluxTransformer),
    /// Stable Diffusion 3 and 3.5.
    Mmdit(Mmdit),
}

impl DenoiserConfig {
    /// Reads the config of the denoiser of a model whose `model_index.json` names this pipeline.
    ///
    /// # Errors
    /// [`crate::Error::Model`] when the config is missing or not understood.
    pub(super) fn read(files: &ModelFiles, pipeline: &str) -> Result<Self> {
        match pipeline {
            _ if FLUX.contains(&pipeline) => files.config("transformer", FluxConfig::from_json).map(Self::Flux),
            _ if SD3.contains(&pipeline) => files.config("transformer", MmditConfig::from_json).map(Self::Mmdit),
            _ => files.config("unet", UNetConfig::from_json).map(|config| Self::Unet(Box::new(config))),
        }
    }

    /// Whether a pipeline of this name is of FLUX or Stable Diffusion 3.
    pub(super) fn is_transformer(pipeline: &str) -> bool {
        FLUX.contains(&pipeline) || SD3.contains(&pipeline)
    }

    /// The network with the weights of `params`.
    ///
    /// # Errors
    /// When the config asks for what is not known, or the tensor library fails.
    pub(super) fn build(&self, params: &Params) -> Result<Denoiser> {
        Ok(match self {
            DenoiserConfig::Unet(config) => Denoiser::Unet(Box::new(UNet2DConditionModel::new(config, params)?)),
            DenoiserConfig::Flux(config) => Denoiser::Flux(FluxTransformer::new(config, params)?),
            DenoiserConfig::Mmdit(config) => Denoiser::Mmdit(Mmdit::new(config, params)?),
        })
    }

    /// What the folder of its weights is called.
    #[must_use]
    pub fn component(&self) -> &'static str {
        match self {
            DenoiserConfig::Unet(_) => "unet",
            DenoiserConfig::Flux(_) | DenoiserConfig::Mmdit(_) => "transformer",
        }
    }

    /// The UNet's config, if it is one.
    #[must_use]
    pub fn unet(&self) -> Option<&UNetConfig> {
        match self {
            DenoiserConfig::Unet(config) => Some(config),
            DenoiserConfig::Flux(_) | DenoiserConfig::Mmdit(_) => None,
        }
    }

    /// What people call its family.
    #[must_use]
    pub fn family_name(&self) -> &'static str {
        match self {
            DenoiserConfig::Unet(_) => "Stable Diffusion",
            DenoiserConfig::Flux(config) if config.in_channels == 2 * config.outputs() => "FLUX.1 Canny or Depth",
            DenoiserConfig::Flux(config) if config.in_channels > config.outputs() => "FLUX.1 Fill",
            DenoiserConfig::Flux(config) if config.guidance_embeds => "FLUX.1 dev",
            DenoiserConfig::Flux(_) => "FLUX.1 schnell",
            DenoiserConfig::Mmdit(config) if config.qk_norm.is_some() => "Stable Diffusion 3.5",
            DenoiserConfig::Mmdit(_) => "Stable Diffusion 3",
        }
    }

    /// Latents along a side of a token; 1 where there are none.
    #[must_use]
    pub fn patch(&self) -> usize {
        match self {
            DenoiserConfig::Unet(_) => 1,
            // Latents are packed in twos before the network sees them.
            DenoiserConfig::Flux(config) => 2 * config.patch_size,
            DenoiserConfig::Mmdit(config) => config.patch_size,
        }
    }

    /// Whether the guidance scale is an input of the network, so that no second prediction is needed.
    #[must_use]
    pub fn takes_guidance(&self) -> bool {
        match self {
            DenoiserConfig::Unet(config) => config.time_cond_proj_dim.is_some(),
            DenoiserConfig::Flux(config) => config.guidance_embeds,
            DenoiserConfig::Mmdit(_) => false,
        }
    }

    /// Steps and guidance of a transformer where nothing is said: those of its publishers' examples.
    #[must_use]
    pub fn defaults(&self) -> (usize, f64) {
        match self {
            // A map or a mask.
            DenoiserConfig::Flux(config) if config.guidance_embeds && config.in_channels > config.outputs() => {
                (50, 30.0)
            }
            DenoiserConfig::Flux(config) if config.guidance_embeds => (28, 3.5),
            DenoiserConfig::Flux(_) => (4, 0.0),
            DenoiserConfig::Mmdit(config) if config.qk_norm.is_some() => (28, 4.5),
            DenoiserConfig::Unet(_) | DenoiserConfig::Mmdit(_) => (28, 7.0),
        }
    }

    /// What of a model's parts does not fit this transformer, if anything.
    pub(super) fn misfit(&self, family: &Family) -> Option<String> {
        let clips = &family.text_encoders;
        let (text, pooled, given, latents) = match self {
            DenoiserConfig::Unet(_) => return None,
            DenoiserConfig::Flux(config) => {
                let pooled = clips.first().map_or(0, |clip| clip.hidden_size);
                (config.joint_attention_dim, config.pooled_projection_dim, pooled, config.outputs() / 4)
            }
            DenoiserConfig::Mmdit(config) => {
                let pooled = clips.iter().map(|clip| clip.projection_dim).sum();
                (config.joint_attention_dim, config.pooled_projection_dim, pooled, config.in_channels)
            }
        };
        if let Some(t5) = family.t5.as_ref().filter(|t5| t5.d_model != text) {
            return Some(format!("T5 gives vectors of {}, the transformer takes {text}", t5.d_model));
        }
        if pooled != given {
            return Some(format!("the text encoders give a pooled vector of {given}, the transformer takes {pooled}"));
        }
        let have = family.vae.latent_channels;
        (latents != have).then(|| format!("the transformer takes {latents} channels, the VAE gives {have}"))
    }

    /// The longest side of a picture's latents, where the network has no places for more.
    #[must_use]
    pub fn largest_side(&self) -> Option<usize> {
        match self {
            DenoiserConfig::Mmdit(config) => Some(config.largest_side()),
            DenoiserConfig::Unet(_) | DenoiserConfig::Flux(_) => None,
        }
    }
}
