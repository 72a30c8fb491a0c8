//! Models on their way to a disk, for `convert` and `lora-merge`.
//!
//! [`output`] says what goes with the name of the result. [`single`] puts the parts of a model together into one source with the
//! original names, [`folder`] writes a folder in diffusers' layout, [`file`] writes one file of any source: it decides the type of
//! each tensor and streams the numbers.

pub mod file;
pub mod folder;
pub mod output;
pub mod single;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::hub::ModelFiles;
use crate::nn::ParamSource;
use crate::Result;

/// A model that is to be written.
pub struct Model<'a> {
    /// Where it is.
    pub files: &'a ModelFiles,
    /// What the tensors of a part become, by the name that diffusers has for it.
    pub change: &'a Change<'a>,
    /// Adds to what a part's own file says about itself.
    pub tell: &'a Tell<'a>,
}

/// See [`Model::change`].
pub type Change<'a> = dyn Fn(&str, Arc<dyn ParamSource>) -> Arc<dyn ParamSource> + 'a;

/// See [`Model::tell`].
pub type Tell<'a> = dyn Fn(&str, &mut BTreeMap<String, String>) + 'a;

impl Model<'_> {
    /// The tensors of a part, changed.
    fn weights(&self, part: &str) -> Result<Arc<dyn ParamSource>> {
        Ok((self.change)(part, self.files.weights(part)?))
    }

    /// What a part's own file says, and what is to be said.
    fn words(&self, part: &str) -> Result<BTreeMap<String, String>> {
        let mut words = match self.files.weight_path(part) {
            Some(path) => crate::weights::open_file(&path)?.metadata,
            None => BTreeMap::new(),
        };
        (self.tell)(part, &mut words);
        Ok(words)
    }
}

/// The config of a model's scheduler; nothing of one that is no JSON.
fn scheduler(files: &ModelFiles) -> Result<Value> {
    Ok(serde_json::from_str(&files.text("scheduler/scheduler_config.json")?).unwrap_or_default())
}
