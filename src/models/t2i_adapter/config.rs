//! The config of a T2I-Adapter: `config.json` of diffusers' `T2IAdapter`.

use serde::Deserialize;
use serde_json::Value;

use crate::models::config::{contradictory, parse, unsupported};
use crate::Result;

/// What messages call the network.
pub(super) const WHAT: &str = "T2I-Adapter";

/// The fields that decide the result, with diffusers' defaults.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct T2iAdapterConfig {
    /// Channels of the picture that it is shown: 3, or 1 for grey ones.
    pub in_channels: usize,
    /// Channels of what each of its blocks gives.
    pub channels: Vec<usize>,
    /// Residual blocks in each block.
    pub num_res_blocks: usize,
    /// Pixels of the picture along a side of one value of the first block.
    pub downscale_factor: usize,
    /// How it is built.
    pub adapter_type: AdapterType,
}

/// How an adapter is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterType {
    /// A block for each level of a UNet, each half as large as the one before.
    FullAdapter,
    /// Four blocks for SDXL, of which the third halves the size.
    FullAdapterXl,
    /// As the first, with narrow blocks between projections.
    LightAdapter,
}

impl Default for T2iAdapterConfig {
    fn default() -> Self {
        T2iAdapterConfig {
            in_channels: 3,
            channels: vec![320, 640, 1280, 1280],
            num_res_blocks: 2,
            downscale_factor: 8,
            adapter_type: AdapterType::FullAdapter,
        }
    }
}

impl T2iAdapterConfig {
    /// The class of diffusers.
    pub const CLASS: &'static str = "T2IAdapter";

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is damaged, contradicts itself, or is of another network.
    pub fn from_json(json: &str) -> Result<Self> {
        let fields: serde_json::Map<String, Value> = parse(WHAT, json)?;
        if let Some(class) = fields.get("_class_name").filter(|class| *class != Self::CLASS) {
            return Err(unsupported(WHAT, "_class_name", class));
        }
        let config: Self = parse(WHAT, json)?;
        if !matches!(config.in_channels, 1 | 3) {
            return Err(unsupported(WHAT, "in_channels", config.in_channels));
        }
        let light = config.adapter_type == AdapterType::LightAdapter;
        if config.channels.is_empty() || config.channels.iter().any(|c| *c == 0 || light && *c < 4) {
            return Err(contradictory(WHAT, "`channels` has no place for a picture"));
        }
        if !(config.downscale_factor.is_power_of_two() && config.downscale_factor <= 64) {
            return Err(unsupported(WHAT, "downscale_factor", config.downscale_factor));
        }
        if config.num_res_blocks > 64 {
            return Err(unsupported(WHAT, "num_res_blocks", config.num_res_blocks));
        }
        Ok(config)
    }

    /// For each of its results in turn how many channels it has and how many pixels of the picture lie along a side of one value.
    #[must_use]
    pub fn results(&self) -> Vec<(usize, usize)> {
        let results = self.blocks().into_iter().scan(self.downscale_factor, |pixels, block| {
            *pixels *= if block.halves { 2 } else { 1 };
            Some((block.outputs, *pixels))
        });
        results.collect()
    }

    /// What its blocks are.
    pub(super) fn blocks(&self) -> Vec<BlockPlan> {
        let channels = &self.channels;
        let block = |i: usize, inputs: usize, outputs: usize| BlockPlan { inputs, outputs, halves: i > 0 };
        match self.adapter_type {
            AdapterType::FullAdapter => {
                (0..channels.len()).map(|i| block(i, channels[i.saturating_sub(1)], channels[i])).collect()
            }
            // The second block widens what comes, the third does and halves it.
            AdapterType::FullAdapterXl => (0..channels.len())
                .map(|i| BlockPlan {
                    inputs: if i == 1 || i == 2 { channels[i - 1] } else { channels[i] },
                    outputs: channels[i],
                    halves: i == 2,
                })
                .collect(),
            // One block more than there are channels.
            AdapterType::LightAdapter => {
                let inputs = std::iter::once(self.unshuffled()).chain(channels.iter().copied());
                let outputs = channels.iter().chain(channels.last());
                inputs.zip(outputs).enumerate().map(|(i, (inputs, outputs))| block(i, inputs, *outputs)).collect()
            }
        }
    }

    /// Channels of the picture when pixels lie in them that lay side by side.
    pub(super) fn unshuffled(&self) -> usize {
        self.in_channels * self.downscale_factor * self.downscale_factor
    }
}

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockPlan {
    pub inputs: usize,
    pub outputs: usize,
    /// Whether the size is halved first.
    pub halves: bool,
}
