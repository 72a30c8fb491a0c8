//! Encoder and decoder (diffusers' `Encoder` and `Decoder`).

use candle_core::{Result, Tensor};

use super::config::VaeConfig;
use crate::models::resnet::{ResnetBlock2d, ResnetConfig};
use crate::models::strips::{Assembly, FeatureMap};
use crate::nn::{
    pixels_to_tokens, tokens_to_pixels_add, Activation, Conv2d, Conv2dConfig, Downsample2d, GroupMoments, GroupNorm,
    Linear, MultiHeadAttention, Params, Upsample2d,
};

/// Added to the variance in all norms of a VAE.
const EPS: f64 = 1e-6;

fn resnet_config(config: &VaeConfig) -> ResnetConfig {
    ResnetConfig { groups: config.norm_num_groups, eps: EPS, time_width: None }
}

/// Residual blocks, the first of which changes the number of channels.
fn resnets(
    layers: usize,
    inputs: usize,
    outputs: usize,
    config: &VaeConfig,
    params: &Params,
) -> Result<Vec<ResnetBlock2d>> {
    let params = params.pp("resnets");
    let resnet = |i| {
        let inputs = if i == 0 { inputs } else { outputs };
        ResnetBlock2d::new(inputs, outputs, &resnet_config(config), &params.pp(i))
    };
    (0..layers).map(resnet).collect()
}

/// Norm, activation, convolution: the end of both.
#[derive(Debug, Clone)]
struct Tail {
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Tail {
    fn new(inputs: usize, outputs: usize, config: &VaeConfig, params: &Params) -> Result<Self> {
        Ok(Tail {
            conv_norm_out: GroupNorm::new(config.norm_num_groups, inputs, EPS, &params.pp("conv_norm_out"))?,
            conv_out: Conv2d::new(inputs, outputs, Conv2dConfig::SAME_3X3, &params.pp("conv_out"))?,
        })
    }

    /// For an `x` that nothing else needs.
    fn forward_owned(&self, x: Tensor) -> Result<Tensor> {
        self.conv_out.forward(&self.conv_norm_out.forward_activated_in_place(x, Activation::Silu)?)
    }

    fn forward_in_strips(&self, x: &FeatureMap) -> Result<Tensor> {
        let (strips, mut moments) = (x.strips()?, GroupMoments::default());
        for strip in &strips {
            moments.add(self.conv_norm_out.moments(&x.rows(strip.clone())?)?);
        }
        let mut whole = Assembly::new(x.height()?);
        for strip in &strips {
            let (rows, place) = x.rows_around(strip, 1)?;
            let y = self.conv_norm_out.forward_activated_as(&rows, &moments, Activation::Silu)?;
            whole.put(strip.start, &self.conv_out.forward(&y)?, place)?;
        }
        whole.finish()
    }
}

/// Pictures to the moments of latents.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<(Vec<ResnetBlock2d>, Option<Downsample2d>)>,
    mid_block: MidBlock,
    tail: Tail,
}

impl Encoder {
    pub(super) fn new(config: &VaeConfig, params: &Params) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let block = |i: usize| {
            let params = params.pp("down_blocks").pp(i);
            let inputs = channels[i.saturating_sub(1)];
            let resnets = resnets(config.layers_per_block, inputs, channels[i], config, &params)?;
            let downsampler =
                (i + 1 < channels.len()).then(|| Downsample2d::new(channels[i], 0, &params.pp("downsamplers.0")));
            Ok((resnets, downsampler.transpose()?))
        };
        Ok(Encoder {
            conv_in: Conv2d::new(config.in_channels, first, Conv2dConfig::SAME_3X3, &params.pp("conv_in"))?,
            down_blocks: (0..channels.len()).map(block).collect::<Result<_>>()?,
            mid_block: MidBlock::new(last, config, &params.pp("mid_block"))?,
            tail: Tail::new(last, 2 * config.latent_channels, config, params)?,
        })
    }

    /// [b, in_channels, h, w] to [b, 2 latent_channels, h', w'], if wished in strips of so many values.
    pub(super) fn forward(&self, x: &Tensor, strips: Option<usize>) -> Result<Tensor> {
        let mut x = self.conv_in.forward(x)?;
        for (resnets, downsampler) in &self.down_blocks {
            for resnet in resnets {
                x = match strips {
                    Some(values) => resnet.forward_in_strips(&FeatureMap { x: &x, upsampler: None, values })?,
                    None => resnet.forward(&x, None)?,
                };
            }
            if let Some(downsampler) = downsampler {
                x = downsampler.forward(&x)?;
            }
        }
        self.tail.forward_owned(self.mid_block.forward(&x)?)
    }
}

