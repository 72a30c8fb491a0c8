//! The UNet of Stable Diffusion 1.x, 2.x and SDXL, their inpainting variants and fine-tunes: one network, driven by its config.
//! Follows diffusers' `UNet2DConditionModel` (Rombach et al. 2022, Podell et al. 2023).
//!
//! [`config`] reads and refuses, `plan` turns a config into what each block consists of, `blocks` and `transformer` compute.

pub(crate) mod blocks;
pub(crate) mod config;
pub(crate) mod embeddings;
pub(crate) mod encoder;
pub(crate) mod plan;
#[cfg(test)]
mod tests;
mod transformer;

use candle_core::{DType, Result, Tensor};

use self::blocks::{BlockConfig, BlockText, Condition, UpBlock};
use self::encoder::{Encoded, Encoder, EncoderText};
use self::transformer::TransformerConfig;
use crate::models::resnet::ResnetConfig;
use crate::nn::{Activation, Conv2d, Conv2dConfig, GroupNorm, Params};

pub use self::config::UNetConfig;

/// What a UNet or a ControlNet is asked. All tensors lie on its device; their float type does not matter.
#[derive(Debug, Clone, Copy)]
pub struct UNetInput<'a> {
    /// The noisy latents, [b, in_channels, h, w], scaled as the scheduler says.
    pub sample: &'a Tensor,
    /// The timestep, 0 to 1000, that all of the batch have.
    pub timestep: f64,
    /// The text, prepared by the network itself: [`UNet2DConditionModel::prepare`].
    pub text: &'a PreparedText,
    /// Pooled text and sizes, for models that take them (SDXL).
    pub added: Option<AddedCond<'a>>,
    /// The embedded guidance scale, [b, time_cond_proj_dim], for distilled models that take it: [`guidance_embedding`].
    pub timestep_cond: Option<&'a Tensor>,
    /// What ControlNets add.
    pub residuals: Option<&'a Residuals>,
    /// What T2I-Adapters add to the blocks on the way down in turn, and last to the middle where there is one more: each of the shape
    /// of a block's last skip connection but for its halving, or of one sample for all.
    pub features: &'a [Tensor],
}

/// A text as the attentions of one network see it: keys and values, which are the same at every step.
#[derive(Debug, Clone)]
pub struct PreparedText {
    pub(crate) encoder: EncoderText,
    /// Nothing of a ControlNet, which has no way up.
    pub(crate) up: Vec<BlockText>,
}

/// SDXL's pooled text and sizes.
#[derive(Debug, Clone, Copy)]
pub struct AddedCond<'a> {
    /// The pooled, projected text of the second encoder, [b, p].
    pub text_embeds: &'a Tensor,
    /// Original height and width, crop top and left, target height and width: [b, 6].
    pub time_ids: &'a Tensor,
}

/// What ControlNets add to a UNet: one tensor for each skip connection and one for the middle, each of its shape or with a single
/// value a channel, [b, c, 1, 1].
#[derive(Debug, Clone)]
pub struct Residuals {
    /// In the order of the way down, the first convolution's output first.
    pub down: Vec<Tensor>,
    /// For the middle block's output.
    pub mid: Tensor,
}

/// The embedding of a guidance scale for [`UNetInput::timestep_cond`], [1, width] f32 on the device of `like` (Meng et al. 2023;
/// diffusers' `get_guidance_scale_embedding`, to which its pipelines give `guidance_scale - 1`).
///
/// # Errors
/// When the tensor library fails.
pub fn guidance_embedding(guidance_scale: f64, width: usize, like: &Tensor) -> Result<Tensor> {
    crate::nn::timestep_embedding(&[(guidance_scale - 1.0) * 1000.0], width, false, 1.0, like.device())
}

/// A UNet.
#[derive(Debug, Clone)]
pub struct UNet2DConditionModel {
    encoder: Encoder,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    config: UNetConfig,
    dtype: DType,
}

