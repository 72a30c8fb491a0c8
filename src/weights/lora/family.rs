//! For which family of models an adapter was made.

use std::collections::BTreeMap;

use serde::Serialize;

use super::roles::{is_down, split, Role};
use crate::nn::ParamSource;
use crate::weights::{detect, WeightFile};

/// A family of models whose parts belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Stable Diffusion 1.x.
    Sd1,
    /// Stable Diffusion 2.x.
    Sd2,
    /// Stable Diffusion XL.
    Sdxl,
    /// Stable Diffusion 3.
    Sd3,
    /// Stable Diffusion 3.5.
    Sd35,
    /// FLUX.1.
    Flux,
}

impl Family {
    /// The family of a model that was found to be one; nothing for those whose structure LoRAs are not known for.
    #[must_use]
    pub fn of_model(detected: &detect::Detected) -> Option<Self> {
        match detected.family? {
            detect::Family::Sd3 if detected.edition.is_some_and(detect::Edition::is_sd35) => Some(Family::Sd35),
            detect::Family::Sd1 => Some(Family::Sd1),
            detect::Family::Sd2 => Some(Family::Sd2),
            detect::Family::Sdxl | detect::Family::SdxlEdm => Some(Family::Sdxl),
            detect::Family::Sd3 => Some(Family::Sd3),
            detect::Family::Flux => Some(Family::Flux),
            detect::Family::SdxlRefiner => None,
        }
    }

    /// The family's name for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Family::Sd1 => detect::Family::Sd1.name(),
            Family::Sd2 => detect::Family::Sd2.name(),
            Family::Sdxl => detect::Family::Sdxl.name(),
            Family::Sd3 => detect::Family::Sd3.name(),
            // To those who build the network it is the same as its elder.
            Family::Sd35 => "SD 3.5",
            Family::Flux => detect::Family::Flux.name(),
        }
    }
}

/// The family that an adapter was made for: what its file says, then what only one family has, then the width of the text.
#[must_use]
pub fn family(file: &WeightFile) -> Option<Family> {
    let source = file.source.as_ref();
    let names = source.names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let any = |parts: &[&str]| names.iter().any(|name| parts.iter().any(|part| name.contains(part)));
    if let Some(family) = family_said(&file.metadata) {
        return Some(family);
    }
    if any(&["double_blocks", "single_blocks", "single_transformer_blocks"]) {
        return Some(Family::Flux);
    }
    if any(&["joint_blocks", "add_q_proj"])
        || names.iter().any(|name| name.starts_with("transformer.transformer_blocks"))
    {
        let width = width_of_blocks(&names, source);
        if width == Some(FLUX_WIDTH) {
            return Some(Family::Flux);
        }
        let newer = width == Some(SD35_LARGE_WIDTH)
            || any(&["norm_added_k", "transformer_blocks.0.attn2.", "x_block.attn2", "x_block_attn2"])
            || names.iter().any(|name| name.starts_with("transformer.") && name.contains(".attn2."));
        return Some(if newer { Family::Sd35 } else { Family::Sd3 });
    }
    match width_of_text(&names, source) {
        Some(768) => return Some(Family::Sd1),
        Some(1024) => return Some(Family::Sd2),
        Some(2048) => return Some(Family::Sdxl),
        _ => {}
    }
    let deep = ["transformer_blocks_1_", "transformer_blocks.1."];
    if any(&["lora_te2_", "text_encoder_2.", "clip_g.", "add_embedding", "label_emb"]) || any(&deep) {
        return Some(Family::Sdxl);
    }
    // LyCORIS writes the matrices of its kinds flat, whatever they change.
    let is_low_rank = |name: &str| matches!(split(name), Some((_, Role::Down)));
    let proj_in = names.iter().find(|name| name.contains("proj_in") && is_low_rank(name));
    match proj_in.and_then(|name| source.info(name)).map(|(shape, _)| shape.rank()) {
        Some(4) => Some(Family::Sd1),
        Some(2) => Some(Family::Sd2),
        _ => None,
    }
}

/// What the layer of FLUX that takes latents is called, by diffusers and in the original code, and how many values of them it takes.
const FLUX_INPUTS: [&str; 2] = ["x_embedder", "img_in"];
const FLUX_LATENTS: usize = 64;

/// Whether an adapter makes FLUX.1 dev take a control map beside the latents: those of FLUX.1 Canny and Depth.
#[must_use]
pub fn takes_map(adapter: &dyn ParamSource) -> bool {
    let columns = |name: &String| {
        let (module, Role::Down | Role::Diff) = split(name)? else { return None };
        FLUX_INPUTS.iter().find(|input| module.ends_with(*input))?;
        adapter.info(name)?.0.dims().get(1).copied()
    };
    adapter.names().iter().find_map(columns) == Some(2 * FLUX_LATENTS)
}

/// Width of FLUX's blocks, as wide as none of Stable Diffusion 3's.
const FLUX_WIDTH: usize = 3072;
/// Width of the blocks of Stable Diffusion 3.5 large; those of both medium models are narrower.
pub const SD35_LARGE_WIDTH: usize = 2432;

/// Width of a transformer's blocks, from a matrix that an adapter puts beside their attention.
pub(super) fn width_of_blocks(names: &[&str], source: &dyn ParamSource) -> Option<usize> {
    let of_attention = |name: &&&str| {
        // Those of CLIP.
        let of_text = name.contains("self_attn");
        name.contains("attn") && !of_text && matches!(split(name), Some((_, Role::Down | Role::Diff)))
    };
    source.info(names.iter().find(of_attention)?)?.0.dims().get(1).copied()
}

/// The family by the words of kohya's scripts and of the model specification.
fn family_said(metadata: &BTreeMap<String, String>) -> Option<Family> {
    let words = ["ss_base_model_version", "modelspec.architecture"];
    let said = words.iter().filter_map(|word| metadata.get(*word)).map(|value| value.to_lowercase());
    let starts = [
        ("sdxl", Family::Sdxl),
        ("stable-diffusion-xl", Family::Sdxl),
        ("sd_v1", Family::Sd1),
        ("stable-diffusion-v1", Family::Sd1),
        ("sd_v2", Family::Sd2),
        ("stable-diffusion-v2", Family::Sd2),
        ("sd3.5", Family::Sd35),
        ("stable-diffusion-3.5", Family::Sd35),
        ("sd3", Family::Sd3),
        ("stable-diffusion-3", Family::Sd3),
        ("flux", Family::Flux),
    ];
    said.into_iter()
        .find_map(|said| starts.iter().find(|(start, _)| said.starts_with(start)).map(|(_, family)| *family))
}

/// Width of the text that the UNet's second attentions take, from a matrix that an adapter puts beside their keys or values.
fn width_of_text(names: &[&str], source: &dyn ParamSource) -> Option<usize> {
    let of_text = |name: &&&str| {
        name.contains("attn2") && (name.contains("to_k") || name.contains("to_v")) && !name.starts_with("transformer.")
    };
    let side = |name: &str, axis: usize| source.info(name).and_then(|(shape, _)| shape.dims().get(axis).copied());
    names.iter().filter(of_text).find_map(|name| {
        if let Some(module) = name.strip_suffix(".lokr_w1") {
            let second = [".lokr_w2_b", ".lokr_w2"].iter().find_map(|role| side(&format!("{module}{role}"), 1))?;
            return Some(side(name, 1)? * second);
        }
        let is_wide = is_down(name) || matches!(split(name), Some((_, Role::Diff)));
        if is_wide {
            side(name, 1)
        } else {
            None
        }
    })
}
