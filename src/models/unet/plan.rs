//! From a config to what each block consists of. All contradictions of a config come out here, before weights are touched.

use super::config::{Depths, UNetConfig, CROSS_ATTN_DOWN, CROSS_ATTN_MID, CROSS_ATTN_UP, DOWN, MID, UP, WHAT};
use crate::models::config::{contradictory, unsupported, OneOrMany};
use crate::Result;

/// What the blocks of a UNet consist of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub encoder: EncoderPlan,
    pub up: Vec<BlockPlan>,
}

/// What the blocks on the way down and in the middle consist of: of a UNet, or a ControlNet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EncoderPlan {
    pub down: Vec<BlockPlan>,
    pub mid: Option<BlockPlan>,
}

impl EncoderPlan {
    /// Channels of the skip connections of a network whose first convolution gives `first`.
    pub(crate) fn skips(&self, first: usize) -> Vec<usize> {
        let of = |block: &BlockPlan| vec![block.outputs; block.inputs.len() + usize::from(block.resample)];
        std::iter::once(first).chain(self.down.iter().flat_map(of)).collect()
    }
}

/// What one block consists of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BlockPlan {
    /// Channels that each residual block takes; on the way up with the skip connection's.
    pub inputs: Vec<usize>,
    /// Channels that each residual block gives.
    pub outputs: usize,
    /// Whether the size is halved or doubled at the end.
    pub resample: bool,
    /// The transformers behind residual blocks, if any.
    pub attention: Option<AttentionPlan>,
}

/// What the transformers of one block consist of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AttentionPlan {
    pub heads: usize,
    pub context_width: usize,
    /// Transformer blocks behind each residual block.
    pub depths: Vec<usize>,
}

impl UNetConfig {
    /// What each block consists of.
    ///
    /// # Errors
    /// When the config names an unknown kind of block or contradicts itself.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let encoder = self.encoder_plan(WHAT)?;
        let facts = Facts::new(self, WHAT)?;
        let count = facts.channels.len();
        if self.up_block_types.len() != count {
            return Err(contradictory(WHAT, "`up_block_types` and `block_out_channels` have different lengths"));
        }
        let up = (0..count).map(|i| self.up_plan(i, &facts)).collect::<Result<_>>()?;
        Ok(Plan { encoder, up })
    }

    /// What each block on the way down and in the middle consists of, of the network that messages call `what`.
    ///
    /// # Errors
    /// As [`UNetConfig::plan`].
    pub(crate) fn encoder_plan(&self, what: &'static str) -> Result<EncoderPlan> {
        let facts = Facts::new(self, what)?;
        if [self.conv_in_kernel, self.conv_out_kernel].iter().any(|side| side.is_multiple_of(2)) {
            return Err(contradictory(what, "a kernel with an even side does not keep the size"));
        }
        if self.freq_shift >= (facts.channels[0] / 2) as f64 {
            return Err(contradictory(what, format!("a `freq_shift` of {}", self.freq_shift)));
        }
        let down = (0..facts.channels.len()).map(|i| self.down_plan(i, &facts)).collect::<Result<_>>()?;
        let mid = self.mid_block_type.as_deref().map(|kind| mid_plan(kind, &facts)).transpose()?;
        self.check_added(what)?;
        Ok(EncoderPlan { down, mid })
    }

    fn down_plan(&self, i: usize, facts: &Facts) -> Result<BlockPlan> {
        let outputs = facts.channels[i];
        let mut inputs = vec![outputs; facts.layers[i]];
        if let Some(first) = inputs.first_mut() {
            *first = facts.channels[i.saturating_sub(1)];
        }
        let attention = match self.down_block_types[i].as_str() {
            DOWN => None,
            CROSS_ATTN_DOWN => Some(facts.attention(i, &facts.depths[i], inputs.len())?),
            other => return Err(unsupported(facts.what, "down_block_types", other)),
        };
        Ok(BlockPlan { inputs, outputs, resample: i + 1 < facts.channels.len(), attention })
    }

    fn up_plan(&self, i: usize, facts: &Facts) -> Result<BlockPlan> {
        let last = facts.channels.len() - 1;
        // The block on the way down at the same size, and the one before it.
        let mirror = last - i;
        let outputs = facts.channels[mirror];
        let layers = facts.layers[mirror] + 1;
        let inputs = (0..layers).map(|layer| {
            let own = if layer == 0 { facts.channels[(mirror + 1).min(last)] } else { outputs };
            let skip = if layer + 1 == layers { facts.channels[mirror.saturating_sub(1)] } else { outputs };
            own + skip
        });
        let attention = match self.up_block_types[i].as_str() {
            UP => None,
            CROSS_ATTN_UP => Some(facts.attention(mirror, &self.depth_up(i, mirror, facts)?, layers)?),
            other => return Err(unsupported(WHAT, "up_block_types", other)),
        };
        Ok(BlockPlan { inputs: inputs.collect(), outputs, resample: i < last, attention })
    }

    fn depth_up(&self, i: usize, mirror: usize, facts: &Facts) -> Result<OneOrMany<usize>> {
        let depth = match &self.reverse_transformer_layers_per_block {
            Some(depths) => depths.get(i),
            None => Some(&facts.depths[mirror]).filter(|depth| matches!(depth, OneOrMany::One(_))),
        };
        let reason = "`reverse_transformer_layers_per_block` does not say how many transformer blocks the way up has";
        depth.cloned().ok_or_else(|| contradictory(WHAT, reason))
    }

    fn check_added(&self, what: &str) -> Result<()> {
        match self.addition_embed_type.as_deref() {
            None => Ok(()),
            Some("text_time") => {
                let widths = self.addition_time_embed_dim.zip(self.projection_class_embeddings_input_dim);
                let reason = "`addition_embed_type` needs fitting widths of its embeddings";
                widths.filter(|(time, all)| 6 * time < *all).map(|_| ()).ok_or_else(|| contradictory(what, reason))
            }
            Some(other) => Err(unsupported(what, "addition_embed_type", other)),
        }
    }
}

