//! What is different between model families, as data: which one a folder holds, and whether its parts belong together.

use serde::de::DeserializeOwned;
use serde::Deserialize;

use crate::hub::{self, ModelFiles};
use crate::models::clip::ClipTextConfig;
use crate::models::t5::T5Config;
use crate::models::vae::VaeConfig;
use crate::pipeline::denoiser::KONTEXT;
use crate::pipeline::DenoiserConfig;
use crate::sampling::{FlowGrid, SchedulerConfig};
use crate::weights::lora::{Component, Family as Published};
use crate::{Error, Result};

/// Pipelines of diffusers that a user may have and this version does not run.
const OTHER_FAMILIES: &[(&str, &str)] = &[
    ("FluxPriorRedux", "FLUX.1 Redux (for `--redux-model`)"),
    ("Flux", "FLUX (with more than a text)"),
    ("StableDiffusion3", "Stable Diffusion 3 (with more than a text)"),
    ("PixArt", "PixArt"),
    ("Kandinsky", "Kandinsky"),
    ("Wuerstchen", "Würstchen"),
    ("StableCascade", "Stable Cascade"),
    ("QwenImage", "Qwen-Image"),
    ("ZImage", "Z-Image"),
    ("Sana", "Sana"),
    ("AuraFlow", "AuraFlow"),
    ("Lumina", "Lumina"),
    ("HunyuanDiT", "Hunyuan-DiT"),
    ("StableVideo", "Stable Video Diffusion"),
    ("AnimateDiff", "AnimateDiff"),
];

/// The parts of `model_index.json` that decide something.
#[derive(Debug, Clone, Default, Deserialize)]
struct ModelIndex {
    #[serde(rename = "_class_name", default)]
    class_name: String,
    /// SDXL: an absent negative prompt is zeros, not the encoded empty string.
    #[serde(default)]
    force_zeros_for_empty_prompt: bool,
    /// The scheduler's library and class.
    #[serde(default)]
    scheduler: Option<(Option<String>, Option<String>)>,
}

/// The configs of a model: all that is known of it before its weights are read.
#[derive(Debug, Clone)]
pub struct Family {
    /// The denoiser's config.
    pub denoiser: DenoiserConfig,
    /// The autoencoder's config.
    pub vae: VaeConfig,
    /// The model's own scheduler.
    pub scheduler: SchedulerConfig,
    /// The CLIP text encoders' configs: one, or two as in SDXL.
    pub text_encoders: Vec<ClipTextConfig>,
    /// T5's, for models that have one and do not go without it.
    pub t5: Option<T5Config>,
    /// Whether an absent negative prompt is zeros instead of the encoded empty string.
    pub zeros_for_absent_negative: bool,
    /// Whether the tokens of a given picture follow those of the latents: FLUX.1 Kontext.
    pub appends_picture: bool,
}

impl Family {
    /// Reads the configs of a model's folder.
    ///
    /// # Errors
    /// [`Error::Model`] when the folder holds another family, lacks a config, or has one that is not understood.
    pub fn detect(files: &ModelFiles) -> Result<Self> {
        let index: ModelIndex = parse(files, "model_index.json")?;
        let known = DenoiserConfig::is_transformer(&index.class_name);
        let mut others = OTHER_FAMILIES.iter().filter(|_| !known);
        if let Some((_, family)) = others.find(|(class, _)| index.class_name.starts_with(class)) {
            return Err(Error::model(
                format!("`{}` is a {family} model ({})", files.name(), index.class_name),
                hub::RUNS,
            ));
        }
        let denoiser = DenoiserConfig::read(files, &index.class_name)?;
        let (text_encoders, t5) = text_encoders(files, &denoiser)?;
        let scheduler = SchedulerConfig::parse(&files.text("scheduler/scheduler_config.json")?)?;
        let scheduler = match index.scheduler {
            Some((_, Some(class))) => scheduler.with_class(&class),
            _ => scheduler,
        };
        let scheduler = match files.prediction() {
            Some(prediction) => scheduler.with_prediction(prediction),
            None => scheduler,
        };
        let scheduler = match denoiser {
            DenoiserConfig::Unet(_) if text_encoders.len() == 1 => scheduler.for_stable_diffusion(),
            DenoiserConfig::Flux(_) => scheduler.with_flow_grid(FlowGrid::Share),
            DenoiserConfig::Unet(_) | DenoiserConfig::Mmdit(_) => scheduler,
        };
        let family = Family {
            vae: files.config("vae", VaeConfig::from_json)?,
            scheduler,
            text_encoders,
            t5,
            zeros_for_absent_negative: index.force_zeros_for_empty_prompt,
            appends_picture: index.class_name == KONTEXT,
            denoiser,
        };
        family.check_fit(&files.name())?;
        Ok(family)
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if self.appends_picture {
            "FLUX.1 Kontext"
        } else {
            self.denoiser.family_name()
        }
    }

