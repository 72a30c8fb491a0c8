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
