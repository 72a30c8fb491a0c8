//! Line art: the generator of "informative drawings" (Chan et al. 2022), `sk_model.pth` and `sk_model2.pth` (coarse).
//!
//! Followed: lllyasviel's `Generator` with three residual blocks.

use candle_core::{Result, Tensor, D};

use super::conv;
use crate::nn::{Activation, Conv2d, Conv2dConfig, ConvTranspose2d, Params};

/// Residual blocks of the published networks.
const RESIDUAL_BLOCKS: usize = 3;
/// A convolution of a picture that was padded before.
const fn unpadded(kernel: usize) -> Conv2dConfig {
    Conv2dConfig { kernel, stride: 1, before: 0, after: 0 }
}

/// The network.
#[derive(Debug, Clone)]
pub struct Lineart {
    first: Conv2d,
    down: Vec<Conv2d>,
    residual: Vec<[Conv2d; 2]>,
    up: Vec<ConvTranspose2d>,
    last: Conv2d,
}

impl Lineart {
    /// The network at `params`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(params: &Params) -> Result<Self> {
        let halving = Conv2dConfig { kernel: 3, stride: 2, before: 1, after: 1 };
        let (first, narrow) = conv(3, 64, unpadded(7), &params.pp("model0").pp(1))?;
        let (down_1, middle) = conv(narrow, 128, halving, &params.pp("model1").pp(0))?;
        let (down_2, wide) = conv(middle, 256, halving, &params.pp("model1").pp(3))?;
        let block = |number| {
            let params = params.pp("model2").pp(number).pp("conv_block");
            let conv = |name| Conv2d::new(wide, wide, unpadded(3), &params.pp(name));
            Ok([conv(1)?, conv(5)?])
        };
        let up = |sides, name| ConvTranspose2d::new(sides, [3, 2, 1, 1], &params.pp("model3").pp(name));
        Ok(Lineart {
            first,
            down: vec![down_1, down_2],
            residual: (0..RESIDUAL_BLOCKS).map(block).collect::<Result<_>>()?,
            up: vec![up([wide, middle], 0)?, up([middle, narrow], 3)?],
            last: Conv2d::new(narrow, 1, unpadded(7), &params.pp("model4").pp(1))?,
        })
    }

    /// A picture [1, 3, h, w] of RGB values 0..1, sides multiples of 4, to [1, 1, h, w]: 1 for paper, 0 for ink.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        let relu = |x: Tensor| Activation::Relu.forward(&x);
        let mut x = relu(instance_norm(&self.first.forward(&reflected(picture, 3)?)?)?)?;
        for conv in &self.down {
            x = relu(instance_norm(&conv.forward(&x)?)?)?;
        }
        for [conv1, conv2] in &self.residual {
            let y = relu(instance_norm(&conv1.forward(&reflected(&x, 1)?)?)?)?;
            x = (x + instance_norm(&conv2.forward(&reflected(&y, 1)?)?)?)?;
        }
        for conv in &self.up {
            x = relu(instance_norm(&conv.forward(&x)?)?)?;
        }
        candle_nn::ops::sigmoid(&self.last.forward(&reflected(&x, 3)?)?)
    }
}

/// Each channel with mean 0 and variance 1 (Ulyanov et al. 2016), without weights.
fn instance_norm(x: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let rows = x.reshape((batch, channels, height * width))?;
    let rows = rows.broadcast_sub(&rows.mean_keepdim(D::Minus1)?)?;
    let variance = rows.sqr()?.mean_keepdim(D::Minus1)?;
    rows.broadcast_div(&(variance + 1e-5)?.sqrt()?)?.reshape((batch, channels, height, width))
}

/// With so many pixels more on each side, mirrored at the outermost one.
fn reflected(x: &Tensor, pixels: usize) -> Result<Tensor> {
    let mut x = x.clone();
    for dim in [2, 3] {
        let side = x.dim(dim)?;
        if side <= pixels {
            candle_core::bail!("a side of {side} pixels cannot be mirrored by {pixels}");
        }
        let places = (1..=pixels).rev().chain(0..side).chain((0..pixels).map(|i| side - 2 - i));
        let places: Vec<u32> = places.map(|place| place as u32).collect();
        x = x.index_select(&Tensor::new(places, x.device())?, dim)?;
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing::{close, expected_control, params_control, photo};

    #[test]
    fn lines_are_the_references() {
        let params = params_control("lineart/sk_model.pth", None);
        let lineart = Lineart::new(&params).unwrap();
        assert!(params.finish().unwrap().is_empty());
        let lines = lineart.forward(&(photo() / 255.0).unwrap()).unwrap();
        close(&lines, &expected_control("lineart/outputs.safetensors", "sk_model"), 1e-3);
    }
}
