//! Models without files: the configs that the families were published with, and random weights. What they paint is noise; the time
//! that it takes is that of real weights.

use clap::ValueEnum;
use serde_json::{json, Value};

use super::configs;
use super::model_files::{ModelFiles, Place};
use crate::weights::detect;
use crate::weights::RandomWeights;

/// A model that was published, by its structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Published {
    /// Stable Diffusion 1.5.
    Sd15,
    /// Stable Diffusion 2.1, of 768 pixels.
    Sd21,
    /// Stable Diffusion XL.
    Sdxl,
    /// Stable Diffusion 3 medium.
    #[value(name = "sd3-medium")]
    Sd3Medium,
    /// Stable Diffusion 3.5 medium.
    #[value(name = "sd35-medium")]
    Sd35Medium,
    /// Stable Diffusion 3.5 large.
    #[value(name = "sd35-large")]
    Sd35Large,
    /// FLUX.1 dev.
    FluxDev,
}

impl Published {
    /// The name that users type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Published::Sd15 => "sd15",
            Published::Sd21 => "sd21",
            Published::Sdxl => "sdxl",
            Published::Sd3Medium => "sd3-medium",
            Published::Sd35Medium => "sd35-medium",
            Published::Sd35Large => "sd35-large",
            Published::FluxDev => "flux-dev",
        }
    }

    /// Numbers in the weights of the components that are in memory at once: of models with T5 the text encoders are freed before the
    /// transformer is loaded.
    pub(super) fn parameters(self) -> u64 {
        match self {
            Published::Sd15 => 1_066_235_307,
            Published::Sd21 => 1_289_952_427,
            Published::Sdxl => 3_468_837_867,
            // Text encoders, which are larger than the transformers, and VAE.
            Published::Sd3Medium | Published::Sd35Medium => 5_664_440_483,
            Published::Sd35Large => 8_230_100_451,
            Published::FluxDev => 11_985_228_003,
        }
    }

    fn family(self) -> detect::Family {
        match self {
            Published::Sd15 => detect::Family::Sd1,
            Published::Sd21 => detect::Family::Sd2,
            Published::Sdxl => detect::Family::Sdxl,
            Published::Sd3Medium | Published::Sd35Medium | Published::Sd35Large => detect::Family::Sd3,
            Published::FluxDev => detect::Family::Flux,
        }
    }

    /// The text of a config, by its path in the diffusers layout.
    pub(super) fn config(self, path: &str) -> Option<String> {
        let fields = match (self, path) {
            (Published::Sd21, "unet/config.json") => json!({ "sample_size": 96 }),
            (Published::Sd21, "scheduler/scheduler_config.json") => {
                json!({ "_class_name": "DDIMScheduler", "prediction_type": "v_prediction" })
            }
            (Published::Sd35Medium, "transformer/config.json") => json!({
                "dual_attention_layers": (0..13).collect::<Vec<_>>(),
                "pos_embed_max_size": 384,
                "qk_norm": "rms_norm",
            }),
            (Published::Sd35Large, "transformer/config.json") => json!({
                "caption_projection_dim": 2432,
                "num_attention_heads": 38,
                "num_layers": 38,
                "qk_norm": "rms_norm",
            }),
            (Published::FluxDev, "transformer/config.json") => json!({ "guidance_embeds": true }),
            (Published::FluxDev, "scheduler/scheduler_config.json") => {
                json!({ "shift": 3.0, "use_dynamic_shifting": true })
            }
            _ => Value::Null,
        };
        let text = configs::published(self.family(), path)?;
        Some(match fields {
            Value::Object(fields) => configs::with_fields(&text, fields),
            _ => text,
        })
    }

    /// The weights of a component.
    pub(super) fn weights(self, component: &str) -> RandomWeights {
        let label = format!("random {} {component}", self.name());
        // A text encoder works without a projection too; these were published with it.
        let width = match (self.family(), component) {
            (detect::Family::Sdxl | detect::Family::Sd3, "text_encoder_2") => 1280,
            (detect::Family::Sd3, "text_encoder") => 768,
            _ => return RandomWeights::new(&label, &[]),
        };
        RandomWeights::new(&label, &[("text_projection.weight", &[width, width])])
    }
}

/// A model of full size with random weights.
#[must_use]
pub fn random(published: Published) -> ModelFiles {
    ModelFiles {
        place: Place::Random(published),
        parts: Vec::new(),
        config: None,
        prediction: None,
        averaged: false,
        without_t5: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::OneOrMany;
    use crate::pipeline::{survey, Family};

    #[test]
    fn configs_are_those_of_the_published_models() {
        for (published, side) in [
            (Published::Sd15, 512),
            (Published::Sd21, 768),
            (Published::Sdxl, 1024),
            (Published::Sd3Medium, 1024),
            (Published::Sd35Medium, 1024),
            (Published::Sd35Large, 1024),
            (Published::FluxDev, 1024),
        ] {
            let files = random(published);
            assert_eq!(files.name(), published.name());
            let family = Family::detect(&files).unwrap();
            assert_eq!(family.defaults(false).size, (side, side));
            assert_eq!(family.two_encoders(), published == Published::Sdxl);
        }
        let family = Family::detect(&random(Published::Sd21)).unwrap();
        assert_eq!(family.denoiser.unet().unwrap().attention_head_dim, OneOrMany::Many(vec![5, 10, 20, 20]));
    }

    /// The numbers are those of diffusers' networks, tables of places among them.
    #[test]
    fn all_parameters_are_counted() {
        for published in Published::value_variants() {
            let files = random(*published);
            let family = Family::detect(&files).unwrap();
            let count = |component: &str| {
                let source = files.weights(component).unwrap();
                let config = files.text(&format!("{component}/config.json")).unwrap();
                let survey = survey(&config, None, source).unwrap().unwrap();
                assert!(survey.surplus.is_empty());
                survey.asked.iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum::<u64>()
            };
            let texts = family.text_components().map(count).sum::<u64>();
            let denoiser = count(family.denoiser.component());
            let apart = if family.t5.is_some() { denoiser.max(texts) } else { denoiser + texts };
            assert_eq!(apart + count("vae"), published.parameters(), "{}", published.name());
        }
    }

    #[test]
    fn only_what_was_published_is_there() {
        let files = random(Published::Sd15);
        assert!(files.read("text_encoder_2/config.json").unwrap().is_none());
        assert!(files.read("tokenizer/vocab.json").unwrap().is_none());
        assert!(files.content("unet").is_none());
        assert!(files.weights("text_encoder").unwrap().names().is_empty());
        let second = random(Published::Sdxl).weights("text_encoder_2").unwrap();
        assert_eq!(second.names(), ["text_projection.weight"]);
    }
}
