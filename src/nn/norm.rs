//! Layer normalisation, and what it shares with group normalisation; statistics in f32 or better.

use candle_core::{DType, Result, Tensor, D};

use super::cpu::{self, floats};
use super::profile::{timed, LayerKind};
use super::{Activation, Params};
use crate::kernels::norm::{self, Moments, Norm};

/// Normalisation over the last dimension (Ba et al. 2016).
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// `weight` and `bias`, both [width].
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(width: usize, eps: f64, params: &Params) -> Result<Self> {
        Ok(LayerNorm { weight: params.get(width, "weight")?, bias: params.get(width, "bias")?, eps })
    }

    /// `x` [..., width].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        timed(LayerKind::Norm, 0, || self.normalise(x))
    }

    fn normalise(&self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() {
            return on_cpu(Input::Kept(x), (&self.weight, &self.bias), (1, 1), self.eps, None, None);
        }
        let (weight, bias) = (self.weight.to_dtype(DType::F32)?, self.bias.to_dtype(DType::F32)?);
        normalise(x, self.eps)?.broadcast_mul(&weight)?.broadcast_add(&bias)?.to_dtype(x.dtype())
    }
}

/// What is normalised.
pub(super) enum Input<'a> {
    /// It stays as it is.
    Kept(&'a Tensor),
    /// The result takes its place.
    Owned(Tensor),
}

impl Input<'_> {
    fn tensor(&self) -> &Tensor {
        match self {
            Input::Kept(x) => x,
            Input::Owned(x) => x,
        }
    }
}

/// `x` on the CPU in groups of channels of `span` values each, see [`Norm`]; with `moments`, those are taken in place of the rows' own.
pub(super) fn on_cpu(
    x: Input,
    (scale, shift): (&Tensor, &Tensor),
    (groups, span): (usize, usize),
    eps: f64,
    moments: Option<&[Moments]>,
    activation: Option<Activation>,
) -> Result<Tensor> {
    let (scale, shift) = (floats(scale)?, floats(shift)?);
    let row = scale.len() / groups * span;
    if row == 0 || !x.tensor().elem_count().is_multiple_of(row) {
        candle_core::bail!("cannot normalise {:?} in rows of {row}", x.tensor().dims());
    }
    let function = activation.map(Activation::function);
    let norm = Norm { groups, span, eps, scale: &scale, shift: &shift, function };
    let isa = cpu::isa()?;
    let x = match x {
        Input::Owned(x) => return cpu::changed(x, |x| norm::normalise_in_place(isa, &norm, x)),
        Input::Kept(x) => x.contiguous()?,
    };
    let values = floats(&x)?;
    cpu::filled(x.shape().clone(), |y| {
        match moments {
            Some(moments) => norm::normalise_as(isa, &norm, moments, &values, y),
            None => norm::normalise(isa, &norm, &values, y),
        }
        Ok(())
    })
}

/// The last dimension with mean 0 and variance 1, in f32, on any device.
pub(super) fn normalise(x: &Tensor, eps: f64) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?;
    let centred = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + eps)?.sqrt()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::tests::{max_difference, wave_around};

    #[test]
    fn layer_norm_equals_the_formula() {
        let (x, weight, bias) =
            (wave_around(&[2, 3, 7], 0.9, 0.5), wave_around(&[7], 1.1, 2.0), wave_around(&[7], 0.3, 0.0));
        let norm = LayerNorm { weight: weight.clone(), bias: bias.clone(), eps: 1e-5 };
        let expected = normalise(&x, 1e-5).unwrap().broadcast_mul(&weight).unwrap().broadcast_add(&bias).unwrap();
        assert!(max_difference(&norm.forward(&x).unwrap(), &expected) < 2e-6);
    }

    #[test]
    fn a_large_mean_does_not_swallow_the_variance() {
        // In f32, E[x^2] - E[x]^2 has no digits left here.
        let norm = LayerNorm { weight: wave_around(&[64], 0.0, 1.0), bias: wave_around(&[64], 0.0, 0.0), eps: 1e-5 };
        let near = norm.forward(&wave_around(&[1, 64], 0.9, 0.0)).unwrap();
        let far = norm.forward(&wave_around(&[1, 64], 0.9, 4096.0)).unwrap();
        assert!(max_difference(&near, &far) < 1e-3);
    }
}
