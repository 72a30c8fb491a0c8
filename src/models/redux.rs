//! What makes text states for FLUX.1 of a picture's tokens: FLUX.1 Redux (Black Forest Labs 2024), as diffusers' `ReduxImageEncoder`.

use candle_core::{DType, Result, Tensor};
use serde::Deserialize;

use super::config::parse;
use crate::nn::{Activation, Linear, Params};

/// The fields of its `config.json`, with diffusers' defaults.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ReduxConfig {
    /// Width of a picture's token.
    pub redux_dim: usize,
    /// Width of the text's states.
    pub txt_in_features: usize,
}

impl Default for ReduxConfig {
    fn default() -> Self {
        ReduxConfig { redux_dim: 1152, txt_in_features: 4096 }
    }
}

impl ReduxConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn from_json(json: &str) -> crate::Result<Self> {
        parse("image embedder", json)
    }
}

/// The image embedder of Redux.
#[derive(Debug, Clone)]
pub struct ReduxImageEncoder {
    redux_up: Linear,
    redux_down: Linear,
    dtype: DType,
}

impl ReduxImageEncoder {
    /// The network in `params`. Call [`Params::finish`] afterwards.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(config: &ReduxConfig, params: &Params) -> Result<Self> {
        let inner = 3 * config.txt_in_features;
        Ok(ReduxImageEncoder {
            redux_up: Linear::new(config.redux_dim, inner, &params.pp("redux_up"))?,
            redux_down: Linear::new(inner, config.txt_in_features, &params.pp("redux_down"))?,
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// Tokens [b, n, `redux_dim`] to states [b, n, `txt_in_features`] f32.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let inner = Activation::Silu.forward(&self.redux_up.forward(&tokens.to_dtype(self.dtype)?)?)?;
        self.redux_down.forward(&inner)?.to_dtype(DType::F32)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::Device;

    use super::*;
    use crate::models::siglip::{SiglipVisionConfig, SiglipVisionModel};
    use crate::models::testing::{config, max_difference, params, source, Expected};
    use crate::nn::Precision;
    use crate::weights::names::{siglip, Renamed};

    #[test]
    fn states_of_a_picture_equal_the_reference() {
        let encoder = SiglipVisionConfig::from_json(&config("flux-redux/image_encoder")).unwrap();
        let weights = Renamed::from_names(source("flux-redux/image_encoder", "model.safetensors"), siglip::rename);
        let weights = Params::new(Arc::new(weights), Precision::F32, &Device::Cpu);
        let model = SiglipVisionModel::new(&encoder, &weights).unwrap();
        assert_eq!(weights.finish().unwrap(), Vec::<String>::new());
        let weights = params("flux-redux/image_embedder", "diffusion_pytorch_model.safetensors", Precision::F32);
        let embedder = ReduxConfig::from_json(&config("flux-redux/image_embedder")).unwrap();
        let embedder = ReduxImageEncoder::new(&embedder, &weights).unwrap();
        let expected = Expected::open("redux.safetensors");
        let states = embedder.forward(&model.forward(&expected.get("pixels")).unwrap()).unwrap();
        // 60 pixels hold four tokens of 14 and a rest that nobody sees.
        assert_eq!(states.dims(), [1, 16, 48]);
        let difference = max_difference(&states, &expected.get("states"));
        // Measured: 7.7e-6, of values up to 6.4.
        assert!(difference < 1.5e-5, "{difference}");
    }
}
