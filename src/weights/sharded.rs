//! Models in several safetensors files, listed by an `*.index.json`.

use std::collections::HashMap;
use std::path::{Component, Path};

use candle_core::{DType, Shape, Tensor};
use serde::Deserialize;

use super::{Safetensors, WeightsError};
use crate::files::read_small;
use crate::nn::{ParamSource, Quantized, Values};

/// The tensors of several files under one index.
pub struct Sharded {
    label: String,
    shards: Vec<Safetensors>,
    /// The shard of each tensor.
    places: HashMap<String, usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Sharded {
    /// Opens the index at `path` and all files that it names, which lie beside it.
    ///
    /// # Errors
    /// When the index or one of the files is missing or damaged, or a tensor is not in the file that the index names.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let label = path.display().to_string();
        let text = read_small(path).map_err(|e| WeightsError::io(path, e))?;
        super::refuse_other_formats(&label, &text)?;
        let bad = |reason: String| WeightsError::BadIndex { file: label.clone(), reason };
        let index: Index = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
        let mut files: Vec<&String> = index.weight_map.values().collect();
        files.sort_unstable();
        files.dedup();
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut shards = Vec::with_capacity(files.len());
        for file in &files {
            if !is_plain_name(file) {
                return Err(bad(format!("`{file}` is not the name of a file beside it")));
            }
            shards.push(Safetensors::open(&folder.join(file))?);
        }
        let mut places = HashMap::with_capacity(index.weight_map.len());
        for (name, file) in &index.weight_map {
            let shard = files.partition_point(|known| *known < file);
            if shards[shard].info(name).is_none() {
                return Err(bad(format!("tensor `{name}` is not in `{file}`")));
            }
            places.insert(name.clone(), shard);
        }
        Ok(Sharded { label, shards, places })
    }
}

/// Whether a file is called as a list of others is: `model.safetensors.index.json`, and for a variant
/// `model.safetensors.index.fp16.json`.
#[must_use]
pub fn is_index(name: &str) -> bool {
    name.split_once(".safetensors.index.").is_some_and(|(_, end)| end.ends_with("json"))
}

/// Whether `name` names a file in the same folder, and nothing elsewhere.
fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !name.contains('\\')
}

impl ParamSource for Sharded {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        self.shards[*self.places.get(name)?].info(name)
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        self.shards[*self.places.get(name)?].stored_type(name)
    }

    fn lend(&self, name: &str, take: &mut dyn FnMut(Values<'_>)) -> bool {
        self.places.get(name).is_some_and(|shard| self.shards[*shard].lend(name, take))
    }

    fn lends(&self, name: &str) -> bool {
        self.places.get(name).is_some_and(|shard| self.shards[*shard].lends(name))
    }

    fn quantized(&self, name: &str) -> Option<Quantized> {
        self.shards[*self.places.get(name)?].quantized(name)
    }

    fn release(&self) {
        self.shards.iter().for_each(Safetensors::release);
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        match self.places.get(name) {
            Some(shard) => self.shards[*shard].read(name),
            None => Err(WeightsError::BadIndex {
                file: self.label.clone(),
                reason: format!("tensor `{name}` is not in it"),
            }),
        }
    }
}
