//! Norms and residuals that a vector of the timestep steers (Peebles and Xie 2023), for diffusion transformers.

use candle_core::{DType, Result, Tensor};

use super::cpu::{self, floats};
use super::norm::normalise;
use super::profile::{timed, LayerKind};
use crate::kernels::elementwise::{add_gated, multiply};
use crate::kernels::norm::{self, Norm};

/// `norm(x) (1 + scale) + shift`: the layer norm has no weights of its own. `x` is [b, n, width], `scale` and `shift` are [b, width];
/// the result has the shape of `x`.
///
/// # Errors
/// When the shapes do not fit.
pub fn modulated_norm(x: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64) -> Result<Tensor> {
    timed(LayerKind::Norm, 0, || {
        let (batch, _, width) = x.dims3()?;
        let scale = (check(scale, batch, width)? + 1.0)?;
        let shift = check(shift, batch, width)?;
        if x.device().is_cpu() {
            return on_cpu(x, &scale, &shift.contiguous()?, eps);
        }
        let wide = |t: &Tensor| t.to_dtype(DType::F32)?.unsqueeze(1);
        normalise(x, eps)?.broadcast_mul(&wide(&scale)?)?.broadcast_add(&wide(shift)?)?.to_dtype(x.dtype())
    })
}

fn on_cpu(x: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64) -> Result<Tensor> {
    let (_, tokens, width) = x.dims3()?;
    let x = x.contiguous()?;
    let (values, scale, shift, isa) = (floats(&x)?, floats(scale)?, floats(shift)?, cpu::isa()?);
    cpu::filled(x.shape().clone(), |y| {
        let samples = values.chunks_exact(tokens * width).zip(y.chunks_exact_mut(tokens * width));
        for ((scale, shift), (x, y)) in scale.chunks_exact(width).zip(shift.chunks_exact(width)).zip(samples) {
            norm::normalise(isa, &Norm { groups: 1, span: 1, eps, scale, shift, function: None }, x, y);
        }
        Ok(())
    })
}

/// `residual + gate x`, where `residual` and `x` are [b, n, width] and `gate` is [b, width].
///
/// # Errors
/// When the shapes do not fit.
pub fn gated_add(residual: &Tensor, gate: &Tensor, x: &Tensor) -> Result<Tensor> {
    let (batch, tokens, width) = x.dims3()?;
    let gate = check(gate, batch, width)?.contiguous()?;
    if residual.dims() != x.dims() {
        candle_core::bail!("{:?} cannot be added to {:?}", x.dims(), residual.dims());
    }
    if !x.device().is_cpu() {
        return residual + x.broadcast_mul(&gate.unsqueeze(1)?)?;
    }
    let (residual, x) = (residual.contiguous()?, x.contiguous()?);
    let (a, b, gate, isa) = (floats(&residual)?, floats(&x)?, floats(&gate)?, cpu::isa()?);
    cpu::filled(x.shape().clone(), |y| {
        let sample = tokens * width;
        let samples = a.chunks_exact(sample).zip(b.chunks_exact(sample)).zip(y.chunks_exact_mut(sample));
        samples.zip(gate.chunks_exact(width)).for_each(|(((a, b), y), gate)| add_gated(isa, a, b, gate, y));
        Ok(())
    })
}

/// The product of two tensors of one shape, value by value.
///
/// # Errors
/// When the shapes differ.
pub fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !a.device().is_cpu() || a.dims() != b.dims() {
        return a * b;
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let (x, y, isa) = (floats(&a)?, floats(&b)?, cpu::isa()?);
    cpu::filled(a.shape().clone(), |out| {
        multiply(isa, &x, &y, out);
        Ok(())
    })
}

fn check(vector: &Tensor, batch: usize, width: usize) -> Result<&Tensor> {
    if vector.dims() != [batch, width] {
        candle_core::bail!("a vector of {:?} cannot steer {batch} samples of width {width}", vector.dims());
    }
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::tests::{max_difference, wave};

    #[test]
    fn each_sample_has_its_own_vector() {
        let (x, y) = (wave(&[2, 3, 7], 0.37), wave(&[2, 3, 7], 0.23));
        let (scale, shift) = (wave(&[2, 7], 0.5), wave(&[2, 7], 0.9));
        let normed = modulated_norm(&x, &scale, &shift, 1e-6).unwrap();
        let rows = |t: &Tensor| t.unsqueeze(1).unwrap().broadcast_as((2, 3, 7)).unwrap().contiguous().unwrap();
        let expected =
            ((normalise(&x, 1e-6).unwrap() * (rows(&scale) + 1.0).unwrap()).unwrap() + rows(&shift)).unwrap();
        assert!(max_difference(&normed, &expected) < 1e-6);
        let sum = gated_add(&x, &scale, &y).unwrap();
        let expected = (&x + (&y * rows(&scale)).unwrap()).unwrap();
        assert!(max_difference(&sum, &expected) < 1e-6);
        assert!(max_difference(&product(&x, &y).unwrap(), &(&x * &y).unwrap()) < 1e-7);
        assert!(modulated_norm(&x, &scale, &wave(&[1, 7], 0.9), 1e-6).is_err());
        assert!(gated_add(&x, &wave(&[2, 6], 0.9), &y).is_err());
        assert!(gated_add(&x, &scale, &wave(&[2, 2, 7], 0.9)).is_err());
        assert!(product(&x, &wave(&[2, 2, 7], 0.9)).is_err());
    }
}
