//! PyTorch checkpoints (`.ckpt`, `.pt`, `.bin`, `.pth`): a pickle with the tensors' names beside their numbers.
//!
//! Python's pickles are programs, and loading one runs it. Nothing is run here: [`machine`] builds plain values, and a pickle
//! that asks for anything outside of the table in [`globals`] is refused with the name of what it asked for. Sizes, places
//! and strides of tensors are checked against the file before anything is read ([`tensor`]).
//!
//! [`archive`] finds the parts of the file; [`TorchFile`] is the result.

mod archive;
mod build;
mod error;
mod globals;
mod machine;
mod tensor;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Shape, Tensor};

use super::map::{map, Bytes};
use super::WeightsError;
use crate::nn::ParamSource;
use archive::Archive;
pub use error::PickleError;
use tensor::Placed;

/// The tensors of a PyTorch checkpoint. Names are the keys of nested dicts with dots between (`string_to_param.*`); a
/// checkpoint's outer `state_dict` is left out of them.
pub struct TorchFile {
    label: String,
    bytes: Bytes,
    content: Content,
}

/// What a checkpoint holds.
struct Content {
    tensors: HashMap<String, Placed>,
    numbers: BTreeMap<String, String>,
}

impl TorchFile {
    /// Maps the file and checks all tensors' places; numbers are read when they are asked for.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is more than tensors.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        Self::new(path.display().to_string(), map(path)?.into())
    }

    /// The file `label` with these bytes.
    pub(super) fn new(label: String, bytes: Bytes) -> Result<Self, WeightsError> {
        let content = read(&bytes).map_err(|source| WeightsError::Pickle { file: label.clone(), source })?;
        Ok(TorchFile { label, bytes, content })
    }

    /// The whole numbers of the checkpoint's outermost dict, such as `global_step`.
    #[must_use]
    pub fn numbers(&self) -> &BTreeMap<String, String> {
        &self.content.numbers
    }
}

/// What a whole file holds.
fn read(bytes: &[u8]) -> Result<Content, PickleError> {
    let archive = Archive::of(bytes)?;
    let values = machine::run(&bytes[archive.pickle.clone()])?;
    let tensors = tree::named_tensors(&values)?;
    let tensors = tensors.into_iter().map(|(name, tensor)| Ok((name, tensor.place(&archive)?)));
    Ok(Content { tensors: tensors.collect::<Result<_, PickleError>>()?, numbers: tree::outer_numbers(&values) })
}

/// Whether a file that begins like this is a PyTorch checkpoint: a zip archive, or the pickle of the older format.
pub(super) fn is_torch(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(archive::OLDER_MAGIC)
}

impl ParamSource for TorchFile {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn names(&self) -> Vec<String> {
        self.content.tensors.keys().cloned().collect()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        self.content.tensors.get(name).map(|tensor| (Shape::from_dims(&tensor.shape), tensor.dtype))
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let bad = |reason: String| WeightsError::BadTensor { file: self.label.clone(), tensor: name.into(), reason };
        let tensor = self.content.tensors.get(name).ok_or_else(|| bad("it is not there".into()))?;
        tensor.read(&self.bytes).map_err(|e| bad(e.to_string()))
    }
}
