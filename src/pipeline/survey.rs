//! Which tensors a network wants and has: its constructor is asked, which reads nothing for that and takes next to no memory.

use std::sync::Arc;

use serde_json::Value;

use crate::models::clip::{ClipTextConfig, ClipTextModel};
use crate::models::controlnet::{ControlNetConfig, ControlNetModel};
use crate::models::flux::{FluxConfig, FluxTransformer};
use crate::models::mmdit::{Mmdit, MmditConfig};
use crate::models::redux::{ReduxConfig, ReduxImageEncoder};
use crate::models::siglip::{SiglipVisionConfig, SiglipVisionModel};
use crate::models::t2i_adapter::{T2iAdapter, T2iAdapterConfig};
use crate::models::t5::{T5Config, T5Encoder};
use crate::models::unet::{UNet2DConditionModel, UNetConfig};
use crate::models::vae::{AutoencoderKl, VaeConfig};
use crate::nn::{ParamSource, Params, Survey};
use crate::weights::names::{siglip, Renamed};
use crate::{Error, Result};

/// Whose published names are others than those that the model has.
const SIGLIP: &str = "SiglipVisionModel";

/// How the tensors of `source` fit the network that a `config.json` describes; `class` is its class where the config does not say.
/// `None` when this version does not have such a network.
///
/// # Errors
/// [`Error::Model`] when the config is damaged or asks for what the network does not compute; otherwise when the tensor
/// library fails.
pub fn survey(config: &str, class: Option<&str>, source: Arc<dyn ParamSource>) -> Result<Option<Survey>> {
    let own = own_class(config)?;
    let class = own.as_deref().or(class);
    let source: Arc<dyn ParamSource> = match class {
        Some(SIGLIP) => Arc::new(Renamed::from_names(source, siglip::rename)),
        _ => source,
    };
    let (tensors, params) = (Arc::clone(&source), Params::for_survey(source));
    let built = match class {
        Some("UNet2DConditionModel") => UNet2DConditionModel::new(&UNetConfig::from_json(config)?, &params).map(drop),
        Some("ControlNetModel" | "ControlNetUnionModel") => {
            let config = ControlNetConfig::from_json(config)?.of_tensors(tensors.as_ref())?;
            ControlNetModel::new(&config, &params).map(drop)
        }
        Some("T2IAdapter") => {
            T2iAdapter::new(&T2iAdapterConfig::from_json(config)?, &params).map(drop).map_err(Into::into)
        }
        Some("AutoencoderKL") => {
            AutoencoderKl::new(&VaeConfig::from_json(config)?, &params).map(drop).map_err(Into::into)
        }
        Some(class @ ("CLIPTextModel" | "CLIPTextModelWithProjection")) => {
            let config = ClipTextConfig::from_json(config)?;
            let projection = "text_projection.weight";
            // The network takes a projection where there is one; this class always has one.
            if class.ends_with("WithProjection") && !params.contains(projection) {
                params.get((config.projection_dim, config.hidden_size), projection)?;
            }
            ClipTextModel::new(&config, &params).map(drop)
        }
        Some("FluxTransformer2DModel") => {
            FluxTransformer::new(&FluxConfig::from_json(config)?, &params).map(drop).map_err(Into::into)
        }
        Some("SD3Transformer2DModel") => {
            Mmdit::new(&MmditConfig::from_json(config)?, &params).map(drop).map_err(Into::into)
        }
        Some(SIGLIP) => SiglipVisionModel::new(&SiglipVisionConfig::from_json(config)?, &params).map(drop),
        Some("ReduxImageEncoder") => {
            ReduxImageEncoder::new(&ReduxConfig::from_json(config)?, &params).map(drop).map_err(Into::into)
        }
        Some("T5EncoderModel") => T5Encoder::new(&T5Config::from_json(config)?, &params).map(drop).map_err(Into::into),
        _ => return Ok(None),
    };
    let survey = params.surveyed();
    // What is missing goes before a failure of the building: it is the cause.
    if survey.fits() {
        built?;
    }
    Ok(Some(survey))
}

/// The network's class as the text of its config tells it.
fn own_class(config: &str) -> Result<Option<String>> {
    let config: Value = serde_json::from_str(config)
        .map_err(|e| Error::model(format!("its config.json is damaged: {e}"), "fetch the model's folder again"))?;
    Ok(class_of(&config))
}

/// The class that a network's config names: diffusers' `_class_name`, or the first of transformers' `architectures`.
#[must_use]
pub fn class_of(config: &Value) -> Option<String> {
    let class = config.get("_class_name").or_else(|| config.get("architectures")?.get(0));
    class.and_then(Value::as_str).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Parts;
    use crate::weights::testing::{checkpoint, file, fixtures};

    const PARTS: [(&str, &str); 4] = [
        ("text_encoder", "CLIPTextModel"),
        ("text_encoder_2", "CLIPTextModelWithProjection"),
        ("unet", "UNet2DConditionModel"),
        ("vae", "AutoencoderKL"),
    ];

    /// The parts that the model has.
    fn of(model: &str, parts: &Parts) -> Vec<(&'static str, Survey)> {
        let files = crate::hub::resolve(model, parts).unwrap();
        let survey = |(part, class): (&'static str, &str)| {
            let config = files.text(&format!("{part}/config.json")).ok()?;
            Some((part, survey(&config, Some(class), files.weights(part).unwrap()).unwrap().unwrap()))
        };
        PARTS.into_iter().filter_map(survey).collect()
    }

    #[test]
    fn sound_models_fit() {
        for model in ["sd15", "sd21", "sdxl"] {
            let folder = fixtures().join("models").join(model);
            let surveys = of(folder.to_str().unwrap(), &Parts::default());
            assert_eq!(surveys.len(), if model == "sdxl" { 4 } else { 3 });
            for (component, survey) in surveys {
                assert!(survey.fits() && survey.surplus.is_empty(), "{model} {component}: {survey:?}");
                assert!(survey.asked.len() > 20, "{model} {component}");
            }
        }
        let built_in = of(crate::request::BUILT_IN_MODEL, &Parts::default());
        assert!(built_in.iter().all(|(_, survey)| survey.fits()));
    }

    #[test]
    fn a_renamed_tensor_is_missing_and_left_over() {
        let mut tensors = checkpoint("sd15");
        for tensor in &mut tensors {
            if tensor.name == "model.diffusion_model.middle_block.0.in_layers.0.bias" {
                tensor.name = "model.diffusion_model.middle.bias".into();
            }
            if tensor.name.ends_with("first_stage_model.decoder.conv_in.bias") {
                tensor.shape = vec![1, tensor.shape[0]];
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, file(&tensors, &[])).unwrap();
        let config = fixtures().join("models/sd15").to_str().map(String::from);
        let surveys = of(path.to_str().unwrap(), &Parts { config, ..Parts::default() });
        let of = |wanted: &str| surveys.iter().find(|(component, _)| *component == wanted).unwrap().1.clone();
        assert_eq!(of("unet").missing, ["mid_block.resnets.0.norm1.bias"]);
        assert_eq!(of("unet").surplus, ["model.diffusion_model.middle.bias"]);
        assert_eq!(of("vae").misshapen[0].name, "decoder.conv_in.bias");
        assert!(of("text_encoder").fits());
    }
}
