//! Layers: linear, convolution, norms, attention, embeddings. Models are written against these and nothing below them.
//!
//! This is the only place that knows how a product or a norm is computed on which device, and the only one that knows what
//! [`Precision`] means there: on the CPU the kernels of [`crate::kernels`], elsewhere the operations of candle.

mod activation;
mod adaptive;
mod aside;
mod attention;
mod conv;
mod conv_transpose;
mod cpu;
mod embedding;
mod group_norm;
mod linear;
mod norm;
mod params;
mod precision;
pub mod profile;
mod quantised;
mod resample;
mod rms_norm;
mod rotary;
mod self_attention;
mod source;
#[cfg(test)]
mod tests;
mod tokens;
mod unshuffle;
mod weight;

pub use activation::{geglu, Activation};
pub use adaptive::{gated_add, modulated_norm, product};
pub use attention::{causal_mask, scaled_dot_product_attention, AttentionMethod, KeysValues, MultiHeadAttention};
pub use conv::{Conv2d, Conv2dConfig, ConvExtras};
pub use conv_transpose::ConvTranspose2d;
pub use embedding::{timestep_embedding, Embedding};
pub use group_norm::{GroupMoments, GroupNorm};
pub use linear::Linear;
pub use norm::LayerNorm;
pub use params::{Handling, Params, Survey};
pub use precision::Precision;
pub use quantised::{format as ggml_format, Quantisation};
pub use resample::{Downsample2d, Upsample2d};
pub use rms_norm::RmsNorm;
pub use rotary::Rotary;
pub use self_attention::SelfAttention;
pub use source::ParamSource;
pub use tokens::{join, pixels_to_tokens, tokens_to_pixels_add};
pub use unshuffle::unshuffle;

pub use crate::kernels::gemm::Values;
pub use crate::kernels::quant::{Format, Quantized, SharedBytes};
