//! The transformer of FLUX.1 (Black Forest Labs 2024), as diffusers' `FluxTransformer2DModel`.

mod blocks;
mod config;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor};

use self::blocks::{DoubleBlock, SingleBlock};
use super::dit::{Conditions, Continuous, TimeTextEmbeddings};
use crate::nn::{Linear, Params, Rotary};

pub use self::config::FluxConfig;

/// The base of the frequencies by which places turn.
const THETA: f64 = 10_000.0;

/// What the network is asked.
pub struct FluxInput<'a> {
    /// Latents [b, channels, h, w], whose sides are even, and behind them the channels of what some models see beside them: the masked
    /// picture's latents and the mask's pixels, or a control map's latents.
    pub sample: &'a Tensor,
    /// Latents [b, channels, h', w'] of a picture that is seen and not painted, whose sides are even: FLUX.1 Kontext's.
    pub reference: Option<&'a Tensor>,
    /// The noise level, 0 to 1000.
    pub timestep: f64,
    /// States of T5, [b, tokens, `joint_attention_dim`].
    pub text: &'a Tensor,
    /// The pooled vector of CLIP, [b, `pooled_projection_dim`].
    pub pooled: &'a Tensor,
    /// The guidance scale, for models with `guidance_embeds` and for none else.
    pub guidance: Option<f64>,
}

/// The FLUX transformer.
#[derive(Debug, Clone)]
pub struct FluxTransformer {
    x_embedder: Linear,
    context_embedder: Linear,
    time_text_embed: TimeTextEmbeddings,
    transformer_blocks: Vec<DoubleBlock>,
    single_transformer_blocks: Vec<SingleBlock>,
    norm_out: Continuous,
    proj_out: Linear,
    config: FluxConfig,
    dtype: DType,
}

impl FluxTransformer {
    /// The network in `params`. Call [`Params::finish`] afterwards.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(config: &FluxConfig, params: &Params) -> Result<Self> {
        let width = config.width();
        let blocks = params.pp("transformer_blocks");
        let single_blocks = params.pp("single_transformer_blocks");
        Ok(FluxTransformer {
            x_embedder: Linear::new(config.in_channels, width, &params.pp("x_embedder"))?,
            context_embedder: Linear::new(config.joint_attention_dim, width, &params.pp("context_embedder"))?,
            time_text_embed: TimeTextEmbeddings::new(
                config.pooled_projection_dim,
                width,
                config.guidance_embeds,
                &params.pp("time_text_embed"),
            )?,
            transformer_blocks: (0..config.num_layers)
                .map(|i| DoubleBlock::new(config, &blocks.pp(i)))
                .collect::<Result<_>>()?,
            single_transformer_blocks: (0..config.num_single_layers)
                .map(|i| SingleBlock::new(config, &single_blocks.pp(i)))
                .collect::<Result<_>>()?,
            norm_out: Continuous::new(width, &params.pp("norm_out"))?,
            proj_out: Linear::new(width, config.outputs(), &params.pp("proj_out"))?,
            config: config.clone(),
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// The config that the network was built from.
    #[must_use]
    pub fn config(&self) -> &FluxConfig {
        &self.config
    }

    /// The velocity from the picture to the noise, f32 of the shape of the latents.
    ///
    /// # Errors
    /// When the shapes do not fit, or guidance is missing or not wanted.
    pub fn forward(&self, input: &FluxInput<'_>) -> Result<Tensor> {
        let [rows, columns] = grid(input.sample)?;
        let tokens = input.text.dim(1)?;
        // The text has no places: all of it stands at the origin.
        let mut places = vec![[0; 3]; tokens];
        let mut patches = Vec::new();
        for (index, latents) in std::iter::once(input.sample).chain(input.reference).enumerate() {
            let [rows, columns] = grid(latents)?;
            places.extend((0..rows * columns).map(|i| [index, i / columns, i % columns]));
            patches.push(pack(latents)?);
        }
        let rotary = Rotary::new(&places, self.config.axes_dims_rope, THETA, input.sample.device())?;
        // The pipeline hands on a thousandth in f32, and the network takes it times 1000.
        let thousandth = input.timestep as f32 / 1000.0;
        let time = self.time_text_embed.forward(&Conditions {
            timestep: f64::from(thousandth * 1000.0),
            guidance: input.guidance.map(|guidance| guidance * 1000.0),
            pooled: input.pooled,
        })?;
        let mut x = self.x_embedder.forward(&Tensor::cat(&patches, 1)?.to_dtype(self.dtype)?)?;
        let mut text = self.context_embedder.forward(&input.text.to_dtype(self.dtype)?)?;
        for block in &self.transformer_blocks {
            (text, x) = block.forward((&text, &x), &time, &rotary)?;
        }
        let mut x = Tensor::cat(&[text, x], 1)?;
        for block in &self.single_transformer_blocks {
            x = block.forward(&x, &time, &rotary)?;
        }
        let x = self.norm_out.forward(&x.narrow(1, tokens, rows * columns)?, &time)?;
        unpack(&self.proj_out.forward(&x)?.to_dtype(DType::F32)?, rows, columns)
    }
}

/// Rows and columns of the tokens of latents [b, c, h, w].
fn grid(latents: &Tensor) -> Result<[usize; 2]> {
    let (_, _, height, width) = latents.dims4()?;
    Ok([height / 2, width / 2])
}

/// Latents [b, c, 2 rows, 2 columns] as tokens of two by two: [b, rows columns, 4 c].
fn pack(latents: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = latents.dims4()?;
    if height % 2 + width % 2 > 0 {
        candle_core::bail!("latents of {height}x{width} cannot be packed in twos");
    }
    latents.reshape(&[batch, channels, height / 2, 2, width / 2, 2][..])?.permute(vec![0, 2, 4, 1, 3, 5])?.reshape((
        batch,
        height / 2 * (width / 2),
        4 * channels,
    ))
}

/// The reverse of [`pack`].
fn unpack(tokens: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
    let (batch, _, values) = tokens.dims3()?;
    tokens.reshape(&[batch, rows, columns, values / 4, 2, 2][..])?.permute(vec![0, 3, 1, 4, 2, 5])?.reshape((
        batch,
        values / 4,
        2 * rows,
        2 * columns,
    ))
}
