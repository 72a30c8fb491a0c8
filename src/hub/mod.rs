//! Finding a model: what the user named becomes a set of files. Nothing is read here but small JSON files.

mod built_in;
mod files;

pub use files::{resolve, ModelFiles};
