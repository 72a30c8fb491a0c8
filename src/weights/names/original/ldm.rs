//! Diffusers' and transformers' names -> those of LDM and OpenCLIP: the tables read backwards.

use super::{Form, Target};
use crate::weights::names::{clip, number, unet, vae};

/// What the names of LDM depend on.
pub(super) struct UNetLayout {
    /// Residual blocks of a level on the way down.
    pub(super) layers: usize,
    /// Which levels on the way up have transformers.
    pub(super) attends: Vec<bool>,
}

impl UNetLayout {
    /// As diffusers' names of a UNet's tensors tell it.
    pub(super) fn of(names: &[String]) -> Self {
        let count = |front: &str, behind: &str| {
            let of = |name: &String| {
                let (index, rest) = number(name.strip_prefix(front)?)?;
                rest.starts_with(behind).then_some(index + 1)
            };
            names.iter().filter_map(of).max().unwrap_or(0)
        };
        let attends = |block| names.iter().any(|name| name.starts_with(&format!("up_blocks.{block}.attentions.")));
        UNetLayout {
            layers: count("down_blocks.0.resnets.", "conv1.").max(1),
            attends: (0..count("up_blocks.", "")).map(attends).collect(),
        }
    }
}

/// Replaces the front of a name by the table's first entry, read backwards.
fn back(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find_map(|(to, from)| Some(format!("{to}{}", name.strip_prefix(from)?)))
}

/// The name of LDM of a UNet with so many residual blocks a level; `attends` tells which levels on the way up have transformers.
pub(super) fn unet_name(name: &str, layers: usize, attends: &[bool]) -> Option<String> {
    if let Some(single) = back(name, &unet::SINGLE) {
        return Some(single);
    }
    let (section, rest) = name.split_once('.')?;
    if section == "mid_block" {
        let (kind, rest) = rest.split_once('.')?;
        let (index, layer) = number(rest)?;
        return match (kind, index) {
            ("attentions", 0) => Some(format!("middle_block.1.{layer}")),
            ("resnets", 0 | 1) => Some(format!("middle_block.{}.{}", 2 * index, back(layer, &unet::RESNET)?)),
            _ => None,
        };
    }
    let (level, rest) = number(rest)?;
    let (kind, rest) = rest.split_once('.')?;
    let (index, layer) = number(rest)?;
    let (way, first) = match section {
        "down_blocks" => ("input_blocks", 1 + level * (layers + 1)),
        "up_blocks" => ("output_blocks", level * (layers + 1)),
        _ => return None,
    };
    match (kind, index) {
        ("resnets", _) => Some(format!("{way}.{}.0.{}", first + index, back(layer, &unet::RESNET)?)),
        ("attentions", _) => Some(format!("{way}.{}.1.{layer}", first + index)),
        ("downsamplers", 0) => Some(format!("{way}.{}.0.op.{}", first + layers, layer.strip_prefix("conv.")?)),
        ("upsamplers", 0) => {
            let part = if attends.get(level).copied().unwrap_or(false) { 2 } else { 1 };
            Some(format!("{way}.{}.{part}.conv.{}", first + layers, layer.strip_prefix("conv.")?))
        }
        _ => None,
    }
}

/// The name of LDM of an autoencoder of so many levels.
pub(super) fn vae_name(name: &str, levels: usize) -> Option<Target> {
    let whole = |name: String| Some((name, 0, Form::Whole));
    let (half, rest) = name.split_once('.')?;
    match half {
        "quant_conv" | "post_quant_conv" => return whole(name.into()),
        "encoder" | "decoder" => {}
        _ => return None,
    }
    if let Some(layer) = rest.strip_prefix("mid_block.attentions.0.") {
        let layer = back(layer, &vae::ATTENTION).or_else(|| back(layer, &vae::OLDER_ATTENTION))?;
        let is_matrix = layer.ends_with("weight") && !layer.starts_with("norm");
        let form = if is_matrix { Form::Convolution } else { Form::Whole };
        return Some((format!("{half}.mid.attn_1.{layer}"), 0, form));
    }
    if let Some(single) = back(rest, &vae::SINGLE) {
        return whole(format!("{half}.{}", single.replace("conv_shortcut.", "nin_shortcut.")));
    }
    let (way, rest) = rest.split_once("_blocks.")?;
    let (level, rest) = number(rest)?;
    let layer = match rest.strip_prefix("resnets.") {
        Some(block) => format!("block.{}", block.replace("conv_shortcut.", "nin_shortcut.")),
        None => back(rest, &vae::RESAMPLE)?,
    };
    match way {
        "down" => whole(format!("{half}.down.{level}.{layer}")),
        "up" => whole(format!("{half}.up.{}.{layer}", levels.checked_sub(1 + level)?)),
        _ => None,
    }
}

/// The name of OpenCLIP.
pub(super) fn open_clip_name(name: &str) -> Option<Target> {
    let single = clip::SINGLE.iter().find(|(_, to, _)| *to == name);
    if let Some((original, ..)) = single {
        let form = if *original == "text_projection" { Form::Transposed } else { Form::Whole };
        return Some(((*original).into(), 0, form));
    }
    let (layer, rest) = number(name.strip_prefix("text_model.encoder.layers.")?)?;
    let layer = format!("transformer.resblocks.{layer}");
    for (index, what) in clip::QUERY_KEY_VALUE.iter().enumerate() {
        if let Some(kind) = rest.strip_prefix(&format!("self_attn.{what}_proj.")) {
            return Some((format!("{layer}.attn.in_proj_{kind}"), index, Form::Joined(clip::QUERY_KEY_VALUE.len())));
        }
    }
    Some((format!("{layer}.{}", back(rest, &clip::LAYER)?), 0, Form::Whole))
}
