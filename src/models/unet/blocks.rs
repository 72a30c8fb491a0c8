//! The blocks of a UNet, on the way down, in the middle and on the way up. A ControlNet is made of the same.

use candle_core::{Result, Tensor};

use super::plan::{AttentionPlan, BlockPlan};
use super::transformer::{Transformer2d, TransformerConfig};
use crate::models::resnet::{ResnetBlock2d, ResnetConfig};
use crate::nn::{join, Downsample2d, KeysValues, Params, Upsample2d};

/// What all blocks of a network have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockConfig {
    pub resnet: ResnetConfig,
    pub transformer: TransformerConfig,
    pub downsample_padding: usize,
}

/// What conditions each block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition<'a> {
    /// The timestep's vector, [b, time_width].
    pub time: &'a Tensor,
    /// The text as the block's transformers attend to it.
    pub text: &'a BlockText,
}

/// Keys and values of the text for the transformers of a block, one after the other.
pub(crate) type BlockText = Vec<Vec<KeysValues>>;

/// The text [b, n, context_width] as `attentions` attend to it.
fn prepare(attentions: &[Transformer2d], text: &Tensor) -> Result<BlockText> {
    attentions.iter().map(|attention| attention.prepare(text)).collect()
}

/// A block's transformer number `i` on `x`, if there is one.
fn attend(attentions: &[Transformer2d], i: usize, x: Tensor, text: &BlockText) -> Result<Tensor> {
    match (attentions.get(i), text.get(i)) {
        (Some(attention), Some(text)) => attention.forward(&x, text),
        (None, _) => Ok(x),
        (Some(_), None) => candle_core::bail!("the text was prepared for another network"),
    }
}

/// A block on the way down (diffusers' `DownBlock2D` and `CrossAttnDownBlock2D`).
#[derive(Debug, Clone)]
pub(crate) struct DownBlock {
    resnets: Vec<ResnetBlock2d>,
    attentions: Vec<Transformer2d>,
    downsampler: Option<Downsample2d>,
}

impl DownBlock {
    pub(crate) fn new(plan: &BlockPlan, config: &BlockConfig, params: &Params) -> Result<Self> {
        let downsampler = plan
            .resample
            .then(|| Downsample2d::new(plan.outputs, config.downsample_padding, &params.pp("downsamplers.0")));
        Ok(DownBlock {
            resnets: resnets(plan, config, params)?,
            attentions: attentions(plan, config, params)?,
            downsampler: downsampler.transpose()?,
        })
    }

    /// The text [b, n, context_width] as this block attends to it.
    pub(crate) fn prepare(&self, text: &Tensor) -> Result<BlockText> {
        prepare(&self.attentions, text)
    }

    /// `x` to the block's output; what the way up takes as skip connections is added to `skips`. `feature` is added where T2I-Adapters
    /// were trained to: before the size is halved in a block with attention, and after that in one without.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        condition: Condition,
        feature: Option<&Tensor>,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        let add = |x: Tensor, here: bool| feature.filter(|_| here).map_or(Ok(x.clone()), |f| x.broadcast_add(f));
        let late = self.attentions.is_empty() && self.downsampler.is_some();
        let mut x = x.clone();
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(&x, Some(condition.time))?;
            x = attend(&self.attentions, i, x, condition.text)?;
            x = add(x, !late && i + 1 == self.resnets.len())?;
            skips.push(x.clone());
        }
        if let Some(downsampler) = &self.downsampler {
            x = add(downsampler.forward(&x)?, late)?;
            skips.push(x.clone());
        }
        Ok(x)
    }
}

/// The block in the middle (diffusers' `UNetMidBlock2DCrossAttn`, and `UNetMidBlock2D` without attention).
#[derive(Debug, Clone)]
pub(crate) struct MidBlock {
    resnets: Vec<ResnetBlock2d>,
    attentions: Vec<Transformer2d>,
}

impl MidBlock {
    pub(crate) fn new(plan: &BlockPlan, config: &BlockConfig, params: &Params) -> Result<Self> {
        Ok(MidBlock { resnets: resnets(plan, config, params)?, attentions: attentions(plan, config, params)? })
    }

    /// The text [b, n, context_width] as this block attends to it.
    pub(crate) fn prepare(&self, text: &Tensor) -> Result<BlockText> {
        prepare(&self.attentions, text)
    }

    pub(crate) fn forward(&self, x: &Tensor, condition: Condition) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(&x, Some(condition.time))?;
            x = attend(&self.attentions, i, x, condition.text)?;
        }
        Ok(x)
    }
}

/// A block on the way up (diffusers' `UpBlock2D` and `CrossAttnUpBlock2D`).
#[derive(Debug, Clone)]
pub(crate) struct UpBlock {
    resnets: Vec<ResnetBlock2d>,
    attentions: Vec<Transformer2d>,
    upsampler: Option<Upsample2d>,
}

impl UpBlock {
    pub(crate) fn new(plan: &BlockPlan, config: &BlockConfig, params: &Params) -> Result<Self> {
        let upsampler = plan.resample.then(|| Upsample2d::new(plan.outputs, &params.pp("upsamplers.0")));
        Ok(UpBlock {
            resnets: resnets(plan, config, params)?,
            attentions: attentions(plan, config, params)?,
            upsampler: upsampler.transpose()?,
        })
    }

    /// The text [b, n, context_width] as this block attends to it.
    pub(crate) fn prepare(&self, text: &Tensor) -> Result<BlockText> {
        prepare(&self.attentions, text)
    }

    /// `x` and the last of `skips`, which are taken from it, to the block's output. What is enlarged gets the size of the skip
    /// connection that comes next: sizes that could not be halved evenly come back so.
    pub(crate) fn forward(&self, x: &Tensor, condition: Condition, skips: &mut Vec<Tensor>) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, resnet) in self.resnets.iter().enumerate() {
            let Some(skip) = skips.pop() else { candle_core::bail!("the way up has more layers than the way down") };
            x = resnet.forward_owned(join(&x, &skip, 1)?, Some(condition.time))?;
            x = attend(&self.attentions, i, x, condition.text)?;
        }
        if let Some(upsampler) = &self.upsampler {
            let size = skips.last().map(|skip| skip.dims4().map(|(_, _, h, w)| (h, w))).transpose()?;
            x = upsampler.forward(&x, size)?;
        }
        Ok(x)
    }
}

fn resnets(plan: &BlockPlan, config: &BlockConfig, params: &Params) -> Result<Vec<ResnetBlock2d>> {
    let params = params.pp("resnets");
    let resnet =
        |(i, inputs): (usize, &usize)| ResnetBlock2d::new(*inputs, plan.outputs, &config.resnet, &params.pp(i));
    plan.inputs.iter().enumerate().map(resnet).collect()
}

fn attentions(plan: &BlockPlan, config: &BlockConfig, params: &Params) -> Result<Vec<Transformer2d>> {
    let Some(AttentionPlan { heads, context_width, depths }) = &plan.attention else { return Ok(Vec::new()) };
    let params = params.pp("attentions");
    let attention = |(i, depth): (usize, &usize)| {
        Transformer2d::new(plan.outputs, *heads, *context_width, *depth, &config.transformer, &params.pp(i))
    };
    depths.iter().enumerate().map(attention).collect()
}
