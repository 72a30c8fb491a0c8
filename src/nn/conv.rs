//! Two-dimensional convolution.

use candle_core::{Result, Tensor};

use super::cpu::{self, floats};
use super::profile::{timed, LayerKind};
use super::weight::{Ready, Weight};
use super::Params;
use crate::kernels::conv::{conv2d, Filters, Finish, Method, Pictures, Window};

/// Size of the kernel and how it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Side of the square kernel.
    pub kernel: usize,
    /// Step between outputs.
    pub stride: usize,
    /// Zeros above and to the left of the picture.
    pub before: usize,
    /// Zeros below and to the right of it.
    pub after: usize,
}

impl Conv2dConfig {
    /// One pixel at a time.
    pub const POINTWISE: Self = Self::same(1);
    /// A 3x3 kernel that keeps the size.
    pub const SAME_3X3: Self = Self::same(3);

    /// A kernel of an odd side that keeps the size.
    #[must_use]
    pub const fn same(kernel: usize) -> Self {
        Conv2dConfig { kernel, stride: 1, before: (kernel - 1) / 2, after: (kernel - 1) / 2 }
    }

    /// The same to the kernels.
    fn window(self) -> Window {
        let Conv2dConfig { kernel, stride, before, after } = self;
        Window { kernel, stride, before, after }
    }
}

/// What is done to the picture before a convolution and to its result.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConvExtras<'a> {
    /// Enlarges the picture to this height and width first, each pixel the nearest.
    pub enlarge: Option<(usize, usize)>,
    /// Added to the result: a value for each picture and channel, [b, out] or [1, out].
    pub shift: Option<&'a Tensor>,
    /// Added to the result, which has the same shape.
    pub residual: Option<&'a Tensor>,
}

/// A convolution.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Weight<Filters>,
    bias: Tensor,
    config: Conv2dConfig,
    inputs: usize,
    outputs: usize,
}

impl Conv2d {
    /// `weight` [out, in, kernel, kernel] and `bias` [out].
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(inputs: usize, outputs: usize, config: Conv2dConfig, params: &Params) -> Result<Self> {
        let bias = params.get(outputs, "bias")?;
        Ok(Conv2d { bias, ..Self::without_bias(inputs, outputs, config, params)? })
    }

