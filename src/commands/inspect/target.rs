//! What a name on the command line stands for.

use std::path::{Path, PathBuf};

use super::container;
use crate::hub::{self, ModelFiles};
use crate::request::Parts;
use crate::{Error, Result};

/// Something that was named.
pub enum Target {
    /// A model in the diffusers layout, or the one inside the binary.
    Model(ModelFiles),
    /// One part of such a model: a folder with `config.json`.
    Part(PathBuf),
    /// A file of tensors, or what should be one.
    File(PathBuf),
    /// A picture.
    Picture(PathBuf),
}

impl Target {
    /// Finds what a name stands for.
    ///
    /// # Errors
    /// [`Error::Model`] when there is nothing of that name, or a folder that is no model.
    pub fn find(name: &str) -> Result<Self> {
        let path = Path::new(name);
        if path.is_dir() && !path.join("model_index.json").is_file() && path.join("config.json").is_file() {
            return Ok(Target::Part(path.into()));
        }
        if path.is_dir() || !path.exists() {
            return Ok(Target::Model(hub::resolve(name, &Parts::default())?));
        }
        if !path.is_file() {
            return Err(Error::model(format!("`{name}` is a pipe or a device, not a file"), "give a file on a disk"));
        }
        match container(path) {
            Some("png" | "jpeg" | "webp") => Ok(Target::Picture(path.into())),
            _ => Ok(Target::File(path.into())),
        }
    }
}
