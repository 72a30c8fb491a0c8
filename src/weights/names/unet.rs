//! The UNet of the original Stable Diffusion code (LDM): `input_blocks`, `middle_block`, `output_blocks`, which count all layers
//! of the way down and up in one row. Followed: CompVis/latent-diffusion's `openaimodel.py`.

use super::{number, replace_front, Target};

/// Layers outside of the blocks.
pub(super) const SINGLE: [(&str, &str); 9] = [
    ("time_embed.0.", "time_embedding.linear_1."),
    ("time_embed.2.", "time_embedding.linear_2."),
    ("time_embed.cond_proj.", "time_embedding.cond_proj."),
    ("label_emb.0.0.", "add_embedding.linear_1."),
    ("label_emb.0.2.", "add_embedding.linear_2."),
    ("input_blocks.0.0.", "conv_in."),
    ("out.0.", "conv_norm_out."),
    ("out.2.", "conv_out."),
    // Some converters leave diffusers' name here.
    ("add_embedding.", "add_embedding."),
];

/// Layers of a residual block.
pub(super) const RESNET: [(&str, &str); 6] = [
    ("in_layers.0.", "norm1."),
    ("in_layers.2.", "conv1."),
    ("emb_layers.1.", "time_emb_proj."),
    ("out_layers.0.", "norm2."),
    ("out_layers.3.", "conv2."),
    ("skip_connection.", "conv_shortcut."),
];

/// How many residual blocks a level has on the way down, which the names of the layers that halve the size tell. `names` are
/// those behind the prefix.
pub fn layers_per_block<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let (mut first_halving, mut last) = (None, 0);
    for (block, rest) in names.filter_map(|name| number(name.strip_prefix("input_blocks.")?)) {
        last = last.max(block);
        if rest.starts_with("0.op.") {
            first_halving = Some(first_halving.map_or(block, |known: usize| known.min(block)));
        }
    }
    first_halving.map_or(last, |block| block.saturating_sub(1)).max(1)
}

/// The tensor of diffusers for the name behind `model.diffusion_model.` in a UNet with so many residual blocks a level.
pub fn rename(name: &str, layers: usize) -> Vec<Target> {
    diffusers_name(name, layers).map(Target::whole).into_iter().collect()
}

fn diffusers_name(name: &str, layers: usize) -> Option<String> {
    if let Some(single) = replace_front(name, &SINGLE) {
        return Some(single);
    }
    let (section, rest) = name.split_once('.')?;
    if section == "middle_block" {
        let (part, layer) = number(rest)?;
        return match replace_front(layer, &RESNET) {
            Some(layer) => Some(format!("mid_block.resnets.{}.{layer}", usize::from(part > 0))),
            None => Some(format!("mid_block.attentions.0.{layer}")),
        };
    }
    let (block, rest) = number(rest)?;
    let (part, layer) = number(rest)?;
    match section {
        // A level: its residual blocks, then the layer that halves the size; in front of all, the first convolution.
        "input_blocks" => {
            let block = block.checked_sub(1)?;
            let (level, place) = (block / (layers + 1), block % (layers + 1));
            match layer.strip_prefix("op.") {
                Some(op) => Some(format!("down_blocks.{level}.downsamplers.0.conv.{op}")),
                None => Some(format!("down_blocks.{level}.{}", in_block(place, part, layer)?)),
            }
        }
        // A level has one residual block more than on the way down; the last one is followed by the layer that doubles the size.
        "output_blocks" => {
            let (level, place) = (block / (layers + 1), block % (layers + 1));
            match layer.strip_prefix("conv.") {
                Some(conv) => Some(format!("up_blocks.{level}.upsamplers.0.conv.{conv}")),
                None => Some(format!("up_blocks.{level}.{}", in_block(place, part, layer)?)),
            }
        }
        _ => None,
    }
}

/// The `part` of a block that is number `place` of its level: a residual block, and behind it a transformer, whose layers have the
/// same names in both.
fn in_block(place: usize, part: usize, layer: &str) -> Option<String> {
    match part {
        0 => Some(format!("resnets.{place}.{}", replace_front(layer, &RESNET)?)),
        _ => Some(format!("attentions.{place}.{layer}")),
    }
}
