//! The weights of linear layers and convolutions.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor};

use super::{cpu, Params};
use crate::kernels::gemm::{Packed, Side};

/// Weights in the form that their device multiplies with.
#[derive(Clone)]
pub(super) enum Weight {
    /// On the CPU: packed once, for all products.
    Packed(Arc<Packed>),
    /// On another device: the tensor as it was stored, in the type of activations.
    Tensor(Tensor),
}

impl std::fmt::Debug for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Weight::Packed(packed) => write!(f, "Packed({} lines, {} bytes)", packed.lines(), packed.bytes()),
            Weight::Tensor(tensor) => tensor.fmt(f),
        }
    }
}

impl Weight {
    /// The tensor `weight` of `shape`, which are `lines` of `channels` with `taps` values each.
    pub(super) fn new(
        shape: impl Into<Shape>,
        side: Side,
        [lines, channels, taps]: [usize; 3],
        params: &Params,
    ) -> Result<Self> {
        if !params.device().is_cpu() {
            return Ok(Weight::Tensor(params.get(shape, "weight")?));
        }
        let kernel = params.precision().kernel()?;
        let stored = params.get_stored(shape, "weight")?;
        let packed =
            cpu::with_stored(&stored, |values| Packed::weights(kernel, side, values, [lines, channels, taps]))?;
        Ok(Weight::Packed(Arc::new(packed)))
    }
}
