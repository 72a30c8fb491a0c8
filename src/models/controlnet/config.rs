//! The config of a ControlNet: `config.json` of diffusers' `ControlNetModel`.

use serde::Deserialize;
use serde_json::Value;

use crate::models::config::{contradictory, parse, unsupported};
use crate::models::unet::config::refuse_unsupported;
use crate::models::unet::UNetConfig;
use crate::Result;

/// What messages call the network.
pub(super) const WHAT: &str = "ControlNet";

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
    conditioning_embedding_out_channels: Vec<usize>,
    controlnet_conditioning_channel_order: Order,
    global_pool_conditions: bool,
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
            conditioning_embedding_out_channels: vec![16, 32, 96, 256],
            controlnet_conditioning_channel_order: Order::Rgb,
            global_pool_conditions: false,
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
        if let Some(class) = fields.get("_class_name").filter(|class| *class != "ControlNetModel") {
            return Err(unsupported(WHAT, "_class_name", class));
        }
        let config = ControlNetConfig { encoder: parse(WHAT, json)?, own: parse(WHAT, json)? };
        config.encoder.encoder_plan(WHAT)?;
        if config.own.conditioning_channels != 3 {
            return Err(unsupported(WHAT, "conditioning_channels", config.own.conditioning_channels));
        }
        if config.own.conditioning_embedding_out_channels.is_empty() {
            return Err(contradictory(WHAT, "`conditioning_embedding_out_channels` is empty"));
        }
        Ok(config)
    }

    /// Channels of the layers that the control picture goes through; between two of them its size is halved.
    #[must_use]
    pub fn picture_channels(&self) -> &[usize] {
        &self.own.conditioning_embedding_out_channels
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
