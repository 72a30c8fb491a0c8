//! What a ControlNet for several kinds of maps does with them (xinsir's ControlNet++; diffusers' `ControlNetUnionModel`): it is told the
//! kinds, and what is in all maps and in the latents together decides how each map is seen.

use candle_core::{Result, Tensor};

use super::config::UnionConfig;
use super::Hint;
use crate::models::unet::embeddings::TimestepEmbedding;
use crate::models::unet::UNetConfig;
use crate::nn::{timestep_embedding, Activation, LayerNorm, Linear, Params, SelfAttention};

/// The layers that only such a network has.
#[derive(Debug, Clone)]
pub(super) struct Union {
    /// A vector for each kind, [types, channels].
    task_embedding: Tensor,
    blocks: Vec<Block>,
    spatial_ch_projs: Linear,
    control_add_embedding: TimestepEmbedding,
    config: UnionConfig,
    flip_sin_to_cos: bool,
    freq_shift: f64,
}

impl Union {
    pub(super) fn new(config: &UnionConfig, encoder: &UNetConfig, params: &Params) -> Result<Self> {
        let (channels, UnionConfig { types, type_width, layers, .. }) = (encoder.block_out_channels[0], *config);
        // The misspelt name is that of the published weights.
        let blocks = params.pp("transformer_layes");
        let kinds = params.pp("control_add_embedding");
        Ok(Union {
            task_embedding: params.get((types, channels), "task_embedding")?,
            blocks: (0..layers).map(|i| Block::new(channels, config.heads, &blocks.pp(i))).collect::<Result<_>>()?,
            spatial_ch_projs: Linear::new(channels, channels, &params.pp("spatial_ch_projs"))?,
            control_add_embedding: TimestepEmbedding::new(types * type_width, encoder.time_width(), None, &kinds)?,
            config: *config,
            flip_sin_to_cos: encoder.flip_sin_to_cos,
            freq_shift: encoder.freq_shift,
        })
    }

    /// The timestep's vector [b, width] and the first convolution's output `x` [b, c, h, w] with all that the maps say.
    pub(super) fn mix(&self, time: &Tensor, x: &Tensor, hints: &[(&Hint, f64)]) -> Result<(Tensor, Tensor)> {
        let (batch, channels) = (x.dim(0)?, x.dim(1)?);
        let mean = |x: &Tensor| x.flatten_from(2)?.mean(2);
        let mut tokens = Vec::new();
        for (hint, count) in hints {
            let task = self.task_embedding.narrow(0, hint.kind.unwrap_or_default(), 1)?;
            tokens.push((mean(&hint.features)?.add(&task)? * *count)?.broadcast_as((batch, channels))?.contiguous()?);
        }
        tokens.push(mean(x)?);
        let mut tokens = Tensor::stack(&tokens, 0)?;
        for block in &self.blocks {
            tokens = block.forward(&tokens)?;
        }
        let mut x = x.clone();
        for (i, (hint, count)) in hints.iter().enumerate() {
            let shift = (self.spatial_ch_projs.forward(&tokens.get(i)?)? * *count)?.reshape((batch, channels, 1, 1))?;
            let features = if *count == 1.0 { hint.features.clone() } else { (&hint.features * *count)? };
            x = x.broadcast_add(&features)?.broadcast_add(&shift)?;
        }
        Ok((time.broadcast_add(&self.kinds(hints, time)?)?, x))
    }

    /// The vector that tells which kinds of maps there are, [1, width].
    fn kinds(&self, hints: &[(&Hint, f64)], like: &Tensor) -> Result<Tensor> {
        let UnionConfig { types, type_width, .. } = self.config;
        let there = |kind: usize| hints.iter().any(|(hint, _)| hint.kind == Some(kind));
        let flags: Vec<f64> = (0..types).map(|kind| f64::from(u8::from(there(kind)))).collect();
        let flags = timestep_embedding(&flags, type_width, self.flip_sin_to_cos, self.freq_shift, like.device())?;
        let flags = flags.reshape((1, types * type_width))?.to_dtype(like.dtype())?;
        self.control_add_embedding.forward(&flags, None)
    }
}

/// Attention and a feed-forward part, each behind a norm and around a residual.
#[derive(Debug, Clone)]
struct Block {
    ln_1: LayerNorm,
    /// Of queries, keys and values: [3 channels, channels] and [3 channels].
    in_proj: (Tensor, Tensor),
    attention: SelfAttention,
    out_proj: Linear,
    ln_2: LayerNorm,
    c_fc: Linear,
    c_proj: Linear,
}

impl Block {
    fn new(channels: usize, heads: usize, params: &Params) -> Result<Self> {
        let (attn, mlp) = (params.pp("attn"), params.pp("mlp"));
        Ok(Block {
            ln_1: LayerNorm::new(channels, 1e-5, &params.pp("ln_1"))?,
            in_proj: (attn.get((3 * channels, channels), "in_proj_weight")?, attn.get(3 * channels, "in_proj_bias")?),
            attention: SelfAttention::new(heads, params),
            out_proj: Linear::new(channels, channels, &attn.pp("out_proj"))?,
            ln_2: LayerNorm::new(channels, 1e-5, &params.pp("ln_2"))?,
            c_fc: Linear::new(channels, 4 * channels, &mlp.pp("c_fc"))?,
            c_proj: Linear::new(4 * channels, channels, &mlp.pp("c_proj"))?,
        })
    }

    /// `x` [maps, b, channels]. As in the original, what attends to each other is the samples of the batch, and not its maps: the
    /// attention there takes the batch for the sequence, and the published weights were trained so.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (maps, batch, channels) = x.dims3()?;
        let (weight, bias) = &self.in_proj;
        let rows = self.ln_1.forward(x)?.reshape((maps * batch, channels))?;
        let all = rows.matmul(&weight.t()?)?.broadcast_add(bias)?.reshape((maps, batch, 3 * channels))?;
        let part = |i: usize| all.narrow(2, i * channels, channels)?.contiguous();
        let attended = self.attention.forward([&part(0)?, &part(1)?, &part(2)?], None)?;
        let x = self.out_proj.forward_add(&attended, x)?;
        let wide = Activation::QuickGelu.forward(&self.c_fc.forward(&self.ln_2.forward(&x)?)?)?;
        self.c_proj.forward_add(&wide, &x)
    }
}
