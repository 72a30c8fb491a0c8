//! The autoencoder of the original code (LDM): `encoder.down.0.block.1`, attention as 1x1 convolutions, and the decoder's blocks
//! counted from the picture's side. Followed: CompVis/latent-diffusion's `model.py`.

use super::{number, replace_front, Piece, Target};

/// Layers outside of the blocks, behind `encoder.` or `decoder.`.
pub(super) const SINGLE: [(&str, &str); 5] = [
    ("conv_in.", "conv_in."),
    ("conv_out.", "conv_out."),
    ("norm_out.", "conv_norm_out."),
    ("mid.block_1.", "mid_block.resnets.0."),
    ("mid.block_2.", "mid_block.resnets.1."),
];

/// A piece of the names of what only training needs.
pub const TRAINING: &str = "loss.";

/// Layers of the attention in the middle.
pub(super) const ATTENTION: [(&str, &str); 5] =
    [("norm.", "group_norm."), ("q.", "to_q."), ("k.", "to_k."), ("v.", "to_v."), ("proj_out.", "to_out.0.")];

/// The same as older files of diffusers name them.
pub(super) const OLDER_ATTENTION: [(&str, &str); 4] =
    [("q.", "query."), ("k.", "key."), ("v.", "value."), ("proj_out.", "proj_attn.")];

/// Layers that change the size.
pub(super) const RESAMPLE: [(&str, &str); 2] = [("downsample.", "downsamplers.0."), ("upsample.", "upsamplers.0.")];

/// How many levels the decoder has. `names` are those behind the prefix.
pub fn levels<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.filter_map(|name| Some(number(name.strip_prefix("decoder.up.")?)?.0 + 1)).max().unwrap_or(0)
}

/// The tensor of diffusers for the name behind `first_stage_model.` in a VAE of so many levels.
pub fn rename(name: &str, levels: usize) -> Vec<Target> {
    let Some((half, rest)) = name.split_once('.') else { return Vec::new() };
    if half == "quant_conv" || half == "post_quant_conv" {
        return vec![Target::whole(name)];
    }
    let target = match half {
        "encoder" | "decoder" => in_half(rest, levels),
        _ => None,
    };
    target.map(|target| Target { name: format!("{half}.{}", target.name), ..target }).into_iter().collect()
}

fn in_half(name: &str, levels: usize) -> Option<Target> {
    if let Some(layer) = name.strip_prefix("mid.attn_1.") {
        let name = format!("mid_block.attentions.0.{}", replace_front(layer, &ATTENTION)?);
        let matrix = name.ends_with("weight") && !name.contains("group_norm");
        return Some(Target { name, piece: if matrix { Piece::Matrix } else { Piece::Whole } });
    }
    let single = replace_front(name, &SINGLE);
    let name = single.or_else(|| {
        let (way, rest) = name.split_once('.')?;
        let (level, rest) = number(rest)?;
        let layer = match rest.strip_prefix("block.") {
            Some(block) => format!("resnets.{block}"),
            None => replace_front(rest, &RESAMPLE)?,
        };
        match way {
            "down" => Some(format!("down_blocks.{level}.{layer}")),
            "up" => Some(format!("up_blocks.{}.{layer}", levels.checked_sub(1 + level)?)),
            _ => None,
        }
    });
    name.map(|name| Target::whole(name.replace("nin_shortcut.", "conv_shortcut.")))
}
