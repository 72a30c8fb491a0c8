//! The networks: a config and weights in, tensors to tensors out. They know no files, no flags and no random numbers.
//!
//! Names are those of diffusers and transformers, so that `config.json` and the tensors' names need no translation. All take and
//! return tensors on the device they were built for; what they return is f32 whatever the precision they compute in.

pub mod annotators;
pub mod clip;
mod config;
pub mod controlnet;
mod dit;
mod encoder_layer;
pub mod flux;
pub mod mmdit;
pub mod redux;
mod resnet;
pub mod siglip;
mod strips;
pub mod t2i_adapter;
pub mod t5;
pub mod taesd;
#[cfg(test)]
pub(crate) mod testing;
pub mod unet;
pub mod vae;

pub use config::OneOrMany;
