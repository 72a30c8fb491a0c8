//! Files of weights for tests.

#[expect(dead_code, reason = "shared with the tests of the whole command, which use more of it")]
#[path = "../../tests/it/single_file.rs"]
mod single_file;

use std::sync::Arc;

pub use single_file::{checkpoint, ckpt, file, fixtures, zeros, Stored};

use super::{Container, Safetensors, WeightFile};

/// An opened safetensors file of these tensors, with words beside them.
pub fn of_tensors(tensors: &[Stored], metadata: &[(&str, &str)]) -> WeightFile {
    let source = Safetensors::from_static("test.safetensors", file(tensors, metadata).leak()).unwrap();
    let metadata = source.metadata().clone();
    WeightFile { source: Arc::new(source), container: Container::Safetensors, metadata }
}

/// A tensor of f32 as it is stored.
pub fn floats(name: &str, shape: &[usize], values: &[f32]) -> Stored {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Stored { name: name.into(), dtype: "F32".into(), shape: shape.into(), bytes }
}