    /// `weight` [out, in, kernel, kernel] alone.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn without_bias(inputs: usize, outputs: usize, config: Conv2dConfig, params: &Params) -> Result<Self> {
        let (side, window) = (config.kernel, config.window());
        let weight = Weight::new((outputs, inputs, side, side), params, move |kernel, values| {
            let method = Method::fastest(&kernel, [outputs, inputs], &window);
            Filters::new(kernel, method, values, [outputs, inputs], window)
        })?;
        let dtype = params.precision().activation_dtype(params.device());
        let bias = Tensor::zeros(outputs, dtype, params.device())?;
        Ok(Conv2d { weight, bias, config, inputs, outputs })
    }

    /// `x` [b, in, h, w] to [b, out, h', w'] with `h' = (h + before + after - kernel) / stride + 1`, rounded down.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, &ConvExtras::default())
    }

    /// As [`Conv2d::forward`], with more done on the way.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward_with(&self, x: &Tensor, extras: &ConvExtras) -> Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        if channels != self.inputs {
            candle_core::bail!("a convolution of {} channels was given {:?}", self.inputs, x.dims());
        }
        let side = self.config.kernel;
        let pictures = Pictures { batch, channels, height, width, enlarged: extras.enlarge };
        let Some((out_height, out_width)) = self.config.window().outputs(&pictures) else {
            candle_core::bail!("a picture of {height}x{width} is smaller than the kernel of {side}");
        };
        let shape = (batch, self.outputs, out_height, out_width);
        if let Some(residual) = extras.residual.filter(|residual| residual.dims4().ok() != Some(shape)) {
            candle_core::bail!("a convolution gives {shape:?}, which {:?} cannot be added to", residual.dims());
        }
        let kind = match side {
            3 => LayerKind::Conv3x3,
            1 => LayerKind::Conv1x1,
            _ => LayerKind::ConvOther,
        };
        let flops = 2 * (batch * self.outputs * out_height * out_width) * (channels * side * side);
        timed(kind, flops, || match self.weight.ready()? {
            Ready::Packed(filters) => self.on_cpu(x, &filters, extras, &pictures, shape),
            Ready::Tensor(weight) => self.on_device(x, weight, extras),
        })
    }

    fn on_cpu(
        &self,
        x: &Tensor,
        filters: &Filters,
        extras: &ConvExtras,
        pictures: &Pictures,
        shape: (usize, usize, usize, usize),
    ) -> Result<Tensor> {
        let shift = extras.shift.map(|shift| shift.broadcast_as((shape.0, shape.1))?.contiguous()).transpose()?;
        let (x, residual) = (x.contiguous()?, extras.residual.map(Tensor::contiguous).transpose()?);
        let (x, bias) = (floats(&x)?, floats(&self.bias)?);
        let shift = shift.as_ref().map(floats).transpose()?;
        let residual = residual.as_ref().map(floats).transpose()?;
        let finish = Finish { bias: &bias, shift: shift.as_deref(), function: None, residual: residual.as_deref() };
        cpu::filled(shape, |y| {
            conv2d(&x, pictures, filters, &finish, y);
            Ok(())
        })
    }

    fn on_device(&self, x: &Tensor, weight: &Tensor, extras: &ConvExtras) -> Result<Tensor> {
        let Conv2dConfig { stride, before, after, .. } = self.config;
        let mut x = match extras.enlarge {
            Some((height, width)) => x.upsample_nearest2d(height, width)?,
            None => x.clone(),
        };
        if before != after {
            x = x.pad_with_zeros(2, before, after)?.pad_with_zeros(3, before, after)?;
        }
        let padding = if before == after { before } else { 0 };
        let by_channel = |t: &Tensor| t.unsqueeze(2)?.unsqueeze(3);
        let mut y = x.conv2d(weight, padding, stride, 1, 1)?.broadcast_add(&by_channel(&self.bias.unsqueeze(0)?)?)?;
        if let Some(shift) = extras.shift {
            y = y.broadcast_add(&by_channel(shift)?)?;
        }
        match extras.residual {
            Some(residual) => y + residual,
            None => Ok(y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::tests::{max_difference, params, wave};

    #[test]
    fn both_ways_of_computing_are_one() {
        for (config, size, enlarge) in [
            (Conv2dConfig::SAME_3X3, [2, 5, 7, 9], None),
            (Conv2dConfig::POINTWISE, [2, 5, 7, 9], None),
            (Conv2dConfig { kernel: 3, stride: 2, before: 1, after: 1 }, [1, 5, 8, 8], None),
            (Conv2dConfig { kernel: 3, stride: 2, before: 0, after: 1 }, [1, 5, 8, 6], None),
            (Conv2dConfig::SAME_3X3, [2, 5, 4, 3], Some((8, 6))),
        ] {
            let params = params(&[("weight", &[6, 5, config.kernel, config.kernel]), ("bias", &[6])]);
            let layer = Conv2d::new(5, 6, config, &params).unwrap();
            let weight = params.get((6, 5, config.kernel, config.kernel), "weight").unwrap();
            let (x, shift) = (wave(&size, 0.37), wave(&[1, 6], 0.9));
            let plain = layer.forward_with(&x, &ConvExtras { enlarge, ..ConvExtras::default() }).unwrap();
            let residual = wave(plain.dims(), 0.21);
            let extras = ConvExtras { enlarge, shift: Some(&shift), residual: Some(&residual) };
            let y = layer.forward_with(&x, &extras).unwrap();
            let expected = layer.on_device(&x, &weight, &extras).unwrap();
            assert_eq!(y.dims(), expected.dims());
            assert!(max_difference(&y, &expected) < 5e-6, "{config:?}");
            assert!(max_difference(&y, &plain) > 0.1);
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let unpadded = Conv2dConfig { kernel: 3, stride: 1, before: 0, after: 0 };
        let params = params(&[("weight", &[2, 3, 3, 3]), ("bias", &[2])]);
        let layer = Conv2d::new(3, 2, unpadded, &params).unwrap();
        assert!(layer.forward(&wave(&[1, 3, 2, 2], 0.1)).is_err());
        assert!(layer.forward(&wave(&[1, 4, 5, 5], 0.1)).is_err());
        let x = wave(&[1, 3, 5, 5], 0.1);
        let wrong = ConvExtras { residual: Some(&x), ..ConvExtras::default() };
        assert!(layer.forward_with(&x, &wrong).is_err());
    }
}
