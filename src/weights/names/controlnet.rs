//! ControlNets of the original code: the way down of LDM's UNet, and layers of its own. Followed: lllyasviel/ControlNet's `cldm.py`.

use super::{number, unet, Target};

/// Layers of its own that stand alone.
const SINGLE: [(&str, &str); 3] = [
    ("input_hint_block.0.", "controlnet_cond_embedding.conv_in."),
    ("input_hint_block.14.", "controlnet_cond_embedding.conv_out."),
    ("middle_block_out.0.", "controlnet_mid_block."),
];

/// The tensor of diffusers for a name behind `control_model.` in a ControlNet with so many residual blocks a level.
pub fn rename(name: &str, layers: usize) -> Vec<Target> {
    match own_name(name) {
        Some(own) => vec![Target::whole(own)],
        None => unet::rename(name, layers),
    }
}

fn own_name(name: &str) -> Option<String> {
    if let Some(single) = super::replace_front(name, &SINGLE) {
        return Some(single);
    }
    if let Some((index, layer)) = name.strip_prefix("zero_convs.").and_then(number) {
        return Some(format!("controlnet_down_blocks.{index}.{}", layer.strip_prefix("0.")?));
    }
    // Every second layer is an activation; the first is `conv_in`.
    let (index, layer) = number(name.strip_prefix("input_hint_block.")?)?;
    Some(format!("controlnet_cond_embedding.blocks.{}.{layer}", (index / 2).checked_sub(1)?))
}
