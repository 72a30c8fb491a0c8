//! What a `config.json` would say about a network, as far as its tensors show it. Names are those of diffusers.

mod transformer;
mod unet;

use serde_json::{json, Map, Value};

use super::Component;
use crate::nn::ParamSource;

/// Fields of a component's config, by the shapes of its tensors. Head counts, groups of norms and the like are not among them: no
/// tensor shows those.
#[must_use]
pub fn of(component: Component, tensors: &dyn ParamSource) -> Map<String, Value> {
    let sizes = Sizes(tensors);
    let fields = match component {
        Component::Unet => Some(unet::of(&sizes)),
        Component::ControlNet => Some(unet::of_controlnet(&sizes)),
        Component::Adapter => sizes.adapter(),
        Component::Vae => sizes.vae(),
        Component::ClipL | Component::ClipH | Component::ClipG => sizes.clip(component),
        Component::Transformer => transformer::of(&sizes),
        Component::T5 => sizes.t5(),
    };
    let told = |(field, value): &(String, Value)| !value.is_null() || TOLD_BY_ABSENCE.contains(&field.as_str());
    match fields {
        Some(Value::Object(fields)) => fields.into_iter().filter(told).collect(),
        _ => Map::new(),
    }
}

/// Fields that say by null what a network lacks, where its tensors show it.
const TOLD_BY_ABSENCE: [&str; 2] = ["mid_block_type", "reverse_transformer_layers_per_block"];

/// More of a row has no network.
const MOST: usize = 1000;

struct Sizes<'a>(&'a dyn ParamSource);

impl Sizes<'_> {
    fn dim(&self, name: &str, axis: usize) -> Option<usize> {
        self.0.info(name)?.0.dims().get(axis).copied()
    }

    /// How many of a row there are: names with 0, 1, ... in place of `{}`.
    fn count(&self, pattern: &str) -> usize {
        let has = |i: &usize| self.0.info(&pattern.replace("{}", &i.to_string())).is_some();
        (0..MOST).take_while(has).count()
    }

    /// Pictures have three channels or one, and squares of 8 pixels or, for SDXL, of 16 lie in each value.
    fn adapter(&self) -> Option<Value> {
        let blocks = self.count("adapter.body.{}.resnets.0.block1.weight");
        let light = self.0.info("adapter.body.0.out_conv.weight").is_some();
        let (first, width) = if light {
            ("adapter.body.0.in_conv.weight", "out_conv.weight")
        } else {
            ("adapter.conv_in.weight", "resnets.0.block2.weight")
        };
        let unshuffled = self.dim(first, 1)?;
        let side = if unshuffled.is_multiple_of(256) { 16 } else { 8 };
        // Light ones have their last width twice.
        let widths = 0..blocks - usize::from(light);
        let channels: Vec<usize> = widths.filter_map(|i| self.dim(&format!("adapter.body.{i}.{width}"), 0)).collect();
        let kind = match (light, side) {
            (true, _) => "light_adapter",
            (false, 16) => "full_adapter_xl",
            (false, _) => "full_adapter",
        };
        Some(json!({
            "_class_name": "T2IAdapter",
            "adapter_type": kind,
            "in_channels": unshuffled / (side * side),
            "downscale_factor": side,
            "channels": channels,
            "num_res_blocks": self.count("adapter.body.0.resnets.{}.block1.weight"),
        }))
    }

    fn vae(&self) -> Option<Value> {
        let levels = self.count("decoder.up_blocks.{}.resnets.0.conv1.weight");
        // The decoder's blocks are those of the encoder in reverse, and some files hold the decoder alone.
        let channels: Vec<usize> = (0..levels)
            .rev()
            .filter_map(|i| self.dim(&format!("decoder.up_blocks.{i}.resnets.0.conv1.weight"), 0))
            .collect();
        let layers = self.count("decoder.up_blocks.0.resnets.{}.conv1.weight").checked_sub(1)?;
        Some(json!({
            "block_out_channels": channels,
            "layers_per_block": layers,
            "down_block_types": vec!["DownEncoderBlock2D"; levels],
            "up_block_types": vec!["UpDecoderBlock2D"; levels],
            "latent_channels": self.dim("decoder.conv_in.weight", 1),
            "use_quant_conv": self.0.info("quant_conv.weight").is_some(),
            "use_post_quant_conv": self.0.info("post_quant_conv.weight").is_some(),
        }))
    }

    /// The number of heads is the width of the table of relative positions.
    fn t5(&self) -> Option<Value> {
        let layer = |name: &str| format!("encoder.block.0.layer.{name}.weight");
        let positions = layer("0.SelfAttention.relative_attention_bias");
        let (heads, inner) = (self.dim(&positions, 1)?, self.dim(&layer("0.SelfAttention.q"), 0)?);
        Some(json!({
            "vocab_size": self.dim("shared.weight", 0),
            "d_model": self.dim("shared.weight", 1),
            "d_kv": inner.checked_div(heads),
            "d_ff": self.dim(&layer("1.DenseReluDense.wi_0"), 0),
            "num_layers": self.count("encoder.block.{}.layer.0.SelfAttention.q.weight"),
            "num_heads": heads,
            "relative_attention_num_buckets": self.dim(&positions, 0),
        }))
    }

    fn clip(&self, component: Component) -> Option<Value> {
        // SD 2.x is trained on the state before the last layer: files hold that layer, and the model has none.
        let most = if component == Component::ClipH { 23 } else { usize::MAX };
        let layers = self.count("text_model.encoder.layers.{}.layer_norm1.weight").min(most);
        Some(json!({
            "vocab_size": self.dim("text_model.embeddings.token_embedding.weight", 0),
            "max_position_embeddings": self.dim("text_model.embeddings.position_embedding.weight", 0),
            "hidden_size": self.dim("text_model.final_layer_norm.weight", 0)?,
            "intermediate_size": self.dim("text_model.encoder.layers.0.mlp.fc1.weight", 0),
            "num_hidden_layers": layers,
            "projection_dim": self.dim("text_projection.weight", 0),
        }))
    }
}
