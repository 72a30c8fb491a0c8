//! The weights of a model's components, wherever they lie, and the bytes of their files.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use super::digest::{feed, Hasher};
use super::layout::{usual_name, weight_file, WEIGHT_FILES};
use super::model_files::{built_in_file, ModelFiles, Part, Place};
use crate::nn::ParamSource;
use crate::{weights, Result};

/// The bytes of a file of weights.
#[derive(Debug, Clone)]
pub enum Content {
    /// On a disk.
    File(PathBuf),
    /// Inside the binary.
    BuiltIn(&'static [u8]),
}

impl Content {
    /// The SHA-256, lower-case hex.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn sha256(&self) -> std::io::Result<String> {
        let mut hasher = Hasher::new(None, None);
        match self {
            Content::File(path) => drop(feed(&mut File::open(path)?, &mut hasher)?),
            Content::BuiltIn(bytes) => hasher.update(bytes),
        }
        Ok(hasher.finish().hex().into())
    }
}

impl ModelFiles {
    /// The weights of a component: `unet`, `vae`, `text_encoder`, ...
    ///
    /// # Errors
    /// [`crate::Error::Model`] when the component has no weights this version reads, [`crate::Error::Weights`] when they are damaged.
    pub fn weights(&self, component: &str) -> Result<Arc<dyn ParamSource>> {
        let missing = || self.part_missing(&format!("{component}/{}", usual_name(component)));
        match (self.part(component), &self.place) {
            (Some(Part::Folder(folder)), _) => Ok(weights::open(&weight_file(folder).ok_or_else(missing)?)?),
            (Some(Part::File(file)), _) | (None, Place::File(file)) => {
                let layers = self.text_layers(component)?;
                file.weights(self.wanted(component)?, layers, self.averaged)?.ok_or_else(missing)
            }
            (None, Place::Folder(folder)) => {
                Ok(weights::open(&weight_file(&folder.join(component)).ok_or_else(missing)?)?)
            }
            (None, Place::Random(published)) => Ok(Arc::new(published.weights(component))),
            (None, Place::BuiltIn) => {
                let (path, bytes) = WEIGHT_FILES
                    .iter()
                    .map(|file| format!("{component}/{file}"))
                    .find_map(|path| built_in_file(&path).map(|bytes| (path, bytes)))
                    .ok_or_else(|| self.part_missing(component))?;
                Ok(Arc::new(weights::Safetensors::from_static(&format!("built-in {path}"), bytes)?))
            }
        }
    }

    /// The number of layers that a text encoder's config asks for.
    fn text_layers(&self, component: &str) -> Result<Option<usize>> {
        if !component.starts_with("text_encoder") {
            return Ok(None);
        }
        let text = self.text(&format!("{component}/config.json"))?;
        let config: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        Ok(config["num_hidden_layers"].as_u64().map(|layers| layers as usize))
    }

    /// The file that holds a component's weights: its path inside the model, and its content. `None` when there is no such file.
    #[must_use]
    pub fn content(&self, component: &str) -> Option<(String, Content)> {
        let on_disk =
            |file: PathBuf| Some((format!("{component}/{}", file.file_name()?.to_str()?), Content::File(file.clone())));
        match (self.part(component), &self.place) {
            (Some(Part::Folder(folder)), _) => on_disk(weight_file(folder)?),
            (Some(Part::File(file)), _) | (None, Place::File(file)) => {
                Some((file.file_name(), Content::File(file.path().into())))
            }
            (None, Place::Folder(folder)) => on_disk(weight_file(&folder.join(component))?),
            (None, Place::Random(_)) => None,
            (None, Place::BuiltIn) => WEIGHT_FILES.iter().find_map(|file| {
                let path = format!("{component}/{file}");
                let bytes = built_in_file(&path)?;
                Some((path, Content::BuiltIn(bytes)))
            }),
        }
    }
}
