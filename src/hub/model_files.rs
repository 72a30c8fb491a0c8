//! [`ModelFiles`]: a model as a folder in the diffusers layout, whether it is one on disk, inside the binary, a single file, or put
//! together from several files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bare::{wanted, Bare};
use super::cache::name_of_snapshot;
use super::layout::{is_there, weight_file, WHOLE};
use super::random::Published;
use super::{built_in, parts};
use crate::request::BUILT_IN_MODEL;
use crate::sampling::Prediction;
use crate::weights::detect::Edition;
use crate::{Error, Result};

/// A model's files, by their places in the diffusers layout.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    pub(super) place: Place,
    /// Components that are taken from elsewhere.
    pub(super) parts: Vec<(&'static str, Part)>,
    /// A folder whose configs and vocabularies go before all others.
    pub(super) config: Option<PathBuf>,
    /// What the user says that the network predicts.
    pub(super) prediction: Option<Prediction>,
    /// Whether the averaged weights of a training checkpoint are meant.
    pub(super) averaged: bool,
    /// Whether the model is to do without T5.
    pub(super) without_t5: bool,
}

/// Where a model lies.
#[derive(Debug, Clone)]
pub(super) enum Place {
    BuiltIn,
    Folder(PathBuf),
    File(Arc<Bare>),
    Random(Published),
}

/// Where a single component lies.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// A folder with `config.json` and weights.
    Folder(PathBuf),
    File(Arc<Bare>),
}

impl ModelFiles {
    /// The model's name: that of its folder, of its repository in the cache, or of its file without the ending. Never a path.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.place {
            Place::BuiltIn => BUILT_IN_MODEL.into(),
            Place::File(file) => file.stem(),
            Place::Random(published) => published.name().into(),
            Place::Folder(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                if let Some(name) = name_of_snapshot(&whole) {
                    return name;
                }
                whole.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned())
            }
        }
    }

    /// Whether this is the model inside the binary.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        matches!(self.place, Place::BuiltIn)
    }

    /// The folder in diffusers' layout that the model is; `None` for the one inside the binary, single files and random weights.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder),
            Place::BuiltIn | Place::File(_) | Place::Random(_) => None,
        }
    }

    /// The single file that the model is.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(file) => Some(file.path()),
            Place::BuiltIn | Place::Folder(_) | Place::Random(_) => None,
        }
    }

    /// The file or folder that the model is; `None` for one that is neither.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.folder().or_else(|| self.file())
    }

    /// The file of a part's weights in the model's own folder; `None` for models that are none.
    #[must_use]
    pub fn weight_path(&self, component: &str) -> Option<PathBuf> {
        let folder = self.folder().filter(|_| self.part(component).is_none())?;
        weight_file(&folder.join(component))
    }

    /// Whether the model is to do without T5.
    #[must_use]
    pub fn without_t5(&self) -> bool {
        self.without_t5
    }

    /// Whether the model is a single file, or none, and so brings no vocabulary.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        matches!(self.place, Place::File(_) | Place::Random(_)) && self.config.is_none()
    }

    /// Bytes that random weights take in memory at least; none for weights that lie in files.
    #[must_use]
    pub fn random_bytes(&self) -> u64 {
        match self.place {
            Place::Random(published) => published.parameters() * size_of::<half::f16>() as u64,
            Place::BuiltIn | Place::Folder(_) | Place::File(_) => 0,
        }
    }

    /// Whether a component comes from a file without a folder.
    pub(super) fn has_bare(&self, component: &str) -> bool {
        matches!((self.part(component), &self.place), (Some(Part::File(_)), _) | (None, Place::File(_)))
    }

    /// What was found in files without a folder, a line each: "model.safetensors: SD 1.x, f16, with VAE and text encoder".
    #[must_use]
    pub fn found(&self) -> Vec<String> {
        let base = match &self.place {
            Place::File(file) => Some(file),
            Place::BuiltIn | Place::Folder(_) | Place::Random(_) => None,
        };
        let parts = self.parts.iter().filter_map(|(_, part)| match part {
            Part::File(file) => Some(file),
            Part::Folder(_) => None,
        });
        base.into_iter().chain(parts).flat_map(|file| self.found_in(file)).collect()
    }

    fn found_in(&self, file: &Bare) -> Vec<String> {
        let mut notes = vec![format!("{}: {}", file.file_name(), file.detected)];
        if file.detected.averaged {
            let note = if self.averaged {
                "taking its averaged weights (EMA)"
            } else {
                "it holds averaged weights (EMA) as well; `--ema` takes them"
            };
            notes.push(format!("{}: {note}", file.file_name()));
        }
        if file.detected.edition == Some(Edition::FluxKontext) {
            notes.push(format!(
                "{}: taken for Kontext because it is called so: its tensors are those of FLUX.1 dev",
                file.file_name()
            ));
        }
        notes
    }

    /// What the user, or the file of the denoiser where it is not the model's own, says that the network predicts.
    #[must_use]
    pub fn prediction(&self) -> Option<Prediction> {
        let told = || match self.part("unet") {
            Some(Part::File(file)) => file.detected.prediction.velocity,
            _ => None,
        };
        let of = |velocity| if velocity { Prediction::Velocity } else { Prediction::Epsilon };
        self.prediction.or_else(|| told().map(of))
    }

    pub(super) fn part(&self, component: &str) -> Option<&Part> {
        self.parts.iter().find(|(name, _)| *name == component).map(|(_, part)| part)
    }

    /// Where a file lies, for messages.
    #[must_use]
    pub fn label(&self, path: &str) -> String {
        let (component, rest) = path.split_once('/').unwrap_or((path, ""));
        match (self.part(component), &self.place) {
            _ if self.in_config(path).is_some_and(|file| is_there(&file)) => {
                self.in_config(path).unwrap_or_default().display().to_string()
            }
            (Some(Part::Folder(folder)), _) => folder.join(rest).display().to_string(),
            (Some(Part::File(file)), _) => file.label(),
            (None, Place::BuiltIn) => format!("built-in {path}"),
            (None, Place::Folder(folder)) => folder.join(path).display().to_string(),
            (None, Place::File(file)) => format!("{} of {}", path, file.label()),
            (None, Place::Random(published)) => format!("{path} of {}", published.name()),
        }
    }

    /// Where a file lies in the folder whose configs go first, if there is one.
    pub(super) fn in_config(&self, path: &str) -> Option<PathBuf> {
        self.config.as_ref().map(|folder| folder.join(path))
    }

    /// Refuses a single file that lacks what no other option brings.
    pub(super) fn check_complete(&self) -> Result<()> {
        let Place::File(file) = &self.place else { return Ok(()) };
        let family = file.check_model()?;
        let mut needed = parts::needed(family, self.without_t5);
        let pipeline = self.pipeline()?;
        needed.retain(|part| !file.has(wanted(part.component, &pipeline)) && self.part(part.component).is_none());
        parts::check(file, family, &needed)
    }

    pub(super) fn part_missing(&self, path: &str) -> Error {
        let of_t5 = path.starts_with("text_encoder_3/");
        let hint = if of_t5 { format!("{WHOLE}; `--no-t5` does without T5") } else { WHOLE.into() };
        Error::model(format!("the model has a part missing: `{}` is not there", self.label(path)), hint)
    }
}

pub(super) fn built_in_file(path: &str) -> Option<&'static [u8]> {
    built_in::FILES.iter().find(|(name, _)| *name == path).map(|(_, bytes)| *bytes)
}
