//! The config of a ControlNet: `config.json` of diffusers' `ControlNetModel` and `ControlNetUnionModel`.

use serde::Deserialize;
use serde_json::Value;

use crate::models::config::{contradictory, parse, unsupported};
use crate::models::unet::config::refuse_unsupported;
use crate::models::unet::UNetConfig;
use crate::nn::ParamSource;
use crate::Result;

/// What messages call the network.
pub(super) const WHAT: &str = "ControlNet";

/// The classes of diffusers that it can be.
const CLASS: &str = "ControlNetModel";
const UNION_CLASS: &str = "ControlNetUnionModel";

/// What `ControlNetUnionModel` has where its config says nothing.
const UNION_TYPES: usize = 6;
const UNION_CHANNELS: [usize; 4] = [48, 96, 192, 384];

/// The fields that decide the result, with diffusers' defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlNetConfig {
    /// The half of a UNet that it is; what a UNet has on the way up is without meaning here.
    pub encoder: UNetConfig,
    own: Own,
}

/// What a ControlNet's config has beyond a UNet's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
struct Own {
    conditioning_channels: usize,
    conditioning_embedding_out_channels: Option<Vec<usize>>,
    controlnet_conditioning_channel_order: Order,
    global_pool_conditions: bool,
    num_control_type: Option<usize>,
    num_trans_channel: Option<usize>,
    num_proj_channel: Option<usize>,
    num_trans_head: usize,
    num_trans_layer: usize,
}

/// What a network for several kinds of maps has beyond one for a single kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnionConfig {
    /// Kinds of maps.
    pub types: usize,
    /// Width of the embedding of each of them.
    pub type_width: usize,
    /// Heads of its attention.
    pub heads: usize,
    /// Blocks of attention.
    pub layers: usize,
}

/// The order of the control picture's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Rgb,
    Bgr,
}

impl Default for Own {
    fn default() -> Self {
        Own {
            conditioning_channels: 3,
            conditioning_embedding_out_channels: None,
            controlnet_conditioning_channel_order: Order::Rgb,
            global_pool_conditions: false,
            num_control_type: None,
            num_trans_channel: None,
            num_proj_channel: None,
            num_trans_head: 8,
            num_trans_layer: 1,
        }
    }
}

impl ControlNetConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is damaged, contradicts itself, or asks for something that the network does not compute: by the field's name.
    pub fn from_json(json: &str) -> Result<Self> {
        let fields: serde_json::Map<String, Value> = parse(WHAT, json)?;
        refuse_unsupported(WHAT, &fields)?;
        let class = fields.get("_class_name");
        if let Some(class) = class.filter(|class| *class != CLASS && *class != UNION_CLASS) {
            return Err(unsupported(WHAT, "_class_name", class));
        }
        let mut config = ControlNetConfig { encoder: parse(WHAT, json)?, own: parse(WHAT, json)? };
        if class.is_some_and(|class| class == UNION_CLASS) {
            config.own.num_control_type.get_or_insert(UNION_TYPES);
        }
        config.encoder.encoder_plan(WHAT)?;
        if config.own.conditioning_channels != 3 {
            return Err(unsupported(WHAT, "conditioning_channels", config.own.conditioning_channels));
        }
        if config.picture_channels().is_empty() {
            return Err(contradictory(WHAT, "`conditioning_embedding_out_channels` is empty"));
        }
        config.check_union()?;
        Ok(config)
    }

    /// The same for a network with these tensors: they tell for how many kinds of maps it is. The config of the published union has
    /// the class of other ControlNets.
    ///
    /// # Errors
    /// As [`ControlNetConfig::from_json`].
    pub fn of_tensors(mut self, tensors: &dyn ParamSource) -> Result<Self> {
        if let Some((shape, _)) = tensors.info("task_embedding") {
            self.own.num_control_type = shape.dims().first().copied();
            self.check_union()?;
        }
        Ok(self)
    }

    /// For how many kinds of maps it is, when it wants to be told which.
    #[must_use]
    pub fn control_types(&self) -> Option<usize> {
        self.own.num_control_type
    }

    /// What it has if it is for several kinds of maps.
    pub(super) fn union(&self) -> Option<UnionConfig> {
        let type_width = self.encoder.addition_time_embed_dim?;
        let (heads, layers) = (self.own.num_trans_head, self.own.num_trans_layer);
        Some(UnionConfig { types: self.own.num_control_type?, type_width, heads, layers })
    }

    fn check_union(&self) -> Result<()> {
        let Some(types) = self.own.num_control_type else { return Ok(()) };
        let first = self.encoder.block_out_channels[0];
        let widths =
            [("num_trans_channel", self.own.num_trans_channel), ("num_proj_channel", self.own.num_proj_channel)];
        let reason = match widths.iter().find(|(_, width)| width.is_some_and(|width| width != first)) {
            Some((field, _)) => format!("`{field}` is not the width of the first block, {first}"),
            None if types == 0 => "`num_control_type` is 0".into(),
            None if self.own.num_trans_head == 0 || !first.is_multiple_of(self.own.num_trans_head) => {
                format!("{first} channels with {} heads", self.own.num_trans_head)
            }
            None if self.encoder.addition_time_embed_dim.is_none() => "it has no `addition_time_embed_dim`".into(),
            None => return Ok(()),
        };
        Err(contradictory(WHAT, reason))
    }

    /// Channels of the layers that the control picture goes through; between two of them its size is halved.
    #[must_use]
    pub fn picture_channels(&self) -> &[usize] {
        const CHANNELS: [usize; 4] = [16, 32, 96, 256];
        match &self.own.conditioning_embedding_out_channels {
            Some(channels) => channels,
            None if self.own.num_control_type.is_some() => &UNION_CHANNELS,
            None => &CHANNELS,
        }
    }

    /// How many pixels of the control picture lie along a side of one latent.
    #[must_use]
    pub fn scale_factor(&self) -> usize {
        1 << (self.picture_channels().len() - 1).min(16)
    }

    /// Whether the control picture's channels are taken in the order blue, green, red.
    pub(super) fn takes_bgr(&self) -> bool {
        self.own.controlnet_conditioning_channel_order == Order::Bgr
    }

    /// Whether residuals are one value a channel: what is in the picture counts, and not where. Such a network is shown to the
    /// prediction with the prompt alone.
    #[must_use]
    pub fn pools(&self) -> bool {
        self.own.global_pool_conditions
    }
}
