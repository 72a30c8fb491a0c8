//! Containers of weights (safetensors, GGUF, PyTorch checkpoints): opened, checked before anything in them is trusted, mapped into
//! memory.
//! Models never see this module: they take their tensors from `nn::Params`, whose sources are implemented here.

mod control_lora;
pub mod detect;
mod difference;
mod error;
mod gguf;
mod header;
#[cfg(test)]
mod hostile;
pub mod lora;
pub mod low_rank;
mod map;
pub mod names;
mod padded;
pub mod pickle;
mod random;
mod safetensors;
mod scaled;
mod shape;
mod sharded;
mod sniff;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use difference::{is_mark as is_mark_of_difference, Difference};
pub use error::{shortened, Mismatch, ShapeMismatch, WeightsError};
pub use gguf::Kind;
pub use padded::Padded;
pub use random::RandomWeights;
pub use safetensors::Safetensors;
pub use sharded::{is_index, Sharded};
pub(crate) use sniff::refuse_other_formats;

use crate::nn::ParamSource;

/// A file of weights, opened: its tensors, and what it says about itself.
#[derive(Clone)]
pub struct WeightFile {
    /// The tensors, read when they are asked for.
    pub source: Arc<dyn ParamSource>,
    /// The format of the file.
    pub container: Container,
    /// Words that the file carries beside its tensors: `__metadata__` of safetensors, whole numbers of a checkpoint's outermost
    /// dict (`global_step`).
    pub metadata: BTreeMap<String, String>,
}

/// The format of a file of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// `.safetensors`.
    Safetensors,
    /// Several `.safetensors` files with their index.
    Sharded,
    /// A pickle: `.ckpt`, `.pt`, `.bin`.
    Torch,
    /// `.gguf`.
    Gguf,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Container::Safetensors => "safetensors",
            Container::Sharded => "safetensors, sharded",
            Container::Torch => "PyTorch checkpoint",
            Container::Gguf => "GGUF",
        })
    }
}

impl fmt::Debug for WeightFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeightFile({}, {})", self.source.label(), self.container)
    }
}

/// The tensors of a file of weights; see [`open_file`].
///
/// # Errors
/// As [`open_file`].
pub fn open(path: &Path) -> Result<Arc<dyn ParamSource>, WeightsError> {
    Ok(open_file(path)?.source)
}

/// Opens a file of weights: `*.safetensors`, the `*.safetensors.index.json` of a model in several files, or a GGUF
/// file or PyTorch checkpoint, which are known by their first bytes. Weights of eight bits are handed out with their scales applied, thin
/// factors of a Control-LoRA as their products.
///
/// # Errors
/// When the file is not there, or is not what its name says: every kind of damage has its own message and hint.
pub fn open_file(path: &Path) -> Result<WeightFile, WeightsError> {
    let file = open_container(path)?;
    let source = control_lora::show_products(scaled::apply_scales(file.source)?);
    Ok(WeightFile { source, ..file })
}

fn open_container(path: &Path) -> Result<WeightFile, WeightsError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if sharded::is_index(&name) {
        let source = Arc::new(Sharded::open(path)?);
        return Ok(WeightFile { source, container: Container::Sharded, metadata: BTreeMap::new() });
    }
    let map = map::map(path)?;
    let label = path.display().to_string();
    if pickle::is_torch(&map) {
        let file = pickle::TorchFile::new(label, map.into())?;
        let metadata = file.numbers().clone();
        return Ok(WeightFile { source: Arc::new(file), container: Container::Torch, metadata });
    }
    if map.starts_with(gguf::MAGIC) {
        let file = gguf::Gguf::new(label, map.into())?;
        let metadata = file.metadata().clone();
        return Ok(WeightFile { source: Arc::new(file), container: Container::Gguf, metadata });
    }
    let file = Safetensors::new(label, map.into())?;
    let metadata = file.metadata().clone();
    Ok(WeightFile { source: Arc::new(file), container: Container::Safetensors, metadata })
}
