//! Containers of weights (safetensors so far): opened, checked before anything in them is trusted, mapped into memory.
//! Models never see this module: they take their tensors from `nn::Params`, whose sources are implemented here.

mod error;

pub use error::WeightsError;
