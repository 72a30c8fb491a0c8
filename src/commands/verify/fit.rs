//! Which tensors a network wants: its constructor is asked, which reads nothing for that.

use std::sync::Arc;

use serde_json::Value;

use crate::models::clip::{ClipTextConfig, ClipTextModel};
use crate::models::unet::{UNet2DConditionModel, UNetConfig};
use crate::models::vae::{AutoencoderKl, VaeConfig};
use crate::nn::{ParamSource, Params, Survey};
use crate::{Error, Result};

/// How the tensors of `source` fit the network that a `config.json` describes; `class` is its class where the config does not say.
/// `None` when this version does not have such a network.
///
/// # Errors
/// [`crate::Error::Model`] when the config is damaged or asks for what the network does not compute; otherwise when the tensor
/// library fails.
pub fn fit(config: &str, class: Option<&str>, source: Arc<dyn ParamSource>) -> Result<Option<Survey>> {
    let params = Params::for_survey(source);
    let own = own_class(config)?;
    let built = match own.as_deref().or(class) {
        Some("UNet2DConditionModel") => UNet2DConditionModel::new(&UNetConfig::from_json(config)?, &params).map(drop),
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
        _ => return Ok(None),
    };
    let survey = params.surveyed();
    // What is missing goes before a failure of the building: it is the cause.
    if survey.fits() {
        built?;
    }
    Ok(Some(survey))
}

/// The network's class as its config tells it: diffusers' `_class_name`, or the first of transformers' `architectures`.
fn own_class(config: &str) -> Result<Option<String>> {
    let config: Value = serde_json::from_str(config)
        .map_err(|e| Error::model(format!("its config.json is damaged: {e}"), "fetch the model's folder again"))?;
    let class = config.get("_class_name").or_else(|| config.get("architectures")?.get(0));
    Ok(class.and_then(Value::as_str).map(Into::into))
}