    /// Refuses parts that do not belong together.
    fn check_fit(&self, name: &str) -> Result<()> {
        let misfit = |what: String| {
            let message = format!("the parts of `{name}` do not belong together: {what}");
            Err(Error::model(message, "take all parts from one model"))
        };
        let DenoiserConfig::Unet(unet) = &self.denoiser else {
            return self.denoiser.misfit(self).map_or(Ok(()), misfit);
        };
        let text: usize = self.text_encoders.iter().map(|encoder| encoder.hidden_size).sum();
        let taken = unet.cross_attention_dim.expand(unet.block_out_channels.len()).unwrap_or_default();
        if let Some(taken) = taken.iter().find(|taken| **taken != text) {
            return misfit(format!("the text encoders give vectors of {text}, the UNet takes {taken}"));
        }
        let (output, latents) = (unet.out_channels, self.vae.latent_channels);
        if output != latents {
            return misfit(format!("the UNet gives {output} channels, the VAE takes {latents}"));
        }
        match (self.two_encoders(), unet.addition_embed_type.is_some()) {
            (true, false) => return misfit("there are two text encoders, and a UNet that takes no pooled text".into()),
            (false, true) => return misfit("the UNet takes pooled text, and there is no second text encoder".into()),
            _ => {}
        }
        let (sizes, all) = (unet.addition_time_embed_dim, unet.projection_class_embeddings_input_dim);
        let pooled = self.text_encoders.last().map_or(0, |encoder| encoder.projection_dim);
        match sizes.zip(all) {
            Some((sizes, all)) if self.two_encoders() && pooled + 6 * sizes != all => misfit(format!(
                "pooled text of {pooled} and six sizes of {sizes} are not the {all} that the UNet takes"
            )),
            _ => Ok(()),
        }
    }

    /// What the folders of the text encoders' weights are called.
    pub fn text_components(&self) -> impl Iterator<Item = &'static str> {
        let count = self.text_encoders.len() + usize::from(self.t5.is_some());
        ["text_encoder", "text_encoder_2", "text_encoder_3"].into_iter().take(count)
    }

    /// Whether it is a UNet with two text encoders, as SDXL.
    #[must_use]
    pub fn two_encoders(&self) -> bool {
        self.denoiser.unet().is_some() && self.text_encoders.len() == 2
    }

    /// The weights that LoRAs may change, by diffusers' names of their components.
    ///
    /// # Errors
    /// As [`ModelFiles::weights`].
    pub fn adaptable(&self, files: &ModelFiles) -> Result<Vec<Component>> {
        let names = std::iter::once(self.denoiser.component()).chain(self.text_components());
        names.map(|name| Ok((name, files.weights(name)?))).collect()
    }

    /// The published family that it is of, as its transformer or its text encoders tell.
    #[must_use]
    pub fn published(&self) -> Published {
        match &self.denoiser {
            DenoiserConfig::Flux(_) => return Published::Flux,
            DenoiserConfig::Mmdit(config) if config.qk_norm.is_some() => return Published::Sd35,
            DenoiserConfig::Mmdit(_) => return Published::Sd3,
            DenoiserConfig::Unet(_) => {}
        }
        match self.text_encoders.first() {
            _ if self.two_encoders() => Published::Sdxl,
            // OpenCLIP's, where SD 1.x has OpenAI's.
            Some(encoder) if encoder.hidden_act != "quick_gelu" => Published::Sd2,
            _ => Published::Sd1,
        }
    }
}

/// The configs of the CLIP encoders and of T5, which comes last.
fn text_encoders(files: &ModelFiles, denoiser: &DenoiserConfig) -> Result<(Vec<ClipTextConfig>, Option<T5Config>)> {
    let mut clips = vec![files.config("text_encoder", ClipTextConfig::from_json)?];
    let second = match denoiser {
        DenoiserConfig::Unet(_) => files.read("text_encoder_2/config.json")?.is_some(),
        DenoiserConfig::Flux(_) => false,
        DenoiserConfig::Mmdit(_) => true,
    };
    if second {
        clips.push(files.config("text_encoder_2", ClipTextConfig::from_json)?);
    }
    let t5 = match denoiser {
        DenoiserConfig::Unet(_) => None,
        DenoiserConfig::Flux(_) => Some(files.config("text_encoder_2", T5Config::from_json)?),
        DenoiserConfig::Mmdit(_) if files.without_t5() => None,
        DenoiserConfig::Mmdit(_) => Some(files.config("text_encoder_3", T5Config::from_json)?),
    };
    Ok((clips, t5))
}

fn parse<T: DeserializeOwned>(files: &ModelFiles, path: &str) -> Result<T> {
    // An object first: of a list, serde would take the fields one after the other.
    let fields = serde_json::from_str::<serde_json::Map<_, _>>(&files.text(path)?);
    fields.and_then(|fields| serde_json::from_value(fields.into())).map_err(|e| {
        Error::model(format!("`{}` is not understood: {e}", files.label(path)), "fetch the model's folder again")
    })
}

#[cfg(test)]
pub(super) mod testing {
    use super::Family;
    use crate::testing::fixture;

    /// That of a model among the fixtures.
    pub fn family(model: &str) -> Family {
        let folder = fixture("models").join(model);
        let files = crate::hub::resolve(&folder.to_string_lossy(), &crate::request::Parts::default()).unwrap();
        Family::detect(&files).unwrap()
    }
}
