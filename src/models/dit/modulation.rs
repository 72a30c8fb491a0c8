//! How the vector of the timestep steers a block: scales and shifts of its norms, gates of its residuals.

use candle_core::{Result, Tensor};

use super::EPS;
use crate::nn::{gated_add, modulated_norm, Linear, Params};

/// A linear layer that makes `N` vectors of the width of the stream: diffusers' `AdaLayerNormZero` and its kin.
#[derive(Debug, Clone)]
pub(in crate::models) struct Modulation<const N: usize> {
    linear: Linear,
    width: usize,
}

impl<const N: usize> Modulation<N> {
    pub(in crate::models) fn new(width: usize, params: &Params) -> Result<Self> {
        Ok(Modulation { linear: Linear::new(width, N * width, &params.pp("linear"))?, width })
    }

    /// `N` vectors [b, width] in the order of the file, from [b, width].
    pub(in crate::models) fn forward(&self, time: &Tensor) -> Result<[Tensor; N]> {
        let all = self.linear.forward(time)?;
        let parts = (0..N).map(|i| all.narrow(1, i * self.width, self.width)?.contiguous());
        let parts = parts.collect::<Result<Vec<_>>>()?;
        parts.try_into().map_err(|_| candle_core::Error::Msg("a modulation is not whole".into()))
    }
}

/// Shift, scale and gate around one part of a block.
pub(in crate::models) struct Around<'a>(pub &'a [Tensor]);

impl Around<'_> {
    /// The normed, scaled and shifted stream `x` [b, n, width].
    pub(in crate::models) fn norm(&self, x: &Tensor) -> Result<Tensor> {
        let [shift, scale, ..] = self.0 else { candle_core::bail!("a modulation has a shift and a scale") };
        modulated_norm(x, scale, shift, EPS)
    }

    /// The stream `x` plus what the part made, gated.
    pub(in crate::models) fn add(&self, x: &Tensor, made: &Tensor) -> Result<Tensor> {
        let [_, _, gate] = self.0 else { candle_core::bail!("a modulation has a gate") };
        gated_add(x, gate, made)
    }
}

/// A norm with scale and shift and no gate: diffusers' `AdaLayerNormContinuous`, which has the scale first.
#[derive(Debug, Clone)]
pub(in crate::models) struct Continuous(Modulation<2>);

impl Continuous {
    pub(in crate::models) fn new(width: usize, params: &Params) -> Result<Self> {
        Ok(Continuous(Modulation::new(width, params)?))
    }

    /// `x` [b, n, width] normed as `time` [b, width] says.
    pub(in crate::models) fn forward(&self, x: &Tensor, time: &Tensor) -> Result<Tensor> {
        let [scale, shift] = self.0.forward(time)?;
        modulated_norm(x, &scale, &shift, EPS)
    }
}
