//! ControlNets (Zhang et al. 2023, "Adding Conditional Control to Text-to-Image Diffusion Models"): a copy of a UNet's way down and
//! middle that sees a picture and yields what the UNet adds to its skip connections. Follows diffusers' `ControlNetModel`, and with
//! [`union`] its `ControlNetUnionModel`.

mod config;
#[cfg(test)]
mod tests;
mod union;

use candle_core::{DType, Result, Tensor};

use super::unet::encoder::{Encoded, Encoder};
use super::unet::{PreparedText, Residuals, UNetConfig, UNetInput};
use crate::nn::{Activation, Conv2d, Conv2dConfig, Params};

pub use self::config::ControlNetConfig;
use self::config::WHAT;
use self::union::Union;

/// A ControlNet.
#[derive(Debug, Clone)]
pub struct ControlNetModel {
    encoder: Encoder,
    picture: PictureEmbedding,
    down: Vec<Conv2d>,
    mid: Conv2d,
    union: Option<Union>,
    config: ControlNetConfig,
    dtype: DType,
}

/// A control picture as one ControlNet sees it, which is the same at every step.
#[derive(Debug, Clone)]
pub struct Hint {
    /// [1, channels, h, w] of the latents' size.
    features: Tensor,
    /// Which kind of map it is, for networks that want to be told.
    kind: Option<usize>,
}

