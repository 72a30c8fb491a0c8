//! The configs of models that come as bare files: those that the families were published with, and what a file's tensors add.

use serde_json::{json, Map, Value};

use crate::weights::detect::{Detected, Edition, Family, Variant};

/// A config of a family, by its path in the diffusers layout.
macro_rules! config {
    ($family:ident, $name:literal, $path:literal) => {
        config!($family, $name, $path as $path)
    };
    // One that another family has at another place.
    ($family:ident, $name:literal, $stored:literal as $path:literal) => {
        (Family::$family, $path, include_str!(concat!("../../assets/configs/", $name, "/", $stored)))
    };
}

const CONFIGS: [(Family, &str, &str); 24] = [
    config!(Sd1, "sd1", "scheduler/scheduler_config.json"),
    config!(Sd1, "sd1", "text_encoder/config.json"),
    config!(Sd1, "sd1", "unet/config.json"),
    config!(Sd1, "sd1", "vae/config.json"),
    config!(Sd2, "sd2", "scheduler/scheduler_config.json"),
    config!(Sd2, "sd2", "text_encoder/config.json"),
    config!(Sd2, "sd2", "unet/config.json"),
    config!(Sd2, "sd2", "vae/config.json"),
    config!(Sdxl, "sdxl", "scheduler/scheduler_config.json"),
    config!(Sdxl, "sdxl", "text_encoder/config.json"),
    config!(Sdxl, "sdxl", "text_encoder_2/config.json"),
    config!(Sdxl, "sdxl", "unet/config.json"),
    config!(Sdxl, "sdxl", "vae/config.json"),
    config!(Flux, "flux", "scheduler/scheduler_config.json"),
    config!(Flux, "sdxl", "text_encoder/config.json"),
    config!(Flux, "flux", "text_encoder_2/config.json"),
    config!(Flux, "flux", "transformer/config.json"),
    config!(Flux, "flux", "vae/config.json"),
    config!(Sd3, "sd3", "scheduler/scheduler_config.json"),
    config!(Sd3, "sdxl", "text_encoder/config.json"),
    config!(Sd3, "sdxl", "text_encoder_2/config.json"),
    config!(Sd3, "flux", "text_encoder_2/config.json" as "text_encoder_3/config.json"),
    config!(Sd3, "sd3", "transformer/config.json"),
    config!(Sd3, "sd3", "vae/config.json"),
];

/// The text of a family's config, by its path in the diffusers layout.
pub(super) fn published(family: Family, path: &str) -> Option<String> {
    if path == "model_index.json" {
        let index = match family {
            Family::Sdxl => json!({ "_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": true }),
            Family::Flux => json!({ "_class_name": "FluxPipeline" }),
            Family::Sd3 => json!({ "_class_name": "StableDiffusion3Pipeline" }),
            _ => json!({ "_class_name": "StableDiffusionPipeline" }),
        };
        return Some(index.to_string());
    }
    CONFIGS.iter().find(|(of, at, _)| (*of, *at) == (family, path)).map(|(.., text)| (*text).into())
}

/// Whether the networks of a family are known here.
pub(super) fn is_known(family: Family) -> bool {
    CONFIGS.iter().any(|(known, ..)| *known == family)
}

/// A config with these fields in place of its own. Where that changes the width of a UNet's blocks, so does the number of heads, each
/// of which is 64 wide in all models of these families but the first. A text that is no config stays as it is: whoever reads it will
/// say so.
pub(super) fn with_fields(text: &str, fields: Map<String, Value>) -> String {
    const HEAD: u64 = 64;
    let Ok(mut config) = serde_json::from_str::<Map<String, Value>>(text) else { return text.into() };
    let channels =
        fields.get("block_out_channels").filter(|channels| config.get("block_out_channels") != Some(channels));
    let one_a_block = config.get("attention_head_dim").is_some_and(Value::is_array);
    let heads = channels.filter(|_| one_a_block).and_then(Value::as_array).map(|channels| {
        channels.iter().map(|width| Value::from(width.as_u64().unwrap_or(0) / HEAD)).collect::<Vec<_>>()
    });
    config.extend(fields);
    if let Some(heads) = heads {
        config.insert("attention_head_dim".into(), heads.into());
    }
    Value::Object(config).to_string()
}

/// What the index of a model says whose transformer is this file: another pipeline of diffusers for what sees more than a text.
pub(super) fn index_fields(detected: &Detected) -> Map<String, Value> {
    let pipeline = match detected.edition {
        Some(Edition::FluxKontext) => Some("FluxKontextPipeline"),
        Some(Edition::FluxFill) => Some("FluxFillPipeline"),
        Some(Edition::FluxControl) => Some("FluxControlPipeline"),
        _ => None,
    };
    pipeline.map(|pipeline| ("_class_name".into(), pipeline.into())).into_iter().collect()
}

/// What the scheduler's config of a bare file says beyond its family's, once its prediction is known. The models of SD 2.x that
/// predict the velocity were published with another sampler than those that do not, and FLUX.1 dev and its kin shift the noise levels as
/// the size of the picture says.
pub(super) fn scheduler_fields(detected: &Detected, velocity: bool) -> Map<String, Value> {
    let mut fields = Map::new();
    if velocity {
        fields.insert("prediction_type".into(), "v_prediction".into());
        if detected.family == Some(Family::Sd2) {
            fields.insert("_class_name".into(), "DDIMScheduler".into());
        }
    }
    if detected.edition.is_some_and(|edition| edition.is_flux() && edition != Edition::FluxSchnell) {
        fields.insert("shift".into(), 3.0.into());
        fields.insert("use_dynamic_shifting".into(), true.into());
    }
    if detected.prediction.zero_terminal_snr {
        fields.insert("rescale_betas_zero_snr".into(), true.into());
    }
    fields
}

