//! `sdgen`: Stable Diffusion pictures from the command line, on [candle](https://github.com/huggingface/candle).
//!
//! The way of a picture:
//!
//! ```text
//! args -> Request -> plan -> resolve files -> load weights -> encode prompt -> sample -> decode -> check -> write
//! ```
//!
//! Read [`pipeline::run`] first: it is that line as code. Dependencies point one way:
//! `commands -> pipeline -> {text, sampling, models, image} -> nn -> kernels`; models know no files, kernels no models.
//! `ARCHITECTURE.md` in the repository says what lives where.

pub mod cli;
pub mod commands;
pub mod config;
pub mod control;
pub mod error;
mod files;
pub mod hub;
pub mod image;
pub mod models;
pub mod nn;
pub mod pipeline;
pub mod recipe;
pub mod request;
pub mod sampling;
mod suggest;
#[cfg(test)]
mod testing;
pub mod text;
pub mod ui;
pub mod weights;

pub use error::{Error, Result};
pub use request::Request;
/// The arithmetic: a package of its own in `src/kernels/`.
pub use sdgen_kernels as kernels;
