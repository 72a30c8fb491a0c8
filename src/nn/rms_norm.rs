//! Normalisation by the root mean square, statistics in f32 or better.

use candle_core::{DType, Result, Tensor, D};

use super::cpu::{self, floats};
use super::profile::{timed, LayerKind};
use super::Params;
use crate::kernels::norm;

/// Normalisation over the last dimension without a mean (Zhang and Sennrich 2019).
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    /// `weight` [width]; `eps` is added to the mean of the squares.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(width: usize, eps: f64, params: &Params) -> Result<Self> {
        Ok(RmsNorm { weight: params.get(width, "weight")?, eps })
    }

    /// `x` [..., width].
    ///
    /// # Errors
    /// When the last dimension is not `width`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        timed(LayerKind::Norm, 0, || self.normalise(x))
    }

    fn normalise(&self, x: &Tensor) -> Result<Tensor> {
        let width = self.weight.elem_count();
        if x.dim(D::Minus1)? != width {
            candle_core::bail!("a norm of {width} values was given {:?}", x.dims());
        }
        if !x.device().is_cpu() {
            return self.on_device(x);
        }
        let x = x.contiguous()?;
        let (values, weight, isa) = (floats(&x)?, floats(&self.weight)?, cpu::isa()?);
        cpu::filled(x.shape().clone(), |y| {
            norm::rms_normalise(isa, self.eps, &weight, &values, y);
            Ok(())
        })
    }

    fn on_device(&self, x: &Tensor) -> Result<Tensor> {
        let wide = x.to_dtype(DType::F32)?;
        let root = (wide.sqr()?.mean_keepdim(D::Minus1)? + self.eps)?.sqrt()?;
        let weight = self.weight.to_dtype(DType::F32)?;
        wide.broadcast_div(&root)?.broadcast_mul(&weight)?.to_dtype(x.dtype())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::tests::{max_difference, params, wave};

    #[test]
    fn both_ways_of_computing_are_one() {
        let layer = RmsNorm::new(19, 1e-6, &params(&[("weight", &[19])])).unwrap();
        let x = wave(&[2, 19, 5], 0.37).transpose(1, 2).unwrap();
        let y = layer.forward(&x).unwrap();
        assert!(max_difference(&y, &layer.on_device(&x).unwrap()) < 1e-6);
        // All weights one: the mean square of a row is one.
        let layer = RmsNorm { weight: layer.weight.ones_like().unwrap(), ..layer };
        let squares = layer.forward(&x).unwrap().sqr().unwrap().mean(D::Minus1).unwrap();
        assert!(max_difference(&squares, &squares.ones_like().unwrap()) < 1e-5);
        assert!(layer.forward(&wave(&[2, 18], 0.3)).is_err());
    }
}
