//! The config of a UNet: `unet/config.json` of diffusers' `UNet2DConditionModel`.

use serde::Deserialize;
use serde_json::Value;

use crate::models::config::{parse, unsupported, OneOrMany};
use crate::Result;

pub(crate) const WHAT: &str = "UNet";

/// The fields that decide the result, with diffusers' defaults. [`UNetConfig::from_json`] refuses values of other fields that
/// would change the result.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct UNetConfig {
    /// The version of diffusers that wrote the file.
    #[serde(rename = "_diffusers_version")]
    pub diffusers_version: Option<String>,
    /// Side of the latents that the model was trained for: one number, or height and width.
    pub sample_size: Option<OneOrMany<usize>>,
    /// Channels of the input: 4, or 9 with mask and masked picture.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Whether the input is moved from 0..1 to -1..1 first.
    pub center_input_sample: bool,
    /// Cosines before sines in the timestep's embedding.
    pub flip_sin_to_cos: bool,
    /// Shift of the frequencies in the timestep's embedding.
    pub freq_shift: f64,
    /// Kinds of the blocks on the way down.
    pub down_block_types: Vec<String>,
    /// Kind of the block in the middle; none when absent.
    pub mid_block_type: Option<String>,
    /// Kinds of the blocks on the way up.
    pub up_block_types: Vec<String>,
    /// Channels of each block on the way down.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks in each block.
    pub layers_per_block: OneOrMany<usize>,
    /// Padding of the convolutions that halve the size.
    pub downsample_padding: usize,
    /// Groups of group norms.
    pub norm_num_groups: usize,
    /// Added to the variance in the norms of residual blocks and of the output.
    pub norm_eps: f64,
    /// Width of the text's vectors.
    pub cross_attention_dim: OneOrMany<usize>,
    /// Transformer blocks behind each residual block: one number, one a block, or one a layer of each block.
    pub transformer_layers_per_block: Depths,
    /// The same on the way up, in its order; the mirror image of the way down when absent.
    pub reverse_transformer_layers_per_block: Option<Vec<OneOrMany<usize>>>,
    /// The *number of heads*, whatever its name says: the name is a mistake that diffusers keeps.
    pub attention_head_dim: OneOrMany<usize>,
    /// Whether the projections around transformers are linear layers or 1x1 convolutions.
    pub use_linear_projection: bool,
    /// Scores of attention in f32 even when activations have half precision.
    pub upcast_attention: bool,
    /// "text_time" for SDXL's pooled text and sizes.
    pub addition_embed_type: Option<String>,
    /// Width of the embedding of each of SDXL's six sizes.
    pub addition_time_embed_dim: Option<usize>,
    /// Width of SDXL's pooled text and embedded sizes together.
    pub projection_class_embeddings_input_dim: Option<usize>,
    /// Width of the timestep's vector; four times the first block's channels when absent.
    pub time_embedding_dim: Option<usize>,
    /// Width of the guidance scale's embedding, for distilled models that take one.
    pub time_cond_proj_dim: Option<usize>,
    /// Side of the first convolution's kernel.
    pub conv_in_kernel: usize,
    /// Side of the last convolution's kernel.
    pub conv_out_kernel: usize,
}

/// Numbers of transformer blocks: one for the whole network, or for each block one number or one a layer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Depths {
    /// The same everywhere.
    All(usize),
    /// One entry a block.
    PerBlock(Vec<OneOrMany<usize>>),
}

