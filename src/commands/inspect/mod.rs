//! What a file is, as `verify`, `info` and `convert` see it: container, sizes, types of numbers, and the kind of model that its
//! tensors are of. Nothing is judged here.

mod file;
mod folder;
pub mod kind;
mod lora;
mod target;
pub mod text;

pub use file::{container, types};
pub use folder::{component_files, components, is_shard, is_weights, Component};
pub use kind::{identify, Kind, Part};
pub use lora::Lora;
pub use target::Target;
