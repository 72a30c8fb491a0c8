//! The residual block that UNet and VAE are built of.

use candle_core::{Result, Tensor};

use crate::nn::{Activation, Conv2d, Conv2dConfig, ConvExtras, GroupNorm, Linear, Params};

/// What all residual blocks of a network have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResnetConfig {
    /// Groups of both norms.
    pub groups: usize,
    /// Added to the variance in both norms.
    pub eps: f64,
    /// Width of the timestep's vector; the VAE has none.
    pub time_width: Option<usize>,
}

/// Two convolutions behind norms, around a residual (diffusers' `ResnetBlock2D`).
#[derive(Debug, Clone)]
pub(crate) struct ResnetBlock2d {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl ResnetBlock2d {
    pub(crate) fn new(inputs: usize, outputs: usize, config: &ResnetConfig, params: &Params) -> Result<Self> {
        let time_emb_proj =
            config.time_width.map(|width| Linear::new(width, outputs, &params.pp("time_emb_proj"))).transpose()?;
        let conv_shortcut = (inputs != outputs)
            .then(|| Conv2d::new(inputs, outputs, Conv2dConfig::POINTWISE, &params.pp("conv_shortcut")))
            .transpose()?;
        Ok(ResnetBlock2d {
            norm1: GroupNorm::new(config.groups, inputs, config.eps, &params.pp("norm1"))?,
            conv1: Conv2d::new(inputs, outputs, Conv2dConfig::SAME_3X3, &params.pp("conv1"))?,
            time_emb_proj,
            norm2: GroupNorm::new(config.groups, outputs, config.eps, &params.pp("norm2"))?,
            conv2: Conv2d::new(outputs, outputs, Conv2dConfig::SAME_3X3, &params.pp("conv2"))?,
            conv_shortcut,
        })
    }

    /// `x` [b, inputs, h, w] and the timestep's vector [b, time_width] to [b, outputs, h, w].
    pub(crate) fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let time = match (&self.time_emb_proj, time) {
            (Some(projection), Some(time)) => Some(projection.forward(&Activation::Silu.forward(time)?)?),
            _ => None,
        };
        let y = self.norm1.forward_activated(x, Activation::Silu)?;
        let y = self.conv1.forward_with(&y, &ConvExtras { shift: time.as_ref(), ..ConvExtras::default() })?;
        let y = self.norm2.forward_activated(&y, Activation::Silu)?;
        let shortcut = self.conv_shortcut.as_ref().map(|shortcut| shortcut.forward(x)).transpose()?;
        let residual = Some(shortcut.as_ref().unwrap_or(x));
        self.conv2.forward_with(&y, &ConvExtras { residual, ..ConvExtras::default() })
    }
}
