//! The text encoder of CLIP (Radford et al. 2021), as transformers' `CLIPTextModel` and `CLIPTextModelWithProjection`.

use candle_core::{DType, Result, Tensor};
use serde::Deserialize;

use super::config::parse;
use super::encoder_layer::{EncoderLayer, EncoderSizes};
use crate::nn::{causal_mask, Embedding, LayerNorm, Linear, Params};

const WHAT: &str = "text encoder";

/// The fields of `text_encoder/config.json` that decide the result, with transformers' defaults.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClipTextConfig {
    /// Entries of the token table.
    pub vocab_size: usize,
    /// Width of a token's vector.
    pub hidden_size: usize,
    /// Width between the two layers of the feed-forward part.
    pub intermediate_size: usize,
    /// Width of the projected pooled vector, for files that have a projection.
    pub projection_dim: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of each layer's attention.
    pub num_attention_heads: usize,
    /// Tokens at most.
    pub max_position_embeddings: usize,
    /// Activation of the feed-forward part.
    pub hidden_act: String,
    /// Added to the variance in norms.
    pub layer_norm_eps: f64,
    /// The token whose first place is pooled; 2 stands for the token with the highest id.
    pub eos_token_id: u32,
}

impl Default for ClipTextConfig {
    fn default() -> Self {
        ClipTextConfig {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            projection_dim: 512,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: "quick_gelu".into(),
            layer_norm_eps: 1e-5,
            eos_token_id: 49407,
        }
    }
}

impl ClipTextConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is damaged, or asks for something that the network does not know.
    pub fn from_json(json: &str) -> crate::Result<Self> {
        let config: Self = parse(WHAT, json)?;
        config.sizes()?;
        Ok(config)
    }

    fn sizes(&self) -> crate::Result<EncoderSizes> {
        let sizes = [self.hidden_size, self.intermediate_size, self.num_attention_heads];
        EncoderSizes::new(WHAT, sizes, self.layer_norm_eps, &self.hidden_act)
    }
}

/// A CLIP text encoder.
#[derive(Debug, Clone)]
pub struct ClipTextModel {
    token_embedding: Embedding,
    position_embedding: Embedding,
    layers: Vec<EncoderLayer>,
    final_layer_norm: LayerNorm,
    text_projection: Option<Linear>,
    config: ClipTextConfig,
    dtype: DType,
}

