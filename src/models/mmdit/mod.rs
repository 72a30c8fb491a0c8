//! The transformer of Stable Diffusion 3 and 3.5 (Esser et al. 2024), as diffusers' `SD3Transformer2DModel`.

mod block;
mod config;
mod patches;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor};

use self::block::Block;
use self::patches::{to_latents, PatchEmbed};
use super::dit::{Conditions, Continuous, TimeTextEmbeddings};
use crate::nn::{Linear, Params};

pub use self::config::MmditConfig;

/// What the network is asked.
pub struct MmditInput<'a> {
    /// Latents [b, channels, h, w], whose sides are whole patches.
    pub sample: &'a Tensor,
    /// The noise level, 0 to 1000.
    pub timestep: f64,
    /// States of the text encoders, [b, tokens, `joint_attention_dim`].
    pub text: &'a Tensor,
    /// The pooled vectors of the CLIP encoders side by side, [b, `pooled_projection_dim`].
    pub pooled: &'a Tensor,
    /// Blocks that are left out; none but for skip-layer guidance.
    pub skip: &'a [usize],
}

/// The transformer of Stable Diffusion 3.
#[derive(Debug, Clone)]
pub struct Mmdit {
    pos_embed: PatchEmbed,
    time_text_embed: TimeTextEmbeddings,
    context_embedder: Linear,
    transformer_blocks: Vec<Block>,
    norm_out: Continuous,
    proj_out: Linear,
    config: MmditConfig,
    dtype: DType,
}

impl Mmdit {
    /// The network in `params`. Call [`Params::finish`] afterwards.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(config: &MmditConfig, params: &Params) -> Result<Self> {
        let (width, blocks) = (config.width(), params.pp("transformer_blocks"));
        let outputs = config.patch_size * config.patch_size * config.out_channels.unwrap_or(config.in_channels);
        Ok(Mmdit {
            pos_embed: PatchEmbed::new(config, &params.pp("pos_embed"))?,
            time_text_embed: TimeTextEmbeddings::new(
                config.pooled_projection_dim,
                width,
                false,
                &params.pp("time_text_embed"),
            )?,
            context_embedder: Linear::new(config.joint_attention_dim, width, &params.pp("context_embedder"))?,
            transformer_blocks: (0..config.num_layers)
                .map(|i| Block::new(config, i, &blocks.pp(i)))
                .collect::<Result<_>>()?,
            norm_out: Continuous::new(width, &params.pp("norm_out"))?,
            proj_out: Linear::new(width, outputs, &params.pp("proj_out"))?,
            config: config.clone(),
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// The velocity from the picture to the noise, f32 [b, channels, h, w].
    ///
    /// # Errors
    /// When the shapes do not fit, or the picture has more tokens than the network has places.
    pub fn forward(&self, input: &MmditInput<'_>) -> Result<Tensor> {
        let (_, _, height, width) = input.sample.dims4()?;
        let patch = self.config.patch_size;
        let mut x = self.pos_embed.forward(&input.sample.to_dtype(self.dtype)?)?;
        let conditions = Conditions { timestep: input.timestep, guidance: None, pooled: input.pooled };
        let time = self.time_text_embed.forward(&conditions)?;
        let mut text = self.context_embedder.forward(&input.text.to_dtype(self.dtype)?)?;
        let blocks = self.transformer_blocks.iter().enumerate();
        for (_, block) in blocks.filter(|(index, _)| !input.skip.contains(index)) {
            (text, x) = block.forward(&text, &x, &time)?;
        }
        let x = self.proj_out.forward(&self.norm_out.forward(&x, &time)?)?;
        to_latents(&x.to_dtype(DType::F32)?, patch, [height / patch, width / patch])
    }
}