/// Latents to pictures.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    conv_in: Conv2d,
    mid_block: MidBlock,
    up_blocks: Vec<(Vec<ResnetBlock2d>, Option<Upsample2d>)>,
    tail: Tail,
}

impl Decoder {
    pub(super) fn new(config: &VaeConfig, params: &Params) -> Result<Self> {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let block = |i: usize| {
            let params = params.pp("up_blocks").pp(i);
            let inputs = channels[i.saturating_sub(1)];
            let resnets = resnets(config.layers_per_block + 1, inputs, channels[i], config, &params)?;
            let upsampler = (i + 1 < channels.len()).then(|| Upsample2d::new(channels[i], &params.pp("upsamplers.0")));
            Ok((resnets, upsampler.transpose()?))
        };
        Ok(Decoder {
            conv_in: Conv2d::new(config.latent_channels, first, Conv2dConfig::SAME_3X3, &params.pp("conv_in"))?,
            mid_block: MidBlock::new(first, config, &params.pp("mid_block"))?,
            up_blocks: (0..channels.len()).map(block).collect::<Result<_>>()?,
            tail: Tail::new(last, config.out_channels, config, params)?,
        })
    }

    /// [b, latent_channels, h, w] to [b, out_channels, h', w'].
    pub(super) fn forward(&self, z: &Tensor) -> Result<Tensor> {
        let mut x = self.mid_block.forward(&self.conv_in.forward(z)?)?;
        for (resnets, upsampler) in &self.up_blocks {
            for resnet in resnets {
                x = resnet.forward_owned(x, None)?;
            }
            if let Some(upsampler) = upsampler {
                x = upsampler.forward(&x, None)?;
            }
        }
        self.tail.forward_owned(x)
    }

    /// As [`Decoder::forward`], with what is larger than the latents in strips of `values` values.
    pub(super) fn forward_in_strips(&self, z: &Tensor, values: usize) -> Result<Tensor> {
        let mut x = self.mid_block.forward(&self.conv_in.forward(z)?)?;
        let mut enlarge = None;
        for (resnets, upsampler) in &self.up_blocks {
            for resnet in resnets {
                x = resnet.forward_in_strips(&FeatureMap { x: &x, upsampler: enlarge.take(), values })?;
            }
            enlarge = upsampler.as_ref();
        }
        self.tail.forward_in_strips(&FeatureMap { x: &x, upsampler: enlarge, values })
    }
}

/// Two residual blocks with attention between them (diffusers' `UNetMidBlock2D`).
#[derive(Debug, Clone)]
struct MidBlock {
    first: ResnetBlock2d,
    attention: Option<AttentionBlock>,
    second: ResnetBlock2d,
}

impl MidBlock {
    fn new(channels: usize, config: &VaeConfig, params: &Params) -> Result<Self> {
        let resnet = |i| ResnetBlock2d::new(channels, channels, &resnet_config(config), &params.pp("resnets").pp(i));
        let attention = config
            .mid_block_add_attention
            .then(|| AttentionBlock::new(channels, config.norm_num_groups, &params.pp("attentions.0")));
        Ok(MidBlock { first: resnet(0)?, attention: attention.transpose()?, second: resnet(1)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.first.forward(x, None)?;
        let x = match &self.attention {
            Some(attention) => attention.forward(&x)?,
            None => x,
        };
        self.second.forward(&x, None)
    }
}

/// Self-attention of one head over all pixels, around a residual.
#[derive(Debug, Clone)]
struct AttentionBlock {
    group_norm: GroupNorm,
    attention: MultiHeadAttention,
}

impl AttentionBlock {
    /// Files from before diffusers 0.15 call the projections `query`, `key`, `value` and `proj_attn`.
    fn new(channels: usize, groups: usize, params: &Params) -> Result<Self> {
        let old = params.contains("proj_attn.weight");
        let names = if old { ["query", "key", "value", "proj_attn"] } else { ["to_q", "to_k", "to_v", "to_out.0"] };
        let [query, key, value, out] = names.map(|name| Linear::new(channels, channels, &params.pp(name)));
        Ok(AttentionBlock {
            group_norm: GroupNorm::new(groups, channels, EPS, &params.pp("group_norm"))?,
            attention: MultiHeadAttention::new([query?, key?, value?, out?], 1).method(params.attention()),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let tokens = pixels_to_tokens(&self.group_norm.forward(x)?)?;
        tokens_to_pixels_add(&self.attention.forward(&tokens, &tokens, None)?, x)
    }
}
