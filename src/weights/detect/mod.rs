//! What a file of weights is, by the names and shapes of its tensors: the parts it holds, the family and the variant, how its numbers
//! are stored, what its network predicts where it says so. No config is needed and no number is read.
//!
//! [`detect`] is the way in. [`parts`] has the names of components, [`kinds`] those of everything else, [`prediction`] what files say
//! about it, [`sizes`] what a config would say as far as tensors show it.

mod edition;
mod family;
mod kinds;
mod parts;
mod prediction;
pub mod sizes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

pub use edition::Edition;
pub use family::{Family, Variant};
pub use kinds::Other;
pub use parts::{Component, Naming, Part};
pub use prediction::Told;

use super::names::Renamed;
use super::{open_file, Container, WeightFile, WeightsError};

/// What was found in a file of weights.
#[derive(Debug, Clone)]
pub struct Detected {
    /// The file's format.
    pub container: Container,
    /// The components, when it holds any; of a ControlNet that alone.
    pub parts: Vec<Part>,
    /// What it is instead, when it holds none or is known not to be a model.
    pub other: Option<Other>,
    /// The family of its denoiser, or of the part that it is.
    pub family: Option<Family>,
    /// Which published model its transformer is like.
    pub edition: Option<Edition>,
    /// What its denoiser wants beside a text.
    pub variant: Variant,
    /// What its denoiser predicts, where the file says so.
    pub prediction: Told,
    /// How its numbers are stored, by the bytes they take, most first: "f16", "q8_0".
    pub stored: Vec<String>,
    /// Whether the averaged weights of training (EMA) are inside, beside those in use.
    pub averaged: bool,
    /// The number of its tensors.
    pub tensors: usize,
}

/// Words of a file's metadata that name its model.
const TITLES: [&str; 3] = ["modelspec.architecture", "modelspec.title", "general.name"];

/// Opens a file and says what it is.
///
/// # Errors
/// As [`open_file`]. A file that is no model is no error here.
pub fn detect(path: &Path) -> Result<(WeightFile, Detected), WeightsError> {
    let file = open_file(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let detected = Detected::of(&file).named(&name);
    Ok((file, detected))
}

impl Detected {
    /// What an opened file is.
    #[must_use]
    pub fn of(file: &WeightFile) -> Self {
        let names = file.source.names();
        let parts = parts::find(file.source.as_ref());
        // A LoRA or ControlNet has names of what it changes; anything else beside a model's parts is an addition.
        let other = kinds::find(&names).filter(|other| parts.is_empty() || other.is_sure());
        let parts = match other {
            None => parts,
            Some(Other::ControlNet) => {
                parts.into_iter().filter(|part| part.component == Component::ControlNet).collect()
            }
            Some(_) => Vec::new(),
        };
        let transformer = parts.iter().find(|part| part.component == Component::Transformer);
        let edition = transformer.and_then(|part| Edition::of(&part.view(&file.source)));
        let titles = TITLES.iter().filter_map(|title| file.metadata.get(*title));
        let edition = edition.map(|edition| titles.fold(edition, |edition, title| edition.called(title)));
        let (family, variant) = family::find(file, &parts, edition);
        Detected {
            container: file.container,
            family,
            edition,
            variant,
            prediction: Told::by(file),
            stored: stored_types(file, &names),
            averaged: names.iter().any(|name| parts::is_averaged(name)),
            tensors: names.len(),
            parts,
            other,
        }
    }

    /// The same, of a file with this name: some models are told from others by that alone.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Detected { edition: self.edition.map(|edition| edition.called(name)), ..self }
    }

    /// The part that is this component.
    #[must_use]
    pub fn part(&self, component: Component) -> Option<&Part> {
        self.parts.iter().find(|part| part.component == component)
    }

    /// The first part that is one of these components.
    #[must_use]
    pub fn any_part(&self, components: &[Component]) -> Option<&Part> {
        components.iter().find_map(|component| self.part(*component))
    }

    /// A component's tensors under the names that the models use.
    #[must_use]
    pub fn view(&self, file: &WeightFile, component: Component) -> Option<Renamed> {
        Some(self.part(component)?.view(&file.source))
    }

    /// The averaged weights of the UNet under the names that the models use.
    #[must_use]
    pub fn averaged_view(&self, file: &WeightFile) -> Option<Renamed> {
        self.part(Component::Unet)?.averaged(&file.source)
    }

    /// Whether the file holds a denoiser.
    #[must_use]
    pub fn has_denoiser(&self) -> bool {
        self.any_part(&[Component::Unet, Component::Transformer]).is_some()
    }

    /// The names of tensors that belong to no part: leftovers of training, constants of the sampler.
    #[must_use]
    pub fn without_part(&self, file: &WeightFile) -> Vec<String> {
        let mut names = file.source.names();
        let of_part =
            |name: &String| self.parts.iter().any(|part| name.starts_with(&part.prefix)) || parts::is_averaged(name);
        names.retain(|name| !of_part(name));
        names.sort_unstable();
        names
    }
}

