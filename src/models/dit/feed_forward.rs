//! The feed-forward part of a block.

use candle_core::{Result, Tensor};

use crate::nn::{Activation, Linear, Params};

/// Two linear layers, four times as wide between them, with the tanh form of GELU: diffusers' `FeedForward` with `gelu-approximate`.
#[derive(Debug, Clone)]
pub(in crate::models) struct FeedForward {
    proj: Linear,
    out: Linear,
}

impl FeedForward {
    pub(in crate::models) fn new(width: usize, params: &Params) -> Result<Self> {
        Ok(FeedForward {
            proj: Linear::new(width, 4 * width, &params.pp("net.0.proj"))?,
            out: Linear::new(4 * width, width, &params.pp("net.2"))?,
        })
    }

    /// `x` [b, n, width] to the same shape.
    pub(in crate::models) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.out.forward(&Activation::GeluTanh.forward(&self.proj.forward(x)?)?)
    }
}