fn mid_plan(kind: &str, facts: &Facts) -> Result<BlockPlan> {
    let last = facts.channels.len() - 1;
    let (layers, attention) = match kind {
        MID => (1, None),
        CROSS_ATTN_MID => {
            let depth = match &facts.depths[last] {
                OneOrMany::Many(depths) => OneOrMany::Many(depths.iter().take(1).copied().collect()),
                depth @ OneOrMany::One(_) => depth.clone(),
            };
            (2, Some(facts.attention(last, &depth, 1)?))
        }
        other => return Err(unsupported(facts.what, "mid_block_type", other)),
    };
    let outputs = facts.channels[last];
    Ok(BlockPlan { inputs: vec![outputs; layers], outputs, resample: false, attention })
}

/// The config's lists, one value a block on the way down.
struct Facts {
    /// What messages call the network.
    what: &'static str,
    channels: Vec<usize>,
    layers: Vec<usize>,
    heads: Vec<usize>,
    context_widths: Vec<usize>,
    depths: Vec<OneOrMany<usize>>,
}

impl Facts {
    fn new(config: &UNetConfig, what: &'static str) -> Result<Self> {
        let channels = config.block_out_channels.clone();
        let count = channels.len();
        let wrong_length =
            |field: &str| contradictory(what, format!("`{field}` is not one value for each of {count} blocks"));
        if count == 0 || config.down_block_types.len() != count {
            return Err(wrong_length("down_block_types"));
        }
        if let Some(odd) = channels
            .iter()
            .find(|c| **c == 0 || config.norm_num_groups == 0 || !c.is_multiple_of(config.norm_num_groups))
        {
            return Err(contradictory(what, format!("{odd} channels in {} groups", config.norm_num_groups)));
        }
        let expand = |value: &OneOrMany<usize>, field: &str| value.expand(count).ok_or_else(|| wrong_length(field));
        let depths = match &config.transformer_layers_per_block {
            Depths::All(depth) => vec![OneOrMany::One(*depth); count],
            Depths::PerBlock(depths) if depths.len() == count => depths.clone(),
            Depths::PerBlock(_) => return Err(wrong_length("transformer_layers_per_block")),
        };
        Ok(Facts {
            what,
            layers: expand(&config.layers_per_block, "layers_per_block")?,
            heads: expand(&config.attention_head_dim, "attention_head_dim")?,
            context_widths: expand(&config.cross_attention_dim, "cross_attention_dim")?,
            depths,
            channels,
        })
    }

    fn attention(&self, block: usize, depth: &OneOrMany<usize>, layers: usize) -> Result<AttentionPlan> {
        let (heads, channels) = (self.heads[block], self.channels[block]);
        if heads == 0 || !channels.is_multiple_of(heads) {
            return Err(contradictory(self.what, format!("{channels} channels with {heads} heads")));
        }
        let depths = depth.expand(layers);
        let reason = "`transformer_layers_per_block` is not one value for each layer";
        let depths = depths.ok_or_else(|| contradictory(self.what, reason))?;
        Ok(AttentionPlan { heads, context_width: self.context_widths[block], depths })
    }
}
