//! What is different between model families, as data: which one a folder holds, and its defaults.

use serde::de::DeserializeOwned;
use serde::Deserialize;

use crate::hub::{self, registry, ModelFiles};
use crate::models::clip::ClipTextConfig;
use crate::models::t5::T5Config;
use crate::models::vae::VaeConfig;
use crate::models::OneOrMany;
use crate::pipeline::denoiser::KONTEXT;
use crate::pipeline::DenoiserConfig;
use crate::sampling::{FlowGrid, Prediction, Sampler, SchedulerConfig};
use crate::weights::lora::Family as Published;
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

/// What is taken where the request says nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f64,
    /// Width and height in pixels.
    pub size: (usize, usize),
}

impl Defaults {
    /// What the registry knows of the model goes before what its configs suggest.
    #[must_use]
    pub fn or_known(self, known: Option<&registry::Defaults>) -> Self {
        let Some(known) = known else { return self };
        Defaults {
            steps: known.steps.unwrap_or(self.steps),
            guidance: known.guidance.unwrap_or(self.guidance),
            size: known.size.map_or(self.size, |side| (side, side)),
        }
    }
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

    /// The components that LoRAs may change, by diffusers' names.
    pub fn adaptable(&self) -> impl Iterator<Item = &'static str> {
        let encoders = self.text_encoders.len() + usize::from(self.t5.is_some());
        let encoders = ["text_encoder", "text_encoder_2", "text_encoder_3"].into_iter().take(encoders);
        std::iter::once(self.denoiser.component()).chain(encoders)
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

    /// What is taken where the request says nothing. Turbo models are told by their scheduler: trailing timesteps, a plain or
    /// ancestral Euler sampler and no zero-terminal-SNR rescaling; they were distilled to work unguided in 1 to 4 steps.
    #[must_use]
    pub fn defaults(&self, built_in: bool) -> Defaults {
        let (height, width) = self.latent_size();
        let factor = self.vae_scale_factor();
        let size = (width * factor, height * factor);
        let (steps, guidance) = match () {
            () if !matches!(self.denoiser, DenoiserConfig::Unet(_)) => self.denoiser.defaults(),
            () if built_in => (20, 4.0),
            () if self.scheduler.sampler() == Ok(Sampler::Lcm) => (4, 1.0),
            () if self.is_turbo() => (4, 0.0),
            () if self.two_encoders() => (25, 5.0),
            () => (25, 7.5),
        };
        Defaults { steps, guidance, size }
    }

    /// Height and width of the latents that the model was trained for. Early configs of Stable Diffusion 1.x name half of it,
    /// which diffusers corrects too; where nothing is said it is theirs.
    fn latent_size(&self) -> (usize, usize) {
        const FIRST: usize = 64;
        const FLUX: usize = 128;
        let unet = match &self.denoiser {
            DenoiserConfig::Unet(unet) => unet,
            DenoiserConfig::Flux(_) => return (FLUX, FLUX),
            DenoiserConfig::Mmdit(config) => return (config.sample_size, config.sample_size),
        };
        match &unet.sample_size {
            Some(OneOrMany::Many(sides)) if sides.len() == 2 => (sides[0], sides[1]),
            Some(OneOrMany::One(side)) if *side >= FIRST || self.two_encoders() || !unet.is_before(0, 9) => {
                (*side, *side)
            }
            _ => (FIRST, FIRST),
        }
    }

    /// Whether the model was distilled to work unguided in 1 to 4 steps.
    #[must_use]
    pub fn is_turbo(&self) -> bool {
        let scheduler = &self.scheduler;
        matches!(scheduler.sampler(), Ok(Sampler::Euler | Sampler::EulerA))
            && scheduler.prediction() == Ok(Prediction::Epsilon)
            && scheduler.is_trailing()
            && !scheduler.has_zero_terminal_snr()
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
pub(super) mod tests {
    use super::*;

    pub fn family(model: &str) -> Family {
        let folder = format!("{}/tests/fixtures/models/{model}", env!("CARGO_MANIFEST_DIR"));
        Family::detect(&crate::hub::resolve(&folder, &crate::request::Parts::default()).unwrap()).unwrap()
    }

    fn unet(family: &mut Family) -> &mut crate::models::unet::UNetConfig {
        match &mut family.denoiser {
            DenoiserConfig::Unet(config) => config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_come_from_the_configs() {
        for (model, steps, guidance) in
            [("sd15", 25, 7.5), ("sd21", 25, 7.5), ("sdxl", 25, 5.0), ("sdxl-turbo", 4, 0.0)]
        {
            let family = family(model);
            assert_eq!(family.two_encoders(), model.starts_with("sdxl"), "{model}");
            assert_eq!(family.defaults(false), Defaults { steps, guidance, size: (128, 128) }, "{model}");
        }
    }

    #[test]
    fn early_configs_name_half_the_size() {
        let mut family = family("sd15");
        let size = |family: &Family| family.defaults(false).size;
        family.vae.block_out_channels = vec![1; 4];
        unet(&mut family).sample_size = Some(OneOrMany::One(32));
        assert_eq!(size(&family), (256, 256));
        unet(&mut family).diffusers_version = Some("0.8.1".into());
        assert_eq!(size(&family), (512, 512));
        unet(&mut family).diffusers_version = Some("0.10.0.dev0".into());
        assert_eq!(size(&family), (256, 256));
        unet(&mut family).sample_size = Some(OneOrMany::Many(vec![64, 96]));
        assert_eq!(size(&family), (768, 512));
        unet(&mut family).sample_size = None;
        assert_eq!(size(&family), (512, 512));
    }
}
