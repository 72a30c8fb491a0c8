//! The layer that CLIP's and SigLIP's encoders are made of.

use candle_core::{Result, Tensor};

use super::config::{contradictory, unsupported};
use crate::nn::{Activation, LayerNorm, Linear, MultiHeadAttention, Params};

/// What all layers of an encoder share.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncoderSizes {
    /// Width of a token's vector.
    pub width: usize,
    /// Width between the two layers of the feed-forward part.
    pub inner: usize,
    /// Heads of the attention.
    pub heads: usize,
    /// Added to the variance in norms.
    pub eps: f64,
    /// Of the feed-forward part.
    pub activation: Activation,
}

impl EncoderSizes {
    /// The sizes that the config of `what` says: width, inner width and heads, the norms' eps, the activation's name.
    ///
    /// # Errors
    /// When they contradict each other, or the activation is not known.
    pub(super) fn new(
        what: &str,
        [width, inner, heads]: [usize; 3],
        eps: f64,
        activation: &str,
    ) -> crate::Result<Self> {
        let activation =
            Activation::from_name(activation).ok_or_else(|| unsupported(what, "hidden_act", activation))?;
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(contradictory(what, format!("a width of {width} with {heads} heads")));
        }
        Ok(EncoderSizes { width, inner, heads, eps, activation })
    }
}

/// Attention and feed-forward part, each behind a norm and around a residual.
#[derive(Debug, Clone)]
pub(super) struct EncoderLayer {
    layer_norm1: LayerNorm,
    self_attn: MultiHeadAttention,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
}

impl EncoderLayer {
    pub(super) fn new(sizes: &EncoderSizes, params: &Params) -> Result<Self> {
        let EncoderSizes { width, inner, heads, eps, activation } = *sizes;
        let attention = params.pp("self_attn");
        let projection = |name| Linear::new(width, width, &attention.pp(name));
        let projections =
            [projection("q_proj")?, projection("k_proj")?, projection("v_proj")?, projection("out_proj")?];
        Ok(EncoderLayer {
            layer_norm1: LayerNorm::new(width, eps, &params.pp("layer_norm1"))?,
            self_attn: MultiHeadAttention::new(projections, heads).method(params.attention()),
            layer_norm2: LayerNorm::new(width, eps, &params.pp("layer_norm2"))?,
            fc1: Linear::new(width, inner, &params.pp("mlp.fc1"))?,
            fc2: Linear::new(inner, width, &params.pp("mlp.fc2"))?,
            activation,
        })
    }

    /// `x` [b, n, width] to the same shape; `mask` as that of [`MultiHeadAttention`].
    pub(super) fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let normed = self.layer_norm1.forward(x)?;
        let x = (x + self.self_attn.forward(&normed, &normed, mask)?)?;
        let inner = self.activation.forward(&self.fc1.forward(&self.layer_norm2.forward(&x)?)?)?;
        x + self.fc2.forward(&inner)?
    }
}
