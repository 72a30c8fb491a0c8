//! The config of FLUX: `transformer/config.json` of diffusers' `FluxTransformer2DModel`.

use serde::Deserialize;

use crate::models::config::{contradictory, parse, unsupported};
use crate::Result;

const WHAT: &str = "FLUX transformer";

/// The fields that decide the result, with diffusers' defaults: those of the published models.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct FluxConfig {
    /// Latents to a side of a token; the packing of latents in twos is not counted.
    pub patch_size: usize,
    /// Values of a token: four times the channels of the latents, and of what some models see beside them.
    pub in_channels: usize,
    /// Values of a token of the output; those of the input when absent.
    pub out_channels: Option<usize>,
    /// Blocks with a stream for the text and one for the picture.
    pub num_layers: usize,
    /// Blocks with one stream.
    pub num_single_layers: usize,
    /// Width of a head.
    pub attention_head_dim: usize,
    /// Heads.
    pub num_attention_heads: usize,
    /// Width of the text's vectors.
    pub joint_attention_dim: usize,
    /// Width of the pooled text.
    pub pooled_projection_dim: usize,
    /// Whether the guidance scale is an input: FLUX.1 dev.
    pub guidance_embeds: bool,
    /// How many values of a head turn with each axis: none, rows, columns.
    pub axes_dims_rope: [usize; 3],
}

impl Default for FluxConfig {
    fn default() -> Self {
        FluxConfig {
            patch_size: 1,
            in_channels: 64,
            out_channels: None,
            num_layers: 19,
            num_single_layers: 38,
            attention_head_dim: 128,
            num_attention_heads: 24,
            joint_attention_dim: 4096,
            pooled_projection_dim: 768,
            guidance_embeds: false,
            axes_dims_rope: [16, 56, 56],
        }
    }
}

impl FluxConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is damaged, contradicts itself, or asks for something that the network does not compute: by the field's name.
    pub fn from_json(json: &str) -> Result<Self> {
        let config: Self = parse(WHAT, json)?;
        if config.patch_size != 1 {
            return Err(unsupported(WHAT, "patch_size", config.patch_size));
        }
        let (axes, head) = (config.axes_dims_rope, config.attention_head_dim);
        if axes.iter().sum::<usize>() != head || axes.iter().any(|axis| axis % 2 == 1) || config.width() == 0 {
            return Err(contradictory(WHAT, format!("`axes_dims_rope` of {axes:?} for heads of {head}")));
        }
        Ok(config)
    }

    /// Values of a token of the output: four times the channels of the latents.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.out_channels.unwrap_or(self.in_channels)
    }

    /// Width of a token's vector inside.
    #[must_use]
    pub fn width(&self) -> usize {
        self.attention_head_dim * self.num_attention_heads
    }
}
