//! The decoder of TAESD (Ollin Boer Bohan 2023, <https://github.com/madebyollin/taesd>): a tiny autoencoder of the latents of Stable Diffusion,
//! SDXL, Stable Diffusion 3 or FLUX.1; diffusers' `AutoencoderTiny`. It takes latents as the denoiser has them, unscaled and unshifted.

use candle_core::{DType, Result, Tensor};

use crate::nn::{Activation, Conv2d, Conv2dConfig, ConvExtras, Params};

/// Blocks at each size, the smallest first. All published decoders have these.
const BLOCKS: [usize; 4] = [3, 3, 3, 1];
/// Latents are bent towards this many on either side.
const REACH: f64 = 3.0;

/// Latents to pictures.
#[derive(Debug, Clone)]
pub struct TinyDecoder {
    conv_in: Conv2d,
    stages: Vec<Stage>,
    dtype: DType,
}

/// Blocks at one size, and the convolution behind them: of the picture twice as large, or into colours.
#[derive(Debug, Clone)]
struct Stage {
    blocks: Vec<Block>,
    conv: Conv2d,
    enlarges: bool,
}

/// Three convolutions around which the input is added.
#[derive(Debug, Clone)]
struct Block([Conv2d; 3]);

impl TinyDecoder {
    /// Channels within, and channels of the latents; `None` for what is no such decoder.
    #[must_use]
    pub fn shape(params: &Params) -> Option<(usize, usize)> {
        match params.shape_of("decoder.layers.0.weight")?[..] {
            [width, latents, 3, 3] => Some((width, latents)),
            _ => None,
        }
    }

    /// The decoder in `params`, of so many channels, for latents of so many. Call [`Params::finish`] afterwards.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(latents: usize, width: usize, params: &Params) -> Result<Self> {
        let layers = params.pp("decoder.layers");
        let conv_in = Conv2d::new(latents, width, Conv2dConfig::SAME_3X3, &layers.pp(0))?;
        // After the first convolution and its activation.
        let mut next = 2;
        let mut stages = Vec::with_capacity(BLOCKS.len());
        for (stage, count) in BLOCKS.into_iter().enumerate() {
            let blocks =
                (next..next + count).map(|layer| Block::new(width, &layers.pp(layer))).collect::<Result<_>>()?;
            let enlarges = stage + 1 < BLOCKS.len();
            // The enlargement is a layer too.
            let layer = layers.pp(next + count + usize::from(enlarges));
            let conv = if enlarges {
                Conv2d::without_bias(width, width, Conv2dConfig::SAME_3X3, &layer)?
            } else {
                Conv2d::new(width, 3, Conv2dConfig::SAME_3X3, &layer)?
            };
            stages.push(Stage { blocks, conv, enlarges });
            next += count + 2;
        }
        Ok(TinyDecoder { conv_in, stages, dtype: params.precision().activation_dtype(params.device()) })
    }

    /// Pictures [b, 3, 8 h, 8 w] f32, about -1..1, of latents [b, channels, h, w].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let bent = latents.to_dtype(self.dtype)?.affine(1.0 / REACH, 0.0)?.tanh()?.affine(REACH, 0.0)?;
        let mut x = Activation::Relu.forward(&self.conv_in.forward(&bent)?)?;
        for stage in &self.stages {
            for block in &stage.blocks {
                x = block.forward(&x)?;
            }
            let (_, _, height, width) = x.dims4()?;
            let enlarge = stage.enlarges.then_some((2 * height, 2 * width));
            x = stage.conv.forward_with(&x, &ConvExtras { enlarge, ..ConvExtras::default() })?;
        }
        x.to_dtype(DType::F32)?.affine(2.0, -1.0)
    }
}

impl Block {
    fn new(width: usize, params: &Params) -> Result<Self> {
        let conv = |layer: usize| Conv2d::new(width, width, Conv2dConfig::SAME_3X3, &params.pp("conv").pp(layer));
        Ok(Block([conv(0)?, conv(2)?, conv(4)?]))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second, third] = &self.0;
        let y = Activation::Relu.forward(&first.forward(x)?)?;
        let y = Activation::Relu.forward(&second.forward(&y)?)?;
        Activation::Relu.forward(&(third.forward(&y)? + x)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::models::testing::{max_difference, Expected};
    use crate::nn::Precision;
    use crate::testing::fixture;
    use crate::weights;

    /// Measured: 2.4e-7.
    #[test]
    fn pictures_equal_the_reference() {
        let source = weights::open(&fixture("taesd.safetensors")).unwrap();
        let params = Params::new(source, Precision::F32, &Device::Cpu);
        assert_eq!(TinyDecoder::shape(&params), Some((8, 4)));
        let decoder = TinyDecoder::new(4, 8, &params).unwrap();
        assert_eq!(params.finish().unwrap(), ["decoded", "latents"], "the reference's values lie in the same file");
        let expected = Expected::open("taesd.safetensors");
        let difference = max_difference(&decoder.decode(&expected.get("latents")).unwrap(), &expected.get("decoded"));
        assert!(difference < 5e-7, "{difference}");
    }
}
