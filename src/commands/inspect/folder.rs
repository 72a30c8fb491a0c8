//! The parts of a model in the diffusers layout and the files of their weights.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::hub::ModelFiles;
use crate::{weights, Error, Result};

/// A part of a model that has a folder of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The folder: "unet", "text_encoder_2", ...
    pub name: String,
    /// The class that the model's index names: "UNet2DConditionModel".
    pub class: String,
}

/// The parts that a model's index names, in its order; without those that it says are not there.
///
/// # Errors
/// [`Error::Model`] when there is no index, or it is no JSON object.
pub fn components(files: &ModelFiles) -> Result<Vec<Component>> {
    const INDEX: &str = "model_index.json";
    let index: serde_json::Map<String, Value> = serde_json::from_str(&files.text(INDEX)?).map_err(|e| {
        Error::model(format!("`{}` is not understood: {e}", files.label(INDEX)), "fetch the model's folder again")
    })?;
    let class = |value: &Value| Some(value.as_array()?.get(1)?.as_str()?.to_string());
    let parts = index.iter().filter(|(name, _)| is_plain(name));
    Ok(parts.filter_map(|(name, value)| Some(Component { name: name.clone(), class: class(value)? })).collect())
}

/// Whether a name from an index names a folder inside the model and nothing elsewhere.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// The files of weights in a folder, sorted: each by itself, and for several under one index the index alone.
///
/// # Errors
/// When the folder cannot be read.
pub fn component_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("read", folder))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort_unstable();
    let indexed = names.iter().any(|name| weights::is_index(name));
    let is_one = |name: &String| is_part(name) && !(indexed && is_shard(name) && name.ends_with(".safetensors"));
    Ok(names.into_iter().filter(is_one).map(|name| folder.join(name)).collect())
}

/// Whether a file is called as weights of a part are. Of `.bin` files those of PyTorch: other programs have some of their own.
fn is_part(name: &str) -> bool {
    weights::is_index(name)
        || name.ends_with(".safetensors")
        || (Path::new(name).extension().is_some_and(|ending| ending == "bin") && name.contains("pytorch_model"))
}

/// Whether a file is called as weights are, of a part or of a whole model.
#[must_use]
pub fn is_weights(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    is_part(&name) || [".gguf", ".ckpt", ".pt", ".pth"].iter().any(|end| name.ends_with(end))
}

/// Whether a name is that of one file of several: `...-00001-of-00002.safetensors`.
#[must_use]
pub fn is_shard(name: &str) -> bool {
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    let Some((rest, count)) = stem.rsplit_once("-of-") else { return false };
    digits(count) && rest.rsplit_once('-').is_some_and(|(_, number)| digits(number))
}
