//! Transformers over the pixels of a feature map (diffusers' `Transformer2DModel` and `BasicTransformerBlock`).

use candle_core::{Result, Tensor};

use crate::nn::{
    geglu, pixels_to_tokens, tokens_to_pixels_add, GroupNorm, KeysValues, LayerNorm, Linear, MultiHeadAttention, Params,
};

/// What all transformers of a UNet have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransformerConfig {
    pub groups: usize,
    pub use_linear_projection: bool,
    pub upcast_attention: bool,
}

/// Transformer blocks between two projections, around a residual.
#[derive(Debug, Clone)]
pub(crate) struct Transformer2d {
    norm: GroupNorm,
    proj_in: Linear,
    transformer_blocks: Vec<TransformerBlock>,
    proj_out: Linear,
}

impl Transformer2d {
    pub(crate) fn new(
        channels: usize,
        heads: usize,
        context_width: usize,
        depth: usize,
        config: &TransformerConfig,
        params: &Params,
    ) -> Result<Self> {
        let projection = |name| {
            if config.use_linear_projection {
                Linear::new(channels, channels, &params.pp(name))
            } else {
                Linear::from_pointwise_conv(channels, channels, &params.pp(name))
            }
        };
        let blocks = params.pp("transformer_blocks");
        let block = |i| TransformerBlock::new(channels, heads, context_width, config.upcast_attention, &blocks.pp(i));
        Ok(Transformer2d {
            norm: GroupNorm::new(config.groups, channels, 1e-6, &params.pp("norm"))?,
            proj_in: projection("proj_in")?,
            transformer_blocks: (0..depth).map(block).collect::<Result<_>>()?,
            proj_out: projection("proj_out")?,
        })
    }

    /// The text [b, n, context_width] as each of the blocks attends to it.
    pub(crate) fn prepare(&self, text: &Tensor) -> Result<Vec<KeysValues>> {
        self.transformer_blocks.iter().map(|block| block.attn2.keys_values(text)).collect()
    }

    /// `x` [b, c, h, w] and the prepared text to [b, c, h, w].
    pub(crate) fn forward(&self, x: &Tensor, text: &[KeysValues]) -> Result<Tensor> {
        if text.len() != self.transformer_blocks.len() {
            candle_core::bail!("the text was prepared for another network");
        }
        // The projections work pixel by pixel, so they are linear layers on tokens whichever way they are stored.
        let tokens = pixels_to_tokens(&self.norm.forward(x)?)?;
        let mut tokens = self.proj_in.forward(&tokens)?;
        for (block, text) in self.transformer_blocks.iter().zip(text) {
            tokens = block.forward(&tokens, text)?;
        }
        tokens_to_pixels_add(&self.proj_out.forward(&tokens)?, x)
    }
}

/// Self-attention, attention to the text, and a gated feed-forward part, each behind a norm and around a residual.
#[derive(Debug, Clone)]
struct TransformerBlock {
    norm1: LayerNorm,
    attn1: MultiHeadAttention,
    norm2: LayerNorm,
    attn2: MultiHeadAttention,
    norm3: LayerNorm,
    ff_in: Linear,
    ff_out: Linear,
}

impl TransformerBlock {
    fn new(width: usize, heads: usize, context_width: usize, upcast: bool, params: &Params) -> Result<Self> {
        let norm = |name| LayerNorm::new(width, 1e-5, &params.pp(name));
        let inner = 4 * width;
        Ok(TransformerBlock {
            norm1: norm("norm1")?,
            attn1: attention(width, heads, width, &params.pp("attn1"))?.upcast(upcast),
            norm2: norm("norm2")?,
            attn2: attention(width, heads, context_width, &params.pp("attn2"))?.upcast(upcast),
            norm3: norm("norm3")?,
            ff_in: Linear::new(width, 2 * inner, &params.pp("ff.net.0.proj"))?,
            ff_out: Linear::new(inner, width, &params.pp("ff.net.2"))?,
        })
    }

    fn forward(&self, x: &Tensor, text: &KeysValues) -> Result<Tensor> {
        let x = self.attn1.forward_self_add(&self.norm1.forward(x)?, x)?;
        let x = self.attn2.forward_cross_add(&self.norm2.forward(&x)?, text, &x)?;
        self.ff_out.forward_add(&geglu(&self.ff_in.forward(&self.norm3.forward(&x)?)?)?, &x)
    }
}

fn attention(width: usize, heads: usize, context_width: usize, params: &Params) -> Result<MultiHeadAttention> {
    let projections = [
        Linear::without_bias(width, width, &params.pp("to_q"))?,
        Linear::without_bias(context_width, width, &params.pp("to_k"))?,
        Linear::without_bias(context_width, width, &params.pp("to_v"))?,
        Linear::new(width, width, &params.pp("to_out.0"))?,
    ];
    Ok(MultiHeadAttention::new(projections, heads).method(params.attention()))
}
