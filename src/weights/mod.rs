//! Containers of weights (safetensors, PyTorch checkpoints): opened, checked before anything in them is trusted, mapped into
//! memory.
//! Models never see this module: they take their tensors from `nn::Params`, whose sources are implemented here.

mod error;
mod header;
mod map;
pub mod pickle;
mod safetensors;
mod sharded;
mod sniff;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use error::{Mismatch, ShapeMismatch, WeightsError};
pub use safetensors::Safetensors;
pub use sharded::Sharded;
pub(crate) use sniff::refuse_other_formats;

use crate::nn::ParamSource;

/// Opens a file of weights: `*.safetensors`, the `*.safetensors.index.json` of a model in several files, or a PyTorch
/// checkpoint, which is known by its first bytes.
///
/// # Errors
/// When the file is not there, or is not what its name says: every kind of damage has its own message and hint.
pub fn open(path: &Path) -> Result<Arc<dyn ParamSource>, WeightsError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".index.json") {
        return Ok(Arc::new(Sharded::open(path)?));
    }
    let map = map::map(path)?;
    let label = path.display().to_string();
    if pickle::is_torch(&map) {
        return Ok(Arc::new(pickle::TorchFile::new(label, map)?));
    }
    Ok(Arc::new(Safetensors::mapped(label, map)?))
}
