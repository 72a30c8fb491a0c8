//! The vision encoder of SigLIP (Zhai et al. 2023), as transformers' `SiglipVisionModel` without its pooling head.

use candle_core::{DType, Result, Tensor};
use serde::Deserialize;

use super::config::{contradictory, parse};
use super::encoder_layer::{EncoderLayer, EncoderSizes};
use crate::nn::{Conv2d, Conv2dConfig, Embedding, LayerNorm, Params};

const WHAT: &str = "vision encoder";

/// The fields of its `config.json` that decide the result, with transformers' defaults.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct SiglipVisionConfig {
    /// Width of a token's vector.
    pub hidden_size: usize,
    /// Width between the two layers of the feed-forward part.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of each layer's attention.
    pub num_attention_heads: usize,
    /// Pixels along a side of the picture.
    pub image_size: usize,
    /// Pixels along a side of a token.
    pub patch_size: usize,
    /// Activation of the feed-forward part.
    pub hidden_act: String,
    /// Added to the variance in norms.
    pub layer_norm_eps: f64,
}

impl Default for SiglipVisionConfig {
    fn default() -> Self {
        SiglipVisionConfig {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 224,
            patch_size: 16,
            hidden_act: "gelu_pytorch_tanh".into(),
            layer_norm_eps: 1e-6,
        }
    }
}

impl SiglipVisionConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is damaged, contradicts itself, or asks for something that the network does not know.
    pub fn from_json(json: &str) -> crate::Result<Self> {
        let config: Self = parse(WHAT, json)?;
        config.sizes()?;
        if config.patch_size == 0 || config.image_size < config.patch_size {
            let (patch, image) = (config.patch_size, config.image_size);
            return Err(contradictory(WHAT, format!("tokens of {patch} pixels in pictures of {image}")));
        }
        Ok(config)
    }

    /// Tokens of a picture.
    #[must_use]
    pub fn tokens(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }

    fn sizes(&self) -> crate::Result<EncoderSizes> {
        let sizes = [self.hidden_size, self.intermediate_size, self.num_attention_heads];
        EncoderSizes::new(WHAT, sizes, self.layer_norm_eps, &self.hidden_act)
    }
}

/// SigLIP's vision encoder.
#[derive(Debug, Clone)]
pub struct SiglipVisionModel {
    patch_embedding: Conv2d,
    position_embedding: Embedding,
    layers: Vec<EncoderLayer>,
    post_layernorm: LayerNorm,
    tokens: usize,
    dtype: DType,
}

impl SiglipVisionModel {
    /// The encoder in `params`. Call [`Params::finish`] afterwards.
    ///
    /// # Errors
    /// When the config asks for an activation that is not known, or the tensor library fails.
    pub fn new(config: &SiglipVisionConfig, params: &Params) -> crate::Result<Self> {
        let (width, embeddings) = (config.hidden_size, params.pp("embeddings"));
        let sizes = config.sizes()?;
        let cut = Conv2dConfig { kernel: config.patch_size, stride: config.patch_size, before: 0, after: 0 };
        Ok(SiglipVisionModel {
            patch_embedding: Conv2d::new(3, width, cut, &embeddings.pp("patch_embedding"))?,
            position_embedding: Embedding::new(config.tokens(), width, &embeddings.pp("position_embedding"))?,
            layers: (0..config.num_hidden_layers)
                .map(|i| EncoderLayer::new(&sizes, &params.pp("encoder.layers").pp(i)))
                .collect::<Result<_>>()?,
            post_layernorm: LayerNorm::new(width, config.layer_norm_eps, &params.pp("post_layernorm"))?,
            tokens: config.tokens(),
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// Pictures [b, 3, `image_size`, `image_size`] in -1..1 to the normed state of their tokens, [b, tokens, width] f32.
    ///
    /// # Errors
    /// When the pictures have another size.
    pub fn forward(&self, pictures: &Tensor) -> Result<Tensor> {
        let tokens = self.patch_embedding.forward(&pictures.to_dtype(self.dtype)?)?.flatten_from(2)?;
        let mut x =
            tokens.transpose(1, 2)?.contiguous()?.broadcast_add(&self.position_embedding.first(self.tokens)?)?;
        for layer in &self.layers {
            x = layer.forward(&x, None)?;
        }
        self.post_layernorm.forward(&x)?.to_dtype(DType::F32)
    }
}
