//! Layers: linear, convolution, norms, attention, embeddings. Models are written against these and nothing below them.

mod params;

pub use params::{ParamSource, Params};