impl ClipTextModel {
    /// The encoder in `params`, whose tensors may or may not carry `text_model.` in front. Call [`Params::finish`] afterwards.
    ///
    /// # Errors
    /// When the config asks for an activation that is not known, or the tensor library fails.
    pub fn new(config: &ClipTextConfig, params: &Params) -> crate::Result<Self> {
        let text_model = params.pp("text_model");
        let model = if text_model.contains("final_layer_norm.weight") { text_model } else { params.clone() };
        let width = config.hidden_size;
        let embeddings = model.pp("embeddings");
        let sizes = config.sizes()?;
        let layers = (0..config.num_hidden_layers)
            .map(|i| EncoderLayer::new(&sizes, &model.pp("encoder.layers").pp(i)))
            .collect::<Result<_>>()?;
        let text_projection = params.contains("text_projection.weight");
        let text_projection = text_projection
            .then(|| Linear::without_bias(width, config.projection_dim, &params.pp("text_projection")))
            .transpose()?;
        Ok(ClipTextModel {
            token_embedding: Embedding::new(config.vocab_size, width, &embeddings.pp("token_embedding"))?,
            position_embedding: Embedding::new(
                config.max_position_embeddings,
                width,
                &embeddings.pp("position_embedding"),
            )?,
            layers,
            final_layer_norm: LayerNorm::new(width, config.layer_norm_eps, &model.pp("final_layer_norm"))?,
            text_projection,
            config: config.clone(),
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// The same without its projection, for models that take the pooled vector as it is, whatever the file has.
    #[must_use]
    pub fn without_projection(self) -> Self {
        ClipTextModel { text_projection: None, ..self }
    }

    /// Width of a token's vector.
    #[must_use]
    pub fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// Number of layers.
    #[must_use]
    pub fn num_layers(&self) -> usize {
        self.layers.len()
    }

    /// Tokens at most.
    #[must_use]
    pub fn max_positions(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// Width of what [`ClipTextModel::pooled`] returns.
    #[must_use]
    pub fn pooled_width(&self) -> usize {
        self.text_projection.as_ref().map_or(self.config.hidden_size, |_| self.config.projection_dim)
    }

    /// The tokens' own vectors, without positions: `ids` [b, n] u32 to [b, n, width] f32. Textual inversion replaces rows of it.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    pub fn embed_tokens(&self, ids: &Tensor) -> Result<Tensor> {
        self.token_embedding.forward(ids)?.to_dtype(DType::F32)
    }

    /// The hidden state after all layers but the last `skip`: `embeds` [b, n, width] to [b, n, width] f32, without the final norm.
    /// Transformers' `hidden_states[-1 - skip]`.
    ///
    /// # Errors
    /// When there are more tokens than positions, or `skip` exceeds the number of layers.
    pub fn forward(&self, embeds: &Tensor, skip: usize) -> Result<Tensor> {
        let (_, tokens, _) = embeds.dims3()?;
        let Some(depth) = self.layers.len().checked_sub(skip) else {
            candle_core::bail!("cannot skip {skip} of {} layers", self.layers.len());
        };
        if tokens > self.max_positions() {
            candle_core::bail!("{tokens} tokens are more than the {} of the text encoder", self.max_positions());
        }
        let x = embeds.to_dtype(self.dtype)?.broadcast_add(&self.position_embedding.first(tokens)?)?;
        through(&self.layers[..depth], x)
    }

    /// What [`Self::forward`] would have given without skipping, from what it gave with `skip`.
    ///
    /// # Errors
    /// When `skip` exceeds the number of layers.
    pub fn skipped_layers(&self, state: &Tensor, skip: usize) -> Result<Tensor> {
        let Some(depth) = self.layers.len().checked_sub(skip) else {
            candle_core::bail!("cannot skip {skip} of {} layers", self.layers.len());
        };
        through(&self.layers[depth..], state.to_dtype(self.dtype)?)
    }

    /// The final norm of a hidden state: [b, n, width] to [b, n, width] f32.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn final_layer_norm(&self, x: &Tensor) -> Result<Tensor> {
        self.final_layer_norm.forward(&x.to_dtype(self.dtype)?)?.to_dtype(DType::F32)
    }

    /// One vector a text: the normed last hidden state [b, n, width] at the end of `ids` [b, n] u32, projected if the file has a
    /// projection: [b, [`ClipTextModel::pooled_width`]] f32.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn pooled(&self, normed_last: &Tensor, ids: &Tensor) -> Result<Tensor> {
        let ends = ids.to_vec2::<u32>()?.into_iter().map(|ids| self.end_of_text(&ids));
        let rows =
            ends.enumerate().map(|(row, end)| normed_last.get(row)?.narrow(0, end, 1)).collect::<Result<Vec<_>>>()?;
        let pooled = Tensor::cat(&rows, 0)?;
        match &self.text_projection {
            Some(projection) => projection.forward(&pooled.to_dtype(self.dtype)?)?.to_dtype(DType::F32),
            None => Ok(pooled),
        }
    }

    /// The first end token. Configs with id 2 were written when that field was wrong: there it is the first of the highest ids.
    fn end_of_text(&self, ids: &[u32]) -> usize {
        let eos =
            if self.config.eos_token_id == 2 { ids.iter().copied().max() } else { Some(self.config.eos_token_id) };
        ids.iter().position(|id| Some(*id) == eos).unwrap_or(0)
    }
}

/// A state [b, n, width] through layers: f32.
fn through(layers: &[EncoderLayer], mut x: Tensor) -> Result<Tensor> {
    let mask = causal_mask(x.dim(1)?, x.device())?;
    for layer in layers {
        x = layer.forward(&x, Some(&mask))?;
    }
    x.to_dtype(DType::F32)
}

#[cfg(test)]
mod tests;
