//! Which components a file holds, by the names that each of them has for sure.

use std::collections::HashSet;
use std::sync::Arc;

use crate::nn::ParamSource;
use crate::weights::names::{clip, controlnet, flux, mmdit, t2i_adapter, t5, unet, vae, Renamed, Target};

/// A network inside a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// The denoiser of Stable Diffusion 1, 2 and SDXL.
    Unet,
    /// The denoiser of later families, which is all transformer.
    Transformer,
    /// The autoencoder.
    Vae,
    /// OpenAI's CLIP text encoder: the only one of SD 1.x, the first of SDXL.
    ClipL,
    /// OpenCLIP's large text encoder: the only one of SD 2.x.
    ClipH,
    /// OpenCLIP's largest text encoder: the second of SDXL.
    ClipG,
    /// T5's encoder.
    T5,
    /// A ControlNet of Stable Diffusion 1, 2 or SDXL.
    ControlNet,
    /// A T2I-Adapter for the same.
    Adapter,
}

/// Whose names the tensors have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Those of diffusers and transformers.
    Diffusers,
    /// Those of the original code: LDM, OpenCLIP, Black Forest Labs, Stability AI.
    Original,
    /// Those of llama.cpp.
    LlamaCpp,
}

/// A component inside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub component: Component,
    /// What stands in front of its tensors' names.
    pub prefix: String,
    /// Whose names they have behind that.
    pub naming: Naming,
}

/// A name that only one component has, behind each of these prefixes.
struct Marker {
    component: Component,
    naming: Naming,
    name: &'static str,
    prefixes: &'static [&'static str],
}

/// Of the transformer of FLUX.1 in its original names.
pub(super) const FLUX: &str = "double_blocks.0.img_attn.qkv.weight";

const UNET: &[&str] = &["model.diffusion_model.", "diffusion_model.", "unet.", ""];
const VAE: &[&str] = &["first_stage_model.", "vae.", ""];
const CONTROLNET: &[&str] = &["control_model.", "controlnet.", ""];
const ADAPTER: &[&str] = &["adapter.", ""];
const CLIP_L: &[&str] =
    &["cond_stage_model.transformer.", "conditioner.embedders.0.transformer.", "text_encoders.clip_l.transformer."];
const CLIP_G: &[&str] = &["cond_stage_model.1.transformer.", "text_encoders.clip_g.transformer."];

const MARKERS: [Marker; 23] = [
    // Before the UNet, half of which it is.
    marker(Component::ControlNet, Naming::Original, "input_hint_block.0.weight", CONTROLNET),
    marker(Component::ControlNet, Naming::Diffusers, "controlnet_cond_embedding.conv_in.weight", CONTROLNET),
    marker(Component::Adapter, Naming::Diffusers, "adapter.body.0.resnets.0.block1.weight", &[""]),
    marker(Component::Adapter, Naming::Original, "body.0.block1.weight", ADAPTER),
    marker(Component::Adapter, Naming::Original, "body.0.body.0.block1.weight", ADAPTER),
    marker(Component::Unet, Naming::Original, "input_blocks.0.0.weight", UNET),
    marker(Component::Unet, Naming::Diffusers, "down_blocks.0.resnets.0.time_emb_proj.weight", UNET),
    marker(Component::Transformer, Naming::Original, FLUX, UNET),
    marker(Component::Transformer, Naming::Original, "joint_blocks.0.x_block.attn.qkv.weight", UNET),
    marker(Component::Transformer, Naming::Diffusers, "transformer_blocks.0.attn.add_k_proj.weight", UNET),
    marker(Component::Vae, Naming::Original, "decoder.mid.block_1.conv1.weight", VAE),
    marker(Component::Vae, Naming::Diffusers, "decoder.mid_block.resnets.0.conv1.weight", VAE),
    marker(Component::ClipL, Naming::Diffusers, "text_model.final_layer_norm.weight", CLIP_L),
    marker(Component::ClipL, Naming::Diffusers, "encoder.layers.0.layer_norm1.weight", CLIP_L),
    marker(Component::ClipG, Naming::Diffusers, "text_model.final_layer_norm.weight", CLIP_G),
    marker(Component::ClipH, Naming::Original, "ln_final.weight", &["cond_stage_model.model."]),
    marker(Component::ClipG, Naming::Original, "ln_final.weight", &["conditioner.embedders.1.model."]),
    marker(Component::ClipG, Naming::Original, "ln_final.weight", &["conditioner.embedders.0.model."]),
    // Alone in a file, text encoders are told apart by their width.
    marker(Component::ClipL, Naming::Diffusers, "text_model.final_layer_norm.weight", &[""]),
    marker(Component::ClipL, Naming::Diffusers, "encoder.layers.0.layer_norm1.weight", &[""]),
    marker(Component::ClipG, Naming::Original, "ln_final.weight", &[""]),
    marker(
        Component::T5,
        Naming::Diffusers,
        "encoder.block.0.layer.0.SelfAttention.q.weight",
        &["text_encoders.t5xxl.transformer.", ""],
    ),
    marker(Component::T5, Naming::LlamaCpp, "enc.blk.0.attn_q.weight", &[""]),
];

