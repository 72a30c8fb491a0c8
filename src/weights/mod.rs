//! Containers of weights (safetensors, PyTorch checkpoints): opened, checked before anything in them is trusted, mapped into memory.
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

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use error::{Mismatch, ShapeMismatch, WeightsError};
pub use safetensors::Safetensors;
pub use sharded::Sharded;

use crate::nn::ParamSource;

/// Opens a file of weights: `*.safetensors`, a PyTorch checkpoint (known by its first bytes), or the `*.safetensors.index.json` of a model in several files.
///
/// # Errors
/// When the file is not there, or is not what its name says: every kind of damage has its own message and hint.
pub fn open(path: &Path) -> Result<Arc<dyn ParamSource>, WeightsError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".index.json") {
        return Ok(Arc::new(Sharded::open(path)?));
    }
    if pickle::is_torch(&first_bytes(path)) {
        return Ok(Arc::new(pickle::TorchFile::open(path)?));
    }
    Ok(Arc::new(Safetensors::open(path)?))
}

/// The first four bytes of a file; none when it cannot be read, which opening it will say better.
fn first_bytes(path: &Path) -> Vec<u8> {
    let mut start = Vec::new();
    // A failed read leaves fewer bytes, which no format begins with.
    let _ = File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
    start
}