/// All types of a file, by the bytes that their tensors take.
fn stored_types(file: &WeightFile, names: &[String]) -> Vec<String> {
    let mut sizes: Vec<(String, usize)> = Vec::new();
    for name in names {
        let Some((kind, (shape, _))) = file.source.stored_type(name).zip(file.source.info(name)) else { continue };
        // Scalars and tables of whole numbers say nothing about the weights.
        if kind.starts_with('i') || kind.starts_with('u') {
            continue;
        }
        match sizes.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, size)) => *size += shape.elem_count(),
            None => sizes.push((kind, shape.elem_count())),
        }
    }
    sizes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sizes.into_iter().map(|(kind, _)| kind).collect()
}

/// One line for a user: "SD 1.x inpainting, f16, with VAE and text encoder".
impl fmt::Display for Detected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title())?;
        if let Some(kind) = self.stored.first() {
            write!(f, ", {kind}")?;
        }
        if !self.has_denoiser() {
            return Ok(());
        }
        let vae = self.part(Component::Vae).map(|_| "VAE");
        let encoders = self.parts.iter().filter(|part| part.component.is_text_encoder()).count();
        let encoders = match encoders {
            0 => None,
            1 => Some("text encoder"),
            _ => Some("text encoders"),
        };
        match (vae, encoders) {
            (Some(vae), Some(encoders)) => write!(f, ", with {vae} and {encoders}"),
            (Some(part), None) | (None, Some(part)) => write!(f, ", with {part} alone"),
            (None, None) => f.write_str(", without VAE and text encoder"),
        }
    }
}

impl Detected {
    /// What it is, without the details: "SD 2.x inpainting", "a LoRA", "a VAE".
    #[must_use]
    pub fn title(&self) -> String {
        if let Some(other) = self.other {
            return other.name().into();
        }
        if let Some(edition) = self.edition {
            return edition.title().into();
        }
        if let (true, Some(family)) = (self.has_denoiser(), self.family) {
            let variant = self.variant.name().map(|name| format!(" {name}")).unwrap_or_default();
            let velocity = if self.prediction.is_velocity() { ", v-prediction" } else { "" };
            return format!("{family}{variant}{velocity}");
        }
        match self.parts.as_slice() {
            [] => "no model that is known".into(),
            [one] => one.component.name().into(),
            several => several.iter().map(|part| part.component.name()).collect::<Vec<_>>().join(" and "),
        }
    }
}

impl Component {
    /// The name with its article.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Component::Unet => "a UNet",
            Component::Transformer => "a diffusion transformer",
            Component::Vae => "a VAE",
            Component::ClipL => "a text encoder (CLIP-L)",
            Component::ClipH => "a text encoder (OpenCLIP-H)",
            Component::ClipG => "a text encoder (OpenCLIP-G)",
            Component::T5 => "a text encoder (T5)",
            Component::ControlNet => "a ControlNet",
            Component::Adapter => "a T2I-Adapter",
        }
    }

    /// Whether it is one of CLIP's text encoders.
    #[must_use]
    pub fn is_clip(self) -> bool {
        matches!(self, Component::ClipL | Component::ClipH | Component::ClipG)
    }

    /// Whether it turns text into vectors.
    #[must_use]
    pub fn is_text_encoder(self) -> bool {
        self.is_clip() || self == Component::T5
    }
}
