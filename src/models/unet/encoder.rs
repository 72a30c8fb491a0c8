//! [`Encoder`]: a UNet's way down and its middle. A ControlNet is one, with a picture added behind the first convolution.

use candle_core::{DType, Result, Tensor};

use super::blocks::{BlockText, Condition, DownBlock, MidBlock};
use super::config::UNetConfig;
use super::embeddings::TimeEmbeddings;
use super::plan::EncoderPlan;
use super::UNetInput;
use crate::nn::{Conv2d, Conv2dConfig, Params};

/// A UNet's first convolution, its way down and its middle, with the embedding of the timestep.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    time: TimeEmbeddings,
    conv_in: Conv2d,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<MidBlock>,
    center_input_sample: bool,
    dtype: DType,
}

/// A text as the attentions of one encoder see it.
#[derive(Debug, Clone)]
pub(crate) struct EncoderText {
    pub down: Vec<BlockText>,
    pub mid: BlockText,
}

/// What an encoder makes of its input.
pub(crate) struct Encoded {
    /// The middle's output.
    pub output: Tensor,
    /// The skip connections, the first convolution's output first.
    pub skips: Vec<Tensor>,
}

impl Encoder {
    pub(crate) fn new(config: &UNetConfig, plan: &EncoderPlan, params: &Params) -> Result<Self> {
        let (block, first, down) = (config.block_config(), config.block_out_channels[0], params.pp("down_blocks"));
        let kernel = Conv2dConfig::same(config.conv_in_kernel);
        let down = plan.down.iter().enumerate().map(|(i, plan)| DownBlock::new(plan, &block, &down.pp(i)));
        let mid = plan.mid.as_ref().map(|plan| MidBlock::new(plan, &block, &params.pp("mid_block")));
        Ok(Encoder {
            time: TimeEmbeddings::new(config, params)?,
            conv_in: Conv2d::new(config.in_channels, first, kernel, &params.pp("conv_in"))?,
            down_blocks: down.collect::<Result<_>>()?,
            mid_block: mid.transpose()?,
            center_input_sample: config.center_input_sample,
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// Keys and values of a text [b, n, context_width] in the type of activations.
    pub(crate) fn prepare(&self, text: &Tensor) -> Result<EncoderText> {
        Ok(EncoderText {
            down: self.down_blocks.iter().map(|block| block.prepare(text)).collect::<Result<_>>()?,
            mid: self.mid_block.as_ref().map(|block| block.prepare(text)).transpose()?.unwrap_or_default(),
        })
    }

    /// The timestep's vector, [b or 1, time_width], and the first convolution's output.
    pub(crate) fn enter(&self, input: &UNetInput) -> Result<(Tensor, Tensor)> {
        let time = self.time.forward(input)?;
        let sample = if self.center_input_sample { input.sample.affine(2.0, -1.0)? } else { input.sample.clone() };
        Ok((time, self.conv_in.forward(&sample.to_dtype(self.dtype)?)?))
    }

    /// From the output of the first convolution to that of the middle, with what is added to blocks ([`UNetInput::features`]);
    /// `observe` sees each block's output, by the block's name and number.
    pub(crate) fn descend(
        &self,
        mut x: Tensor,
        time: &Tensor,
        (text, features): (&EncoderText, &[Tensor]),
        observe: &mut dyn FnMut(&'static str, usize, &Tensor),
    ) -> Result<Encoded> {
        if text.down.len() != self.down_blocks.len() {
            candle_core::bail!("the text was prepared for another network");
        }
        observe("conv_in", 0, &x);
        let mut skips = vec![x.clone()];
        for (i, (block, text)) in self.down_blocks.iter().zip(&text.down).enumerate() {
            x = block.forward(&x, Condition { time, text }, features.get(i), &mut skips)?;
            observe("down_blocks", i, &x);
        }
        if let Some(mid) = &self.mid_block {
            x = mid.forward(&x, Condition { time, text: &text.mid })?;
            if let Some(feature) = features.get(self.down_blocks.len()) {
                x = x.broadcast_add(feature)?;
            }
            observe("mid_block", 0, &x);
        }
        Ok(Encoded { output: x, skips })
    }
}
