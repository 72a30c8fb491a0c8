//! The family of a model, by the structure of its denoiser.

use std::fmt;

use super::edition::Edition;
use super::parts::{Component, Part};
use crate::nn::ParamSource;
use crate::weights::WeightFile;

/// A family of models that share their networks' structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion 1.1 to 1.5.
    Sd1,
    /// Stable Diffusion 2.0 and 2.1.
    Sd2,
    /// Stable Diffusion XL.
    Sdxl,
    /// The second stage of Stable Diffusion XL.
    SdxlRefiner,
    /// Playground v2.5, and others of SDXL's structure that are sampled as EDM (Karras et al. 2022).
    SdxlEdm,
    /// Stable Diffusion 3 and 3.5.
    Sd3,
    /// FLUX.1.
    Flux,
}

/// What a denoiser wants beside noise and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Variant {
    /// Nothing.
    #[default]
    Plain,
    /// A mask and a masked picture: 9 input channels.
    Inpaint,
    /// A picture: 8 input channels, as InstructPix2Pix.
    Edit,
    /// Something else, by the number of input channels: a depth map, a small picture.
    Channels(usize),
}

impl Family {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::Sd1 => "SD 1.x",
            Family::Sd2 => "SD 2.x",
            Family::Sdxl => "SDXL",
            Family::SdxlRefiner => "SDXL refiner",
            Family::SdxlEdm => "SDXL in EDM form",
            Family::Sd3 => "SD 3",
            Family::Flux => "FLUX.1",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Variant {
    /// How messages name it; nothing for the plain one.
    #[must_use]
    pub fn name(self) -> Option<String> {
        match self {
            Variant::Plain => None,
            Variant::Inpaint => Some("inpainting".into()),
            Variant::Edit => Some("picture editing".into()),
            Variant::Channels(channels) => Some(format!("with {channels} input channels")),
        }
    }
}

/// The family and variant of a file with these parts, and such a transformer.
pub fn find(file: &WeightFile, parts: &[Part], edition: Option<Edition>) -> (Option<Family>, Variant) {
    let part = |component| parts.iter().find(|part| part.component == component);
    if let Some(unet) = part(Component::Unet).or_else(|| part(Component::ControlNet)) {
        let view = unet.view(&file.source);
        return (Some(of_unet(file, &view, parts)), variant(&view));
    }
    (edition.map(|edition| if edition.is_flux() { Family::Flux } else { Family::Sd3 }), Variant::Plain)
}

fn of_unet(file: &WeightFile, unet: &dyn ParamSource, parts: &[Part]) -> Family {
    let has = |name: &str| file.source.info(name).is_some();
    if unet.info("add_embedding.linear_1.weight").is_some() {
        // The refiner has the larger encoder alone, and one level more.
        let levels = (0..8).take_while(|i| unet.info(&format!("down_blocks.{i}.resnets.0.conv1.weight")).is_some());
        return match () {
            () if has("edm_mean") || has("edm_vpred.sigma_max") => Family::SdxlEdm,
            () if levels.count() > 3 || has("conditioner.embedders.0.model.ln_final.weight") => Family::SdxlRefiner,
            () => Family::Sdxl,
        };
    }
    let encoder = parts.iter().find(|part| part.component.is_text_encoder()).map(|part| part.component);
    match (encoder, text_width(unet)) {
        (_, Some(768)) => Family::Sd1,
        (_, Some(1024)) => Family::Sd2,
        (Some(Component::ClipL), _) => Family::Sd1,
        (Some(Component::ClipH), _) => Family::Sd2,
        // The second version replaced convolutions by linear layers.
        _ if projection_is_linear(unet) => Family::Sd2,
        _ => Family::Sd1,
    }
}

/// The width of the text's vectors.
fn text_width(unet: &dyn ParamSource) -> Option<usize> {
    let name = unet.names().into_iter().find(|name| name.ends_with("attn2.to_k.weight"))?;
    unet.info(&name)?.0.dims().get(1).copied()
}

fn projection_is_linear(unet: &dyn ParamSource) -> bool {
    let name = unet.names().into_iter().find(|name| name.ends_with("attentions.0.proj_in.weight"));
    name.and_then(|name| unet.info(&name)).is_some_and(|(shape, _)| shape.rank() == 2)
}

fn variant(unet: &dyn ParamSource) -> Variant {
    let channels = unet.info("conv_in.weight").and_then(|(shape, _)| shape.dims().get(1).copied());
    match channels {
        None | Some(4) => Variant::Plain,
        Some(9) => Variant::Inpaint,
        Some(8) => Variant::Edit,
        Some(channels) => Variant::Channels(channels),
    }
}
