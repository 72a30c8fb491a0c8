//! Two-dimensional convolution.

use candle_core::{Result, Tensor};

use super::{conv_cpu, Params, Precision};

/// Size of the kernel and how it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Side of the square kernel.
    pub kernel: usize,
    /// Step between outputs.
    pub stride: usize,
    /// Zeros around the picture, on every side.
    pub padding: usize,
}

impl Conv2dConfig {
    /// One pixel at a time.
    pub const POINTWISE: Self = Conv2dConfig { kernel: 1, stride: 1, padding: 0 };
    /// A 3x3 kernel that keeps the size.
    pub const SAME_3X3: Self = Conv2dConfig { kernel: 3, stride: 1, padding: 1 };

    /// A kernel of an odd side that keeps the size.
    #[must_use]
    pub const fn same(kernel: usize) -> Self {
        Conv2dConfig { kernel, stride: 1, padding: (kernel - 1) / 2 }
    }
}

/// A convolution with a bias.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    config: Conv2dConfig,
    precision: Precision,
}

impl Conv2d {
    /// `weight` [out, in, kernel, kernel] and `bias` [out].
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(inputs: usize, outputs: usize, config: Conv2dConfig, params: &Params) -> Result<Self> {
        let precision = params.precision();
        let weight = params.get((outputs, inputs, config.kernel, config.kernel), "weight")?;
        let bias = params.get(outputs, "bias")?;
        Ok(Conv2d { weight: precision.operand(&weight)?, bias, config, precision })
    }

    /// `x` [b, in, h, w] to [b, out, h', w'] with `h' = (h + 2 padding - kernel) / stride + 1`, rounded down.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.precision.operand(x)?;
        if x.device().is_cpu() {
            return conv_cpu::conv2d(&x, &self.weight, &self.bias, self.config);
        }
        let Conv2dConfig { stride, padding, .. } = self.config;
        let outputs = self.bias.elem_count();
        x.conv2d(&self.weight, padding, stride, 1, 1)?.broadcast_add(&self.bias.reshape((1, outputs, 1, 1))?)
    }
}
