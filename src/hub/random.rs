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
}

impl Published {
    /// The name that users type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Published::Sd15 => "sd15",
            Published::Sd21 => "sd21",
            Published::Sdxl => "sdxl",
        }
    }

    /// Numbers in the weights of all components together.
    pub(super) fn parameters(self) -> u64 {
        match self {
            Published::Sd15 => 1_066_235_307,
            Published::Sd21 => 1_289_952_427,
            Published::Sdxl => 3_468_837_867,
        }
    }

    /// The text of a config, by its path in the diffusers layout.
    pub(super) fn config(self, path: &str) -> Option<String> {
        let family = match self {
            Published::Sd15 => detect::Family::Sd1,
            Published::Sd21 => detect::Family::Sd2,
            Published::Sdxl => detect::Family::Sdxl,
        };
        let fields = match (self, path) {
            (Published::Sd21, "unet/config.json") => json!({ "sample_size": 96 }),
            (Published::Sd21, "scheduler/scheduler_config.json") => {
                json!({ "_class_name": "DDIMScheduler", "prediction_type": "v_prediction" })
            }
            _ => Value::Null,
        };
        let text = configs::published(family, path)?;
        Some(match fields {
            Value::Object(fields) => configs::with_fields(&text, fields),
            _ => text,
        })
    }

    /// The weights of a component.
    pub(super) fn weights(self, component: &str) -> RandomWeights {
        let label = format!("random {} {component}", self.name());
        match (self, component) {
            // A text encoder works without a projection too; this one was published with it.
            (Published::Sdxl, "text_encoder_2") => {
                RandomWeights::new(&label, &[("text_projection.weight", &[1280, 1280])])
            }
            _ => RandomWeights::new(&label, &[]),
        }
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
    use crate::models::clip::ClipTextModel;
    use crate::models::unet::UNet2DConditionModel;
    use crate::models::vae::AutoencoderKl;
    use crate::models::OneOrMany;
    use crate::nn::Params;
    use crate::pipeline::Family;

    #[test]
    fn configs_are_those_of_the_published_models() {
        for (published, side) in [(Published::Sd15, 512), (Published::Sd21, 768), (Published::Sdxl, 1024)] {
            let files = random(published);
            assert_eq!(files.name(), published.name());
            let family = Family::detect(&files).unwrap();
            assert_eq!(family.defaults(false).size, (side, side));
            assert_eq!(family.two_encoders(), published == Published::Sdxl);
        }
        let family = Family::detect(&random(Published::Sd21)).unwrap();
        assert_eq!(family.denoiser.unet().unwrap().attention_head_dim, OneOrMany::Many(vec![5, 10, 20, 20]));
    }

    /// The numbers are those of diffusers' networks.
    #[test]
    fn all_parameters_are_counted() {
        for published in [Published::Sd15, Published::Sd21, Published::Sdxl] {
            let files = random(published);
            let family = Family::detect(&files).unwrap();
            let count = |component: &str, build: &dyn Fn(&Params)| {
                let params = Params::for_survey(files.weights(component).unwrap());
                build(&params);
                let survey = params.surveyed();
                assert!(survey.surplus.is_empty());
                survey.asked.iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum::<u64>()
            };
            let unet = count("unet", &|params| {
                drop(UNet2DConditionModel::new(family.denoiser.unet().unwrap(), params).unwrap());
            });
            let vae = count("vae", &|params| drop(AutoencoderKl::new(&family.vae, params).unwrap()));
            let texts =
                family.text_encoders.iter().zip(["text_encoder", "text_encoder_2"]).map(|(config, component)| {
                    count(component, &|params| drop(ClipTextModel::new(config, params).unwrap()))
                });
            assert_eq!(unet + vae + texts.sum::<u64>(), published.parameters(), "{}", published.name());
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
