//! Halving and doubling of pictures, with a convolution each.

use candle_core::{Result, Tensor};

use super::{Conv2d, Conv2dConfig, ConvExtras, Params};

/// Nearest-neighbour enlargement and a 3x3 convolution (diffusers' `Upsample2D`).
#[derive(Debug, Clone)]
pub struct Upsample2d {
    conv: Conv2d,
}

impl Upsample2d {
    /// The layer at `conv` below `params`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(channels: usize, params: &Params) -> Result<Self> {
        Ok(Upsample2d { conv: Conv2d::new(channels, channels, Conv2dConfig::SAME_3X3, &params.pp("conv"))? })
    }

    /// `x` [b, c, h, w] to [b, c, height, width]; `size` is (height, width), twice that of `x` when absent.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor, size: Option<(usize, usize)>) -> Result<Tensor> {
        let (_, _, h, w) = x.dims4()?;
        let extras = ConvExtras { enlarge: Some(size.unwrap_or((2 * h, 2 * w))), ..ConvExtras::default() };
        self.conv.forward_with(x, &extras)
    }
}

/// A 3x3 convolution of stride 2 (diffusers' `Downsample2D`).
#[derive(Debug, Clone)]
pub struct Downsample2d {
    conv: Conv2d,
}

impl Downsample2d {
    /// The layer at `conv` below `params`. Padding 0 stands for one row below and one column to the right, as in the VAE.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(channels: usize, padding: usize, params: &Params) -> Result<Self> {
        let config = Conv2dConfig { kernel: 3, stride: 2, before: padding, after: padding.max(1) };
        Ok(Downsample2d { conv: Conv2d::new(channels, channels, config, &params.pp("conv"))? })
    }

    /// `x` [b, c, h, w] to half its size: rounded up with padding 1, down with padding 0.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.conv.forward(x)
    }
}