const fn marker(component: Component, naming: Naming, name: &'static str, prefixes: &'static [&'static str]) -> Marker {
    Marker { component, naming, name, prefixes }
}

/// The components of a file; the first of a kind when there are several.
pub fn find(source: &dyn ParamSource) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for marker in &MARKERS {
        let has = |prefix: &&&str| source.info(&format!("{prefix}{}", marker.name)).is_some();
        let Some(prefix) = marker.prefixes.iter().find(has) else { continue };
        let component = match (marker.component, *prefix) {
            (Component::ClipL | Component::ClipG, "") => by_width(source, marker.name, marker.component),
            (Component::ClipL, _) if marker.prefixes == CLIP_L => {
                by_width(source, &format!("{prefix}{}", marker.name), Component::ClipL)
            }
            (component, _) => component,
        };
        if !parts.iter().any(|part| part.component == component) {
            parts.push(Part { component, prefix: (*prefix).into(), naming: marker.naming });
        }
    }
    parts.sort_by_key(|part| part.component);
    parts
}

/// The text encoder whose layers have the width of the norm `name`.
fn by_width(source: &dyn ParamSource, name: &str, otherwise: Component) -> Component {
    let width = source.info(name).and_then(|(shape, _)| shape.dims().first().copied());
    match width {
        Some(768) => Component::ClipL,
        Some(1024) => Component::ClipH,
        Some(1280) => Component::ClipG,
        _ => otherwise,
    }
}

impl Part {
    /// The part's tensors under the names that the models use.
    #[must_use]
    pub fn view(&self, source: &Arc<dyn ParamSource>) -> Renamed {
        let names = source.names();
        let inner = || names.iter().filter_map(|name| name.strip_prefix(self.prefix.as_str()));
        match (self.component, self.naming) {
            (Component::Unet, Naming::Original) => {
                let layers = unet::layers_per_block(inner());
                Renamed::new(Arc::clone(source), &self.prefix, |name| unet::rename(name, layers))
            }
            (Component::ControlNet, Naming::Original) => {
                let layers = unet::layers_per_block(inner());
                Renamed::new(Arc::clone(source), &self.prefix, |name| controlnet::rename(name, layers))
            }
            (Component::Adapter, Naming::Original) => {
                let depth = t2i_adapter::depth(inner());
                Renamed::new(Arc::clone(source), &self.prefix, |name| t2i_adapter::rename(name, depth))
            }
            (Component::Transformer, Naming::Original) if source.info(&format!("{}{FLUX}", self.prefix)).is_some() => {
                Renamed::new(Arc::clone(source), &self.prefix, flux::rename)
            }
            (Component::Transformer, Naming::Original) => {
                let blocks = mmdit::blocks(inner());
                Renamed::new(Arc::clone(source), &self.prefix, |name| mmdit::rename(name, blocks))
            }
            (Component::T5, _) => Renamed::new(Arc::clone(source), &self.prefix, t5::rename),
            (Component::Vae, Naming::Original) => {
                let levels = vae::levels(inner());
                let mut view = Renamed::new(Arc::clone(source), &self.prefix, |name| vae::rename(name, levels));
                view.retain(|name| !name.contains(vae::TRAINING));
                view
            }
            (Component::ClipL | Component::ClipH | Component::ClipG, _) => {
                let mut view = Renamed::new(Arc::clone(source), &self.prefix, clip::rename);
                view.retain(|name| !clip::PICTURES.iter().any(|front| name.starts_with(front)));
                view
            }
            _ => Renamed::new(Arc::clone(source), &self.prefix, |name| {
                vec![Target { name: name.into(), piece: crate::weights::names::Piece::Whole }]
            }),
        }
    }

    /// As [`Self::view`], but with the averaged weights (EMA) that some training checkpoints hold beside the UNet's: their names are
    /// the UNet's without dots. Nothing when the file has none, or the part is none that has them.
    #[must_use]
    pub fn averaged(&self, source: &Arc<dyn ParamSource>) -> Option<Renamed> {
        let names: HashSet<String> = source.names().into_iter().collect();
        if self.component != Component::Unet || !names.iter().any(|name| is_averaged(name)) {
            return None;
        }
        let plain = self.view(source);
        let places: Vec<(String, Vec<Target>)> = plain
            .stored()
            .filter_map(|(name, stored, piece)| {
                let short = stored.strip_prefix("model.").unwrap_or(stored).replace('.', "");
                let averaged = format!("{AVERAGED}{short}");
                names.contains(&averaged).then(|| (averaged, vec![Target { name: name.into(), piece }]))
            })
            .collect();
        let places: std::collections::HashMap<String, Vec<Target>> = places.into_iter().collect();
        Some(Renamed::from_names(Arc::clone(source), |stored| places.get(stored).cloned().unwrap_or_default()))
    }
}

const AVERAGED: &str = "model_ema.";

/// Whether a tensor is of the averaged copy of the UNet.
pub fn is_averaged(name: &str) -> bool {
    name.starts_with("model_ema.diffusion_model")
}
