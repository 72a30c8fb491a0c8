//! Depth Anything V2: the names of the original checkpoints (`pretrained.blocks.0.attn.qkv.weight`). Followed: transformers'
//! conversion.

use super::{number, replace_front, Piece, Target};

const SINGLE: [(&str, &str); 8] = [
    ("pretrained.cls_token", "backbone.embeddings.cls_token"),
    ("pretrained.mask_token", "backbone.embeddings.mask_token"),
    ("pretrained.pos_embed", "backbone.embeddings.position_embeddings"),
    ("pretrained.patch_embed.proj.", "backbone.embeddings.patch_embeddings.projection."),
    ("pretrained.norm.", "backbone.layernorm."),
    ("depth_head.scratch.output_conv1.", "head.conv1."),
    ("depth_head.scratch.output_conv2.0.", "head.conv2."),
    ("depth_head.scratch.output_conv2.2.", "head.conv3."),
];

/// Parts of a layer of the encoder.
const LAYER: [(&str, &str); 6] = [
    ("norm1.", "norm1."),
    ("norm2.", "norm2."),
    ("attn.proj.", "attention.output.dense."),
    ("ls1.gamma", "layer_scale1.lambda1"),
    ("ls2.gamma", "layer_scale2.lambda1"),
    ("mlp.", "mlp."),
];

/// Parts of a layer that puts pictures together.
const FUSION: [(&str, &str); 5] = [
    ("out_conv.", "projection."),
    ("resConfUnit1.conv1.", "residual_layer1.convolution1."),
    ("resConfUnit1.conv2.", "residual_layer1.convolution2."),
    ("resConfUnit2.conv1.", "residual_layer2.convolution1."),
    ("resConfUnit2.conv2.", "residual_layer2.convolution2."),
];

/// The tensors of transformers for a stored name; one that is transformers' own stays as it is.
pub fn rename(name: &str) -> Vec<Target> {
    if let Some(rest) = name.strip_prefix("pretrained.blocks.") {
        return number(rest).map(|(layer, rest)| encoder(layer, rest)).unwrap_or_default();
    }
    vec![Target::whole(head(name).unwrap_or_else(|| name.into()))]
}

/// Whether these are names of the original checkpoints.
pub fn is_original(names: &[String]) -> bool {
    names.iter().any(|name| name.starts_with("pretrained."))
}

fn encoder(layer: usize, rest: &str) -> Vec<Target> {
    let layer = format!("backbone.encoder.layer.{layer}");
    if let Some(kind) = rest.strip_prefix("attn.qkv.") {
        let third = |(index, what)| Target {
            name: format!("{layer}.attention.attention.{what}.{kind}"),
            piece: Piece::third(index),
        };
        return ["query", "key", "value"].into_iter().enumerate().map(third).collect();
    }
    replace_front(rest, &LAYER).map(|rest| Target::whole(format!("{layer}.{rest}"))).into_iter().collect()
}

fn head(name: &str) -> Option<String> {
    if let Some((stage, rest)) = name.strip_prefix("depth_head.projects.").and_then(number) {
        return Some(format!("neck.reassemble_stage.layers.{stage}.projection.{rest}"));
    }
    if let Some((stage, rest)) = name.strip_prefix("depth_head.resize_layers.").and_then(number) {
        return Some(format!("neck.reassemble_stage.layers.{stage}.resize.{rest}"));
    }
    let scratch = name.strip_prefix("depth_head.scratch.");
    if let Some((stage, _)) = scratch.and_then(|rest| rest.strip_prefix("layer")?.split_once("_rn.weight")) {
        return Some(format!("neck.convs.{}.weight", stage.parse::<usize>().ok()?.checked_sub(1)?));
    }
    if let Some((stage, rest)) = scratch.and_then(|rest| number(rest.strip_prefix("refinenet")?)) {
        // The largest picture is their first, and here the last.
        let layer = 4usize.checked_sub(stage)?;
        return Some(format!("neck.fusion_stage.layers.{layer}.{}", replace_front(rest, &FUSION)?));
    }
    replace_front(name, &SINGLE)
}