impl UNetConfig {
    /// What all blocks have in common.
    pub(crate) fn block_config(&self) -> BlockConfig {
        let groups = self.norm_num_groups;
        BlockConfig {
            resnet: ResnetConfig { groups, eps: self.norm_eps, time_width: Some(self.time_width()) },
            transformer: TransformerConfig {
                groups,
                use_linear_projection: self.use_linear_projection,
                upcast_attention: self.upcast_attention,
            },
            downsample_padding: self.downsample_padding,
        }
    }
}

impl UNet2DConditionModel {
    /// The UNet in `params`. Call [`Params::finish`] afterwards.
    ///
    /// # Errors
    /// When the config contradicts itself or the tensor library fails.
    pub fn new(config: &UNetConfig, params: &Params) -> crate::Result<Self> {
        let (plan, block) = (config.plan()?, config.block_config());
        let (first, out) = (config.block_out_channels[0], Conv2dConfig::same(config.conv_out_kernel));
        let up = params.pp("up_blocks");
        let up = plan.up.iter().enumerate().map(|(i, plan)| UpBlock::new(plan, &block, &up.pp(i)));
        Ok(UNet2DConditionModel {
            encoder: Encoder::new(config, &plan.encoder, params)?,
            up_blocks: up.collect::<Result<_>>()?,
            conv_norm_out: GroupNorm::new(config.norm_num_groups, first, config.norm_eps, &params.pp("conv_norm_out"))?,
            conv_out: Conv2d::new(first, config.out_channels, out, &params.pp("conv_out"))?,
            config: config.clone(),
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// The config that the network was built from.
    #[must_use]
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// Keys and values of a text `encoder_hidden_states` [b, n, cross_attention_dim], to be computed once for all steps.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn prepare(&self, encoder_hidden_states: &Tensor) -> Result<PreparedText> {
        let text = encoder_hidden_states.to_dtype(self.dtype)?;
        let up = self.up_blocks.iter().map(|block| block.prepare(&text)).collect::<Result<_>>()?;
        Ok(PreparedText { encoder: self.encoder.prepare(&text)?, up })
    }

    /// What the UNet predicts of its input, noise or velocity as it was trained: [b, out_channels, h, w] f32.
    ///
    /// # Errors
    /// When shapes do not fit, or the number of residuals is not that of the skip connections.
    pub fn forward(&self, input: &UNetInput) -> Result<Tensor> {
        self.forward_observed(input, |_, _, _| {})
    }

    /// As [`UNet2DConditionModel::forward`]; `observe` sees each block's output, by the block's name and number.
    fn forward_observed(
        &self,
        input: &UNetInput,
        mut observe: impl FnMut(&'static str, usize, &Tensor),
    ) -> Result<Tensor> {
        let PreparedText { encoder: text, up } = input.text;
        if up.len() != self.up_blocks.len() {
            candle_core::bail!("the text was prepared for another network");
        }
        let (time, x) = self.encoder.enter(input)?;
        let Encoded { output: mut x, mut skips } =
            self.encoder.descend(x, &time, (text, input.features), &mut observe)?;
        if let Some(residuals) = input.residuals {
            x = self.add_residuals(x, &mut skips, residuals)?;
        }
        for (i, (block, text)) in self.up_blocks.iter().zip(up).enumerate() {
            x = block.forward(&x, Condition { time: &time, text }, &mut skips)?;
            observe("up_blocks", i, &x);
        }
        let x = self.conv_norm_out.forward_activated(&x, Activation::Silu)?;
        self.conv_out.forward(&x)?.to_dtype(DType::F32)
    }

    fn add_residuals(&self, mid: Tensor, skips: &mut [Tensor], residuals: &Residuals) -> Result<Tensor> {
        if residuals.down.len() != skips.len() {
            candle_core::bail!("{} residuals do not fit a UNet with {}", residuals.down.len(), skips.len());
        }
        for (skip, residual) in skips.iter_mut().zip(&residuals.down) {
            *skip = skip.broadcast_add(&residual.to_dtype(self.dtype)?)?;
        }
        mid.broadcast_add(&residuals.mid.to_dtype(self.dtype)?)
    }
}
