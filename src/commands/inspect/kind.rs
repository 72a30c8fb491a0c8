//! What a file is, in the words of `verify` and `info`: what [`crate::weights::detect`] finds, which of a family's published models it
//! is like, and the families of what is no model.

use serde::Serialize;

use super::lora;
use crate::text::inversion::Inversion;
use crate::weights::detect::{self, Component, Detected, Edition, Naming, Other, Variant};
use crate::weights::lora::{self as adapters, Family};
use crate::weights::WeightFile;

/// Which part of a model tensors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// All parts in one file.
    Checkpoint,
    /// The UNet of Stable Diffusion.
    Unet,
    /// The transformer of FLUX or Stable Diffusion 3.
    Transformer,
    /// The autoencoder.
    Vae,
    /// CLIP's text encoder.
    Clip,
    /// T5's text encoder.
    T5,
    /// A ControlNet.
    #[serde(rename = "controlnet")]
    ControlNet,
    /// A LoRA or one of its kin.
    Lora,
    /// A textual inversion.
    Embedding,
    /// Something else, which [`Kind::variant`] names.
    Other,
}

impl Part {
    /// The part's name for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Part::Checkpoint => "whole model",
            Part::Unet => "UNet",
            Part::Transformer => "transformer",
            Part::Vae => "VAE",
            Part::Clip => "CLIP text encoder",
            Part::T5 => "T5 text encoder",
            Part::ControlNet => "ControlNet",
            Part::Lora => "LoRA",
            Part::Embedding => "textual inversion",
            Part::Other => "file",
        }
    }
}

/// What a file of tensors is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// Which part.
    pub part: Part,
    /// Of which family; `None` where parts of several families look alike.
    pub family: Option<Family>,
    /// What it was made for, or which of the family's published models it is like: "text-to-image", "inpainting", "dev".
    pub variant: Option<&'static str>,
    /// Whose names the denoiser's tensors have, or the part's: "diffusers", "original" or "llama.cpp".
    pub naming: Option<&'static str>,
}

impl Kind {
    /// The kind for people: "SD 1.x UNet, inpainting".
    #[must_use]
    pub fn label(&self) -> String {
        if let (Part::Other, Some(what)) = (self.part, self.variant) {
            return what.into();
        }
        let family = self.family.map(|family| format!("{} ", family.label())).unwrap_or_default();
        let variant = self.variant.map(|variant| format!(", {variant}")).unwrap_or_default();
        format!("{family}{}{variant}", self.part.label())
    }
}

/// What a file is; `stem` is its name without its ending. `None` when its tensors are nothing that is known.
#[must_use]
pub fn identify(file: &WeightFile, stem: &str) -> Option<Kind> {
    let names = file.source.names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let other = |part, family, variant| Some(Kind { part, family, variant, naming: None });
    if lora::is_lora(&names) {
        return other(Part::Lora, adapters::family(file), None);
    }
    let detected = Detected::of(file).named(stem);
    match detected.other {
        Some(Other::Lora) => return other(Part::Lora, adapters::family(file), None),
        Some(Other::ControlNet) => return other(Part::ControlNet, family_of_controlnet(&names, file), None),
        Some(Other::Embedding) => return other(Part::Embedding, None, None),
        Some(Other::Named(what) | Other::Relative(what)) => return other(Part::Other, None, Some(what)),
        None => {}
    }
    let denoiser = detected.any_part(&[Component::Unet, Component::Transformer]);
    let Some(main) = denoiser.or(detected.parts.first()) else {
        let is_embedding =
            names.len() <= MOST_OF_AN_EMBEDDING && Inversion::from_source(file.source.as_ref(), stem).is_ok();
        return if is_embedding { other(Part::Embedding, None, None) } else { None };
    };
    let part = match main.component {
        _ if detected.parts.len() > 1 && denoiser.is_some() => Part::Checkpoint,
        Component::Unet => Part::Unet,
        Component::Transformer => Part::Transformer,
        Component::Vae => Part::Vae,
        Component::ClipL | Component::ClipH | Component::ClipG => Part::Clip,
        Component::T5 => Part::T5,
        Component::ControlNet => Part::ControlNet,
        Component::Adapter => return other(Part::Other, None, Some(main.component.name())),
    };
    let (family, variant) = family_and_variant(file, &detected, &main.prefix);
    let naming = match main.naming {
        Naming::Diffusers => "diffusers",
        Naming::Original => "original",
        Naming::LlamaCpp => "llama.cpp",
    };
    Some(Kind { part, family, variant, naming: Some(naming) })
}

/// Tensors in a file of textual inversion, at most.
const MOST_OF_AN_EMBEDDING: usize = 16;

/// The family, and which of its models it is like; `prefix` stands in front of the names of the denoiser, or of the one part.
fn family_and_variant(file: &WeightFile, detected: &Detected, prefix: &str) -> (Option<Family>, Option<&'static str>) {
    let dim =
        |name: &str| file.source.info(&format!("{prefix}{name}")).and_then(|(shape, _)| shape.dims().get(1).copied());
    let task = match detected.variant {
        Variant::Plain => "text-to-image",
        Variant::Inpaint => "inpainting",
        Variant::Edit => "picture editing",
        Variant::Channels(5) => "depth-to-image",
        Variant::Channels(7) => "upscaling",
        Variant::Channels(_) => "of unusual input",
    };
    match detected.family {
        Some(detect::Family::Sd1) => (Some(Family::Sd1), Some(task)),
        Some(detect::Family::Sd2) => (Some(Family::Sd2), Some(task)),
        Some(detect::Family::Sdxl) => (Some(Family::Sdxl), Some(task)),
        Some(detect::Family::SdxlRefiner) => (Some(Family::Sdxl), Some("refiner")),
        Some(detect::Family::SdxlEdm) => (Some(Family::Sdxl), Some("EDM")),
        Some(detect::Family::Sd3) => {
            let newer = detected.edition.is_some_and(Edition::is_sd35);
            (Some(if newer { Family::Sd35 } else { Family::Sd3 }), detected.edition.map(Edition::name))
        }
        Some(detect::Family::Flux) => (Some(Family::Flux), detected.edition.map(Edition::name)),
        // Autoencoders of several families have the same names; latents of 16 channels are of the newer ones.
        None => match dim("decoder.conv_in.weight") {
            Some(4) => (None, Some("latents of 4 channels")),
            Some(16) => (None, Some("latents of 16 channels")),
            _ => (None, None),
        },
    }
}

/// SDXL is told by what it adds to the timestep, SD 2.x by linear layers where SD 1.x has convolutions of one pixel.
fn family_of_controlnet(names: &[&str], file: &WeightFile) -> Option<Family> {
    let any = |parts: &[&str]| names.iter().any(|name| parts.iter().any(|part| name.contains(part)));
    match () {
        () if any(&["double_blocks.", "single_transformer_blocks.", "controlnet_x_embedder."]) => Some(Family::Flux),
        () if any(&["joint_blocks.", "add_q_proj."]) => Some(Family::Sd3),
        () if any(&["add_embedding.linear_1.", "label_emb.0.0."]) => Some(Family::Sdxl),
        () => {
            let proj_in = names.iter().find(|name| name.ends_with(".proj_in.weight"))?;
            match file.source.info(proj_in)?.0.rank() {
                4 => Some(Family::Sd1),
                2 => Some(Family::Sd2),
                _ => None,
            }
        }
    }
}
