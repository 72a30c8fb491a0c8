//! Folders: a model in the diffusers layout, or one part of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::line;
use super::tensors::TensorsInfo;
use crate::commands::inspect::{component_files, components, text};
use crate::hub::ModelFiles;
use crate::pipeline::class_of;
use crate::weights::{Container, WeightFile};
use crate::{Error, Result};

/// A model's folder.
#[derive(Serialize)]
pub struct ModelInfo {
    /// As it was named.
    file: String,
    /// What the model's index says that it holds; absent for one part alone.
    class: Option<String>,
    /// Its parts.
    parts: Vec<PartInfo>,
}

/// A part of a model.
#[derive(Serialize)]
struct PartInfo {
    name: String,
    class: Option<String>,
    files: Vec<TensorsInfo>,
}

impl ModelInfo {
    /// Of a folder with an index.
    ///
    /// # Errors
    /// When the index or a file of weights cannot be read.
    pub fn of(name: &str, files: &ModelFiles) -> Result<Self> {
        let mut parts = Vec::new();
        for part in components(files)? {
            let weights = match files.folder() {
                Some(folder) => in_folder(&folder.join(&part.name))?,
                None => files.weights(&part.name).map_or_else(
                    |_| Vec::new(),
                    |source| {
                        let (label, container) = (source.label(), Container::Safetensors);
                        let weights = WeightFile { source, container, metadata: BTreeMap::new() };
                        vec![TensorsInfo::of_weights(&label, Some("safetensors"), &weights)]
                    },
                ),
            };
            parts.push(PartInfo { name: part.name, class: Some(part.class), files: weights });
        }
        let index: serde_json::Value = serde_json::from_str(&files.text("model_index.json")?).unwrap_or_default();
        let class = index.get("_class_name").and_then(|class| class.as_str()).map(Into::into);
        Ok(ModelInfo { file: name.into(), class, parts })
    }

    /// Of one part's folder.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_part(name: &str, folder: &Path) -> Result<Self> {
        let config = folder.join("config.json");
        let bytes = crate::files::read_small(&config).map_err(Error::io("read", &config))?;
        let class = class_of(&serde_json::from_slice(&bytes).unwrap_or_default());
        let part = PartInfo { name: ".".into(), class, files: in_folder(folder)? };
        Ok(ModelInfo { file: name.into(), class: None, parts: vec![part] })
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.file.clone()];
        lines.extend(self.class.iter().flat_map(|class| line("pipeline", class)));
        for part in &self.parts {
            let class = part.class.as_deref().unwrap_or("of an unknown class");
            lines.extend(line(&part.name, class));
            for file in &part.files {
                lines.push(format!("    {}: {}", file.short_name(), file.facts()));
            }
        }
        let sum: u64 = self.parts.iter().flat_map(|part| &part.files).map(|file| file.bytes).sum();
        if sum > 0 {
            lines.extend(line("size", &text::size(sum)));
        }
        lines
    }
}

/// The files of weights of a part; none for parts without weights and those that were not fetched.
fn in_folder(folder: &Path) -> Result<Vec<TensorsInfo>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    component_files(folder)?.iter().map(|path| TensorsInfo::of(&path.to_string_lossy(), path)).collect()
}