impl ControlNetModel {
    /// The ControlNet in `params`. Call [`Params::finish`] afterwards.
    ///
    /// # Errors
    /// When the config contradicts itself or the tensor library fails.
    pub fn new(config: &ControlNetConfig, params: &Params) -> crate::Result<Self> {
        let plan = config.encoder.encoder_plan(WHAT)?;
        let first = config.encoder.block_out_channels[0];
        let zero =
            |channels: usize, name: String| Conv2d::new(channels, channels, Conv2dConfig::POINTWISE, &params.pp(name));
        let skips = plan.skips(first).into_iter().enumerate();
        let last = config.encoder.block_out_channels.last().copied().unwrap_or(first);
        Ok(ControlNetModel {
            encoder: Encoder::new(&config.encoder, &plan, params)?,
            picture: PictureEmbedding::new(config, &params.pp("controlnet_cond_embedding"))?,
            down: skips
                .map(|(i, channels)| zero(channels, format!("controlnet_down_blocks.{i}")))
                .collect::<Result<_>>()?,
            mid: zero(last, "controlnet_mid_block".into())?,
            union: config.union().map(|union| Union::new(&union, &config.encoder, params)).transpose()?,
            config: config.clone(),
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// The config that the network was built from.
    #[must_use]
    pub fn config(&self) -> &ControlNetConfig {
        &self.config
    }

    /// Keys and values of a text [b, n, cross_attention_dim], to be computed once for all steps.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn prepare(&self, encoder_hidden_states: &Tensor) -> Result<PreparedText> {
        let encoder = self.encoder.prepare(&encoder_hidden_states.to_dtype(self.dtype)?)?;
        Ok(PreparedText { encoder, up: Vec::new() })
    }

    /// A control picture [1, 3, height, width], red, green and blue in 0..1 (of one made for inpainting -1 where it is masked), to be
    /// looked at once for all steps. `kind` is the number of its kind of maps, for networks that are for several.
    ///
    /// # Errors
    /// When the shapes do not fit, or the network is not for such a kind.
    pub fn look(&self, picture: &Tensor, kind: Option<usize>) -> Result<Hint> {
        let types = self.config.control_types();
        if kind.is_some() != types.is_some() || kind >= types && types.is_some() {
            candle_core::bail!("a map of the kind {kind:?} for a ControlNet with {types:?} kinds");
        }
        let picture = picture.to_dtype(self.dtype)?;
        let picture = if self.config.takes_bgr() { picture.flip(&[1])? } else { picture };
        Ok(Hint { features: self.picture.forward(&picture)?, kind })
    }

    /// What a UNet with the same input adds to its skip connections and its middle. `hints` come with how much each of them counts,
    /// which is 1 for one alone; only networks for several kinds of maps take more. `scales` are factors of the results, in that
    /// order. `input` has a text that [`ControlNetModel::prepare`] made, and no residuals.
    ///
    /// # Errors
    /// When shapes do not fit, or there are more or fewer scales than residuals.
    pub fn forward(&self, input: &UNetInput, hints: &[(&Hint, f64)], scales: &[f64]) -> Result<Residuals> {
        let (Some((mid_scale, scales)), true) = (scales.split_last(), scales.len() == self.residuals()) else {
            candle_core::bail!("{} scales for {} residuals", scales.len(), self.residuals())
        };
        let (time, x) = self.encoder.enter(input)?;
        let (time, x) = match (&self.union, hints) {
            (Some(union), hints) => union.mix(&time, &x, hints)?,
            (None, [(hint, 1.0)]) => (time, x.broadcast_add(&hint.features)?),
            (None, hints) => candle_core::bail!("a ControlNet for one kind of maps was shown {}", hints.len()),
        };
        let Encoded { output, skips } =
            self.encoder.descend(x, &time, (&input.text.encoder, &[]), &mut |_, _, _| {})?;
        let down = self.down.iter().zip(&skips).zip(scales);
        Ok(Residuals {
            down: down.map(|((zero, skip), scale)| self.scaled(zero, skip, *scale)).collect::<Result<_>>()?,
            mid: self.scaled(&self.mid, &output, *mid_scale)?,
        })
    }

    /// How many residuals there are, the middle's included.
    #[must_use]
    pub fn residuals(&self) -> usize {
        self.down.len() + 1
    }

    fn scaled(&self, zero: &Conv2d, skip: &Tensor, scale: f64) -> Result<Tensor> {
        let residual = zero.forward(skip)?;
        let residual = if scale == 1.0 { residual } else { (residual * scale)? };
        if self.config.pools() {
            return residual.mean_keepdim((2, 3));
        }
        Ok(residual)
    }
}

/// The convolutions that bring a control picture to the latents' size (diffusers' `ControlNetConditioningEmbedding`).
#[derive(Debug, Clone)]
struct PictureEmbedding {
    conv_in: Conv2d,
    blocks: Vec<Conv2d>,
    conv_out: Conv2d,
}

impl PictureEmbedding {
    fn new(config: &ControlNetConfig, params: &Params) -> Result<Self> {
        let (channels, halving) = (config.picture_channels(), Conv2dConfig { stride: 2, ..Conv2dConfig::SAME_3X3 });
        let first = channels[0];
        let (last, width) = (channels[channels.len() - 1], first_width(&config.encoder));
        let layers = channels
            .windows(2)
            .flat_map(|pair| [(pair[0], pair[0], Conv2dConfig::SAME_3X3), (pair[0], pair[1], halving)]);
        let blocks = params.pp("blocks");
        let block = |(i, (inputs, outputs, shape))| Conv2d::new(inputs, outputs, shape, &blocks.pp(i));
        Ok(PictureEmbedding {
            conv_in: Conv2d::new(3, first, Conv2dConfig::SAME_3X3, &params.pp("conv_in"))?,
            blocks: layers.enumerate().map(block).collect::<Result<_>>()?,
            conv_out: Conv2d::new(last, width, Conv2dConfig::SAME_3X3, &params.pp("conv_out"))?,
        })
    }

    fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        let mut x = Activation::Silu.forward(&self.conv_in.forward(picture)?)?;
        for block in &self.blocks {
            x = Activation::Silu.forward(&block.forward(&x)?)?;
        }
        self.conv_out.forward(&x)
    }
}

fn first_width(encoder: &UNetConfig) -> usize {
    encoder.block_out_channels.first().copied().unwrap_or(0)
}
