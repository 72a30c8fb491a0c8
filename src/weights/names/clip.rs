//! The text encoders: OpenCLIP's names, with queries, keys and values in one tensor, as the original files of SD 2.x and SDXL have
//! them, and those of stable-diffusion.cpp, which are half way to transformers'. Followed: mlfoundations/open_clip's `transformer.py`.

use super::{number, replace_front, Piece, Target};

/// Tensors outside of the layers: theirs, transformers', what of it.
pub(super) const SINGLE: [(&str, &str, Piece); 6] = [
    ("token_embedding.weight", "text_model.embeddings.token_embedding.weight", Piece::Whole),
    ("positional_embedding", "text_model.embeddings.position_embedding.weight", Piece::Whole),
    ("ln_final.weight", "text_model.final_layer_norm.weight", Piece::Whole),
    ("ln_final.bias", "text_model.final_layer_norm.bias", Piece::Whole),
    ("text_projection", "text_projection.weight", Piece::Transposed),
    ("text_model.text_projection", "text_projection.weight", Piece::Transposed),
];

/// What layers lie below.
const LAYERS: [&str; 3] = ["transformer.resblocks.", "text_model.encoder.layers.", "encoder.layers."];

/// Names that lack the part in front, as files of older versions of transformers do.
const SHORT: [(&str, &str); 2] =
    [("embeddings.", "text_model.embeddings."), ("final_layer_norm.", "text_model.final_layer_norm.")];

/// What has no place in a text encoder: the other half of CLIP.
pub const PICTURES: [&str; 2] = ["visual.", "vision_model."];

/// Parts of a layer.
pub(super) const LAYER: [(&str, &str); 5] = [
    ("ln_1.", "layer_norm1."),
    ("ln_2.", "layer_norm2."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
    ("attn.out_proj.", "self_attn.out_proj."),
];

/// Fused projections of a layer: theirs, and what of `self_attn.{q,k,v}_proj` it is.
const FUSED: [(&str, &str); 4] = [
    ("attn.in_proj_weight", "weight"),
    ("attn.in_proj_bias", "bias"),
    ("self_attn.in_proj.weight", "weight"),
    ("self_attn.in_proj.bias", "bias"),
];

pub(super) const QUERY_KEY_VALUE: [&str; 3] = ["q", "k", "v"];

/// The tensors of transformers for the name behind the prefix of a text encoder. Names that are transformers' own stay as they are.
pub fn rename(name: &str) -> Vec<Target> {
    if let Some((_, to, piece)) = SINGLE.iter().find(|(from, ..)| *from == name) {
        return vec![Target { name: (*to).into(), piece: *piece }];
    }
    let Some((layer, rest)) = layer_of(name) else {
        return vec![Target::whole(replace_front(name, &SHORT).unwrap_or_else(|| name.into()))];
    };
    let layer = format!("text_model.encoder.layers.{layer}");
    if let Some((_, kind)) = FUSED.iter().find(|(from, _)| *from == rest) {
        let third = |(index, what): (usize, &&str)| Target {
            name: format!("{layer}.self_attn.{what}_proj.{kind}"),
            piece: Piece::third(index),
        };
        return QUERY_KEY_VALUE.iter().enumerate().map(third).collect();
    }
    let rest = replace_front(rest, &LAYER).unwrap_or_else(|| rest.into());
    vec![Target::whole(format!("{layer}.{rest}"))]
}

/// The number of the layer that a tensor belongs to, and its name there.
pub fn layer_of(name: &str) -> Option<(usize, &str)> {
    LAYERS.iter().find_map(|front| number(name.strip_prefix(front)?))
}