/// The side of the latents that a model of this kind was trained for, where it is not its family's: SD 2.x has models of 512 pixels,
/// which predict the noise, and of 768, which predict the velocity.
pub(super) fn sample_size(detected: &Detected, velocity: bool) -> Option<usize> {
    (detected.family == Some(Family::Sd2) && detected.variant == Variant::Plain && velocity).then_some(96)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::models::clip::{ClipTextConfig, ClipTextModel};
    use crate::models::flux::{FluxConfig, FluxTransformer};
    use crate::models::mmdit::{Mmdit, MmditConfig};
    use crate::models::t5::{T5Config, T5Encoder};
    use crate::models::unet::{UNet2DConditionModel, UNetConfig};
    use crate::models::vae::{AutoencoderKl, VaeConfig};
    use crate::nn::Params;
    use crate::sampling::SchedulerConfig;
    use crate::weights::testing::of_tensors;

    /// Tensors and numbers that the network of a config has, less those that only some files hold.
    fn size(family: Family, component: &str) -> (usize, usize) {
        let text = published(family, &format!("{component}/config.json")).unwrap();
        let params = Params::for_survey(of_tensors(&[], &[]).source);
        match (family, component) {
            (Family::Flux, "transformer") => {
                drop(FluxTransformer::new(&FluxConfig::from_json(&text).unwrap(), &params).unwrap());
            }
            (_, "transformer") => drop(Mmdit::new(&MmditConfig::from_json(&text).unwrap(), &params).unwrap()),
            (Family::Flux, "text_encoder_2") | (_, "text_encoder_3") => {
                drop(T5Encoder::new(&T5Config::from_json(&text).unwrap(), &params).unwrap());
            }
            (_, "unet") => drop(UNet2DConditionModel::new(&UNetConfig::from_json(&text).unwrap(), &params).unwrap()),
            (_, "vae") => drop(AutoencoderKl::new(&VaeConfig::from_json(&text).unwrap(), &params).unwrap()),
            _ => drop(ClipTextModel::new(&ClipTextConfig::from_json(&text).unwrap(), &params).unwrap()),
        }
        let asked = params.surveyed().asked;
        (asked.len(), asked.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum())
    }

    /// The numbers are those of diffusers' and transformers' classes with these configs, and of the published models.
    #[test]
    fn published_configs_have_the_published_sizes() {
        const PROJECTION: usize = 1280 * 1280;
        let sizes: HashMap<(&str, &str), (usize, usize)> = HashMap::from([
            (("sd1", "unet"), (686, 859_520_964)),
            (("sd1", "vae"), (248, 83_653_863)),
            (("sd1", "text_encoder"), (196, 123_060_480)),
            (("sd2", "unet"), (686, 865_910_724)),
            (("sd2", "vae"), (248, 83_653_863)),
            (("sd2", "text_encoder"), (372, 340_387_840)),
            (("sdxl", "unet"), (1680, 2_567_463_684)),
            (("sdxl", "vae"), (248, 83_653_863)),
            (("sdxl", "text_encoder"), (196, 123_060_480)),
            // Files with a projection hold one tensor more.
            (("sdxl", "text_encoder_2"), (516, 694_659_840 - PROJECTION)),
            (("flux", "transformer"), (1156, 11_891_178_560)),
            (("flux", "vae"), (244, 83_819_683)),
            (("flux", "text_encoder"), (196, 123_060_480)),
            (("flux", "text_encoder_2"), (219, 4_762_310_656)),
            // The table of places is stored too.
            (("sd3", "transformer"), (683, 2_028_328_000 + 192 * 192 * 1536)),
            (("sd3", "vae"), (244, 83_819_683)),
            (("sd3", "text_encoder"), (196, 123_060_480)),
            (("sd3", "text_encoder_2"), (516, 694_659_840 - PROJECTION)),
            (("sd3", "text_encoder_3"), (219, 4_762_310_656)),
        ]);
        for ((name, component), expected) in sizes {
            let family = match name {
                "sd1" => Family::Sd1,
                "sd2" => Family::Sd2,
                "flux" => Family::Flux,
                "sd3" => Family::Sd3,
                _ => Family::Sdxl,
            };
            assert_eq!(size(family, component), expected, "{name} {component}");
        }
    }

    #[test]
    fn schedulers_are_understood() {
        for family in [Family::Sd1, Family::Sd2, Family::Sdxl, Family::Flux, Family::Sd3] {
            let text = published(family, "scheduler/scheduler_config.json").unwrap();
            assert!(SchedulerConfig::parse(&text).unwrap().sampler().is_ok(), "{family}");
        }
        assert!(published(Family::Flux, "unet/config.json").is_none() && !is_known(Family::SdxlRefiner));
    }

    #[test]
    fn heads_follow_the_width_of_blocks() {
        let fields = |channels: &[usize]| Map::from_iter([("block_out_channels".to_string(), json!(channels))]);
        let heads = |family, channels: &[usize]| {
            let config = published(family, "unet/config.json").unwrap();
            let config: Value = serde_json::from_str(&with_fields(&config, fields(channels))).unwrap();
            config["attention_head_dim"].clone()
        };
        assert_eq!(heads(Family::Sdxl, &[320, 640, 1280]), json!([5, 10, 20]));
        assert_eq!(heads(Family::Sdxl, &[384, 768, 1536]), json!([6, 12, 24]));
        assert_eq!(heads(Family::Sd1, &[384, 768, 1536, 1536]), json!(8));
        assert_eq!(with_fields("no config", Map::new()), "no config");
    }
}
