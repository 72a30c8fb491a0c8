//! The residual block that UNet and VAE are built of.

use candle_core::{Result, Tensor};

use super::strips::{Assembly, FeatureMap};
use crate::nn::{Activation, Conv2d, Conv2dConfig, ConvExtras, GroupMoments, GroupNorm, Linear, Params};

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
        let y = self.first_conv(&self.norm1.forward_activated(x, Activation::Silu)?, time)?;
        self.end(x, self.norm2.forward_activated_in_place(y, Activation::Silu)?)
    }

    /// As [`ResnetBlock2d::forward`] for an `x` that nothing else needs: where the residual is another map, its memory is used.
    pub(crate) fn forward_owned(&self, x: Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let Some(shortcut) = &self.conv_shortcut else { return self.forward(&x, time) };
        let residual = shortcut.forward(&x)?;
        let y = self.first_conv(&self.norm1.forward_activated_in_place(x, Activation::Silu)?, time)?;
        let y = self.norm2.forward_activated_in_place(y, Activation::Silu)?;
        self.conv2.forward_with(&y, &ConvExtras { residual: Some(&residual), ..ConvExtras::default() })
    }

    fn first_conv(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let time = match (&self.time_emb_proj, time) {
            (Some(projection), Some(time)) => Some(projection.forward(&Activation::Silu.forward(time)?)?),
            _ => None,
        };
        self.conv1.forward_with(x, &ConvExtras { shift: time.as_ref(), ..ConvExtras::default() })
    }

    /// As [`ResnetBlock2d::forward`] without a timestep, strip by strip: the input, unless it is enlarged on the way, and the
    /// output are the only whole maps. The first convolution is computed twice.
    pub(crate) fn forward_in_strips(&self, x: &FeatureMap) -> Result<Tensor> {
        let (strips, mut first, mut second) = (x.strips()?, GroupMoments::default(), GroupMoments::default());
        for strip in &strips {
            first.add(self.norm1.moments(&x.rows(strip.clone())?)?);
        }
        let halfway = |x: &Tensor| self.conv1.forward(&self.norm1.forward_activated_as(x, &first, Activation::Silu)?);
        for strip in &strips {
            let (rows, place) = x.rows_around(strip, 1)?;
            second.add(self.norm2.moments(&halfway(&rows)?.narrow(2, place.start, place.len())?)?);
        }
        let mut whole = Assembly::new(x.height()?);
        for strip in &strips {
            let (rows, place) = x.rows_around(strip, 2)?;
            let y = self.norm2.forward_activated_as(&halfway(&rows)?, &second, Activation::Silu)?;
            whole.put(strip.start, &self.end(&rows, y)?, place)?;
        }
        whole.finish()
    }

    /// The second convolution of `y`, around the residual `x`.
    fn end(&self, x: &Tensor, y: Tensor) -> Result<Tensor> {
        let shortcut = self.conv_shortcut.as_ref().map(|shortcut| shortcut.forward(x)).transpose()?;
        let residual = Some(shortcut.as_ref().unwrap_or(x));
        self.conv2.forward_with(&y, &ConvExtras { residual, ..ConvExtras::default() })
    }
}
