//! The config of a VAE: `vae/config.json` of diffusers' `AutoencoderKL`.

use serde::Deserialize;

use crate::models::config::{contradictory, parse, unsupported};
use crate::Result;

const WHAT: &str = "VAE";

/// The fields that decide the result, with diffusers' defaults. Scale and shift of the latents are for the caller: the network
/// takes and gives latents as they are.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Channels of a picture.
    pub in_channels: usize,
    /// Channels of a decoded picture.
    pub out_channels: usize,
    /// Channels of each block of the encoder; the decoder's are the same in reverse.
    pub block_out_channels: Vec<usize>,
    /// Kinds of the encoder's blocks.
    pub down_block_types: Vec<String>,
    /// Kinds of the decoder's blocks.
    pub up_block_types: Vec<String>,
    /// Residual blocks in each block of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of group norms.
    pub norm_num_groups: usize,
    /// Activation.
    pub act_fn: String,
    /// What latents are multiplied by for the denoiser, and divided by before decoding.
    pub scaling_factor: f64,
    /// What is subtracted from latents before they are scaled.
    pub shift_factor: Option<f64>,
    /// Means of the latents' channels, for models that normalise by them.
    pub latents_mean: Option<Vec<f64>>,
    /// Deviations of the latents' channels, for models that normalise by them.
    pub latents_std: Option<Vec<f64>>,
    /// Whether half precision overflows: such a VAE is to be computed in f32 or bf16.
    pub force_upcast: bool,
    /// Whether the encoder ends with a 1x1 convolution of mean and variance.
    pub use_quant_conv: bool,
    /// Whether the decoder begins with a 1x1 convolution.
    pub use_post_quant_conv: bool,
    /// Whether the blocks in the middle have attention.
    pub mid_block_add_attention: bool,
}

impl Default for VaeConfig {
    fn default() -> Self {
        VaeConfig {
            in_channels: 3,
            out_channels: 3,
            block_out_channels: vec![64],
            down_block_types: vec![DOWN.into()],
            up_block_types: vec![UP.into()],
            layers_per_block: 1,
            latent_channels: 4,
            norm_num_groups: 32,
            act_fn: "silu".into(),
            scaling_factor: 0.18215,
            shift_factor: None,
            latents_mean: None,
            latents_std: None,
            force_upcast: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

const DOWN: &str = "DownEncoderBlock2D";
const UP: &str = "UpDecoderBlock2D";

impl VaeConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is damaged, contradicts itself, or asks for something that the network does not compute: by the field's name.
    pub fn from_json(json: &str) -> Result<Self> {
        let config: Self = parse(WHAT, json)?;
        if config.act_fn != "silu" && config.act_fn != "swish" {
            return Err(unsupported(WHAT, "act_fn", &config.act_fn));
        }
        let kinds =
            [("down_block_types", &config.down_block_types, DOWN), ("up_block_types", &config.up_block_types, UP)];
        for (field, kinds, known) in kinds {
            if let Some(unknown) = kinds.iter().find(|kind| *kind != known) {
                return Err(unsupported(WHAT, field, unknown));
            }
            if kinds.is_empty() || kinds.len() != config.block_out_channels.len() {
                return Err(contradictory(
                    WHAT,
                    format!("`{field}` is not one value for each of `block_out_channels`"),
                ));
            }
        }
        if !config.scaling_factor.is_normal() {
            return Err(contradictory(WHAT, format!("a `scaling_factor` of {}", config.scaling_factor)));
        }
        let groups = config.norm_num_groups;
        if let Some(odd) =
            config.block_out_channels.iter().find(|c| **c == 0 || groups == 0 || !c.is_multiple_of(groups))
        {
            return Err(contradictory(WHAT, format!("{odd} channels in {groups} groups")));
        }
        Ok(config)
    }

    /// Pixels of a picture for one pixel of latents, along each side.
    #[must_use]
    pub fn downscale(&self) -> usize {
        1 << self.block_out_channels.len().saturating_sub(1)
    }
}
