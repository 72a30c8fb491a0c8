//! T2I-Adapters (Mou et al. 2023, "T2I-Adapter: Learning Adapters to Dig Out More Controllable Ability"): a small network that sees a
//! picture, and nothing else, and yields what a UNet adds to its blocks on the way down. Follows diffusers' `T2IAdapter`.

mod config;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor};

use self::config::BlockPlan;
use crate::nn::{unshuffle, Activation, Conv2d, Conv2dConfig, ConvExtras, Params};

pub use self::config::{AdapterType, T2iAdapterConfig};

/// A T2I-Adapter.
#[derive(Debug, Clone)]
pub struct T2iAdapter {
    conv_in: Option<Conv2d>,
    body: Vec<Block>,
    config: T2iAdapterConfig,
    dtype: DType,
}

impl T2iAdapter {
    /// The adapter in `params`. Call [`Params::finish`] afterwards.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(config: &T2iAdapterConfig, params: &Params) -> Result<Self> {
        let (light, adapter) = (config.adapter_type == AdapterType::LightAdapter, params.pp("adapter"));
        let first = || Conv2d::new(config.unshuffled(), config.channels[0], SAME, &adapter.pp("conv_in"));
        let (body, depth) = (adapter.pp("body"), config.num_res_blocks);
        let block = |(i, plan): (usize, &BlockPlan)| Block::new(plan, light, depth, &body.pp(i));
        Ok(T2iAdapter {
            conv_in: if light { None } else { Some(first()?) },
            body: config.blocks().iter().enumerate().map(block).collect::<Result<_>>()?,
            config: config.clone(),
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// What a UNet adds to its blocks when it is shown `picture` [1, 3, height, width], red, green and blue in 0..1: the results have
    /// the channels and sizes of [`T2iAdapterConfig::results`], sizes rounded up.
    ///
    /// # Errors
    /// When the picture's sides are no multiples of the downscale factor.
    pub fn forward(&self, picture: &Tensor) -> Result<Vec<Tensor>> {
        let picture = if self.config.in_channels == 1 { grey(picture)? } else { picture.clone() };
        let mut x = unshuffle(&picture.to_dtype(self.dtype)?, self.config.downscale_factor)?;
        if let Some(conv_in) = &self.conv_in {
            x = conv_in.forward(&x)?;
        }
        let mut results = Vec::with_capacity(self.body.len());
        for block in &self.body {
            x = block.forward(&x)?;
            results.push(x.clone());
        }
        Ok(results)
    }
}

const SAME: Conv2dConfig = Conv2dConfig::SAME_3X3;

/// Residual blocks behind what changes the size and the number of channels, and in front of what changes that once more.
#[derive(Debug, Clone)]
struct Block {
    halves: bool,
    in_conv: Option<Conv2d>,
    resnets: Vec<(Conv2d, Conv2d)>,
    out_conv: Option<Conv2d>,
}

impl Block {
    fn new(plan: &BlockPlan, light: bool, depth: usize, params: &Params) -> Result<Self> {
        let BlockPlan { inputs, outputs, halves } = *plan;
        let inner = if light { outputs / 4 } else { outputs };
        let point = |from, to, name: &str| Conv2d::new(from, to, Conv2dConfig::POINTWISE, &params.pp(name));
        let second = if light { SAME } else { Conv2dConfig::POINTWISE };
        let resnet = |i: usize| {
            let params = params.pp("resnets").pp(i);
            let first = Conv2d::new(inner, inner, SAME, &params.pp("block1"))?;
            Ok((first, Conv2d::new(inner, inner, second, &params.pp("block2"))?))
        };
        Ok(Block {
            halves,
            in_conv: if light || inputs != outputs { Some(point(inputs, inner, "in_conv")?) } else { None },
            resnets: (0..depth).map(resnet).collect::<Result<_>>()?,
            out_conv: if light { Some(point(inner, outputs, "out_conv")?) } else { None },
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = if self.halves { halved(x)? } else { x.clone() };
        if let Some(in_conv) = &self.in_conv {
            x = in_conv.forward(&x)?;
        }
        for (first, second) in &self.resnets {
            let inner = Activation::Relu.forward(&first.forward(&x)?)?;
            x = second.forward_with(&inner, &ConvExtras { residual: Some(&x), ..ConvExtras::default() })?;
        }
        self.out_conv.as_ref().map_or(Ok(x.clone()), |out_conv| out_conv.forward(&x))
    }
}

/// The mean of each two by two values of `x` [b, c, h, w], of those that there are at an odd end.
fn halved(x: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let even = |x: Tensor, axis: usize, side: usize| {
        // The mean of a value and itself is the value.
        if side.is_multiple_of(2) {
            Ok(x)
        } else {
            Tensor::cat(&[&x, &x.narrow(axis, side - 1, 1)?], axis)
        }
    };
    even(even(x.clone(), 2, height)?, 3, width)?.avg_pool2d(2)
}

/// The brightness of `picture` [b, 3, h, w] as Pillow weighs colours, [b, 1, h, w].
fn grey(picture: &Tensor) -> Result<Tensor> {
    let weights = Tensor::new(&[0.299f32, 0.587, 0.114], picture.device())?.reshape((1, 3, 1, 1))?;
    picture.broadcast_mul(&weights.to_dtype(picture.dtype())?)?.sum_keepdim(1)
}
