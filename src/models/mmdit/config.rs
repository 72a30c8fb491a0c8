//! The config of Stable Diffusion 3: `transformer/config.json` of diffusers' `SD3Transformer2DModel`.

use serde::Deserialize;

use crate::models::config::{contradictory, parse, unsupported};
use crate::Result;

const WHAT: &str = "Stable Diffusion 3 transformer";

/// The fields that decide the result, with diffusers' defaults.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct MmditConfig {
    /// Latents along a side of the pictures that the model was trained for.
    pub sample_size: usize,
    /// Latents along a side of a token.
    pub patch_size: usize,
    /// Channels of the latents.
    pub in_channels: usize,
    /// Channels of the output; those of the input when absent.
    pub out_channels: Option<usize>,
    /// Blocks.
    pub num_layers: usize,
    /// Width of a head.
    pub attention_head_dim: usize,
    /// Heads.
    pub num_attention_heads: usize,
    /// Width of the text's vectors.
    pub joint_attention_dim: usize,
    /// Width of the text's vectors inside.
    pub caption_projection_dim: usize,
    /// Width of the pooled text.
    pub pooled_projection_dim: usize,
    /// Tokens along a side of the table of places.
    pub pos_embed_max_size: usize,
    /// The blocks in which the picture also attends to itself alone: Stable Diffusion 3.5 medium.
    pub dual_attention_layers: Vec<usize>,
    /// The norm of queries and keys: `rms_norm` in Stable Diffusion 3.5, none in 3.
    pub qk_norm: Option<String>,
}

impl Default for MmditConfig {
    fn default() -> Self {
        MmditConfig {
            sample_size: 128,
            patch_size: 2,
            in_channels: 16,
            out_channels: Some(16),
            num_layers: 18,
            attention_head_dim: 64,
            num_attention_heads: 18,
            joint_attention_dim: 4096,
            caption_projection_dim: 1152,
            pooled_projection_dim: 2048,
            pos_embed_max_size: 96,
            dual_attention_layers: Vec::new(),
            qk_norm: None,
        }
    }
}

impl MmditConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is damaged, contradicts itself, or asks for something that the network does not compute: by the field's name.
    pub fn from_json(json: &str) -> Result<Self> {
        let config: Self = parse(WHAT, json)?;
        if let Some(norm) = config.qk_norm.as_ref().filter(|norm| *norm != "rms_norm") {
            return Err(unsupported(WHAT, "qk_norm", norm));
        }
        if config.patch_size == 0 || config.width() == 0 || config.pos_embed_max_size == 0 {
            return Err(contradictory(WHAT, "a size of zero"));
        }
        if config.caption_projection_dim != config.width() {
            let (text, width) = (config.caption_projection_dim, config.width());
            return Err(contradictory(WHAT, format!("a text of width {text} beside a picture of width {width}")));
        }
        Ok(config)
    }

    /// Width of a token's vector inside.
    #[must_use]
    pub fn width(&self) -> usize {
        self.attention_head_dim * self.num_attention_heads
    }

    /// The longest side of a picture's latents.
    #[must_use]
    pub fn largest_side(&self) -> usize {
        self.patch_size * self.pos_embed_max_size
    }
}