impl Default for UNetConfig {
    fn default() -> Self {
        let types = |types: [&str; 4]| types.map(String::from).to_vec();
        UNetConfig {
            diffusers_version: None,
            sample_size: None,
            in_channels: 4,
            out_channels: 4,
            center_input_sample: false,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            down_block_types: types([CROSS_ATTN_DOWN, CROSS_ATTN_DOWN, CROSS_ATTN_DOWN, DOWN]),
            mid_block_type: Some(CROSS_ATTN_MID.into()),
            up_block_types: types([UP, CROSS_ATTN_UP, CROSS_ATTN_UP, CROSS_ATTN_UP]),
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: OneOrMany::One(2),
            downsample_padding: 1,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            cross_attention_dim: OneOrMany::One(1280),
            transformer_layers_per_block: Depths::All(1),
            reverse_transformer_layers_per_block: None,
            attention_head_dim: OneOrMany::One(8),
            use_linear_projection: false,
            upcast_attention: false,
            addition_embed_type: None,
            addition_time_embed_dim: None,
            projection_class_embeddings_input_dim: None,
            time_embedding_dim: None,
            time_cond_proj_dim: None,
            conv_in_kernel: 3,
            conv_out_kernel: 3,
        }
    }
}

pub(crate) const DOWN: &str = "DownBlock2D";
pub(crate) const CROSS_ATTN_DOWN: &str = "CrossAttnDownBlock2D";
pub(crate) const UP: &str = "UpBlock2D";
pub(crate) const CROSS_ATTN_UP: &str = "CrossAttnUpBlock2D";
pub(crate) const MID: &str = "UNetMidBlock2D";
pub(crate) const CROSS_ATTN_MID: &str = "UNetMidBlock2DCrossAttn";

/// Fields of diffusers that would change the result, with the values (besides null) that are computed here.
const FIXED: [(&str, &[&str]); 19] = [
    ("act_fn", &["silu", "swish"]),
    ("attention_type", &["default"]),
    ("class_embed_type", &[]),
    ("class_embeddings_concat", &["false"]),
    ("cross_attention_norm", &[]),
    ("dual_cross_attention", &["false"]),
    ("encoder_hid_dim", &[]),
    ("encoder_hid_dim_type", &[]),
    ("mid_block_only_cross_attention", &["false"]),
    ("mid_block_scale_factor", &["1", "1.0"]),
    ("num_attention_heads", &[]),
    ("num_class_embeds", &[]),
    ("only_cross_attention", &["false"]),
    ("resnet_out_scale_factor", &["1", "1.0"]),
    ("resnet_skip_time_act", &["false"]),
    ("resnet_time_scale_shift", &["default"]),
    ("time_embedding_act_fn", &[]),
    ("time_embedding_type", &["positional"]),
    ("timestep_post_act", &[]),
];

impl UNetConfig {
    /// Whether a diffusers older than this version wrote the file; false when it does not say.
    #[must_use]
    pub fn is_before(&self, major: u32, minor: u32) -> bool {
        let Some(version) = &self.diffusers_version else { return false };
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(a), Some(b)) => (a, b) < (major, minor),
            _ => false,
        }
    }

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is damaged, contradicts itself, or asks for something that the network does not compute: by the field's name.
    pub fn from_json(json: &str) -> Result<Self> {
        let fields: serde_json::Map<String, Value> = parse(WHAT, json)?;
        refuse_unsupported(WHAT, &fields)?;
        let config: Self = parse(WHAT, json)?;
        config.plan()?;
        Ok(config)
    }

    /// Width of the timestep's vector.
    #[must_use]
    pub fn time_width(&self) -> usize {
        self.time_embedding_dim.unwrap_or(4 * self.block_out_channels.first().copied().unwrap_or(0))
    }
}

/// Refuses fields of diffusers' configs whose values would change the result.
pub(crate) fn refuse_unsupported(what: &str, fields: &serde_json::Map<String, Value>) -> Result<()> {
    for (field, allowed) in FIXED {
        let Some(value) = fields.get(field) else { continue };
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        if !values.iter().all(|value| is_allowed(value, allowed)) {
            return Err(unsupported(what, field, value));
        }
    }
    Ok(())
}

fn is_allowed(value: &Value, allowed: &[&str]) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => allowed.contains(&text.as_str()),
        other => allowed.contains(&other.to_string().as_str()),
    }
}
