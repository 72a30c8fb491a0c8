//! Between pictures, channels first, and tokens, channels last; and sums of two tensors.

use candle_core::{Result, Tensor};

use super::cpu::{self, floats};
use crate::kernels::{elementwise, transpose::transpose};

/// The pixels of `x` [b, c, h, w] as tokens: [b, h w, c].
///
/// # Errors
/// When the tensor library fails.
pub fn pixels_to_tokens(x: &Tensor) -> Result<Tensor> {
    turned(&x.flatten_from(2)?)
}

/// The reverse of [`pixels_to_tokens`], plus `residual` [b, c, h, w], whose shape the result has.
///
/// # Errors
/// When the shapes do not fit.
pub fn tokens_to_pixels_add(tokens: &Tensor, residual: &Tensor) -> Result<Tensor> {
    let x = turned(tokens)?.reshape(residual.shape())?;
    if !x.device().is_cpu() {
        return x + residual;
    }
    let residual = residual.contiguous()?;
    let (a, b, isa) = (floats(&x)?, floats(&residual)?, cpu::isa()?);
    cpu::filled(x.shape().clone(), |y| {
        elementwise::add(isa, &a, &b, y);
        Ok(())
    })
}

/// [b, m, n] to [b, n, m], contiguous.
fn turned(x: &Tensor) -> Result<Tensor> {
    let (batch, rows, columns) = x.dims3()?;
    if !x.device().is_cpu() {
        return x.transpose(1, 2)?.contiguous();
    }
    let x = x.contiguous()?;
    let (values, isa) = (floats(&x)?, cpu::isa()?);
    cpu::filled((batch, columns, rows), |y| {
        transpose(isa, &values, rows, columns, y);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::tests::wave;

    #[test]
    fn tokens_are_pixels() {
        let x = wave(&[2, 5, 3, 7], 0.3);
        let tokens = pixels_to_tokens(&x).unwrap();
        let expected = x.flatten_from(2).unwrap().transpose(1, 2).unwrap();
        assert_eq!(tokens.to_vec3::<f32>().unwrap(), expected.to_vec3::<f32>().unwrap());
        let twice = tokens_to_pixels_add(&tokens, &x).unwrap().flatten_all().unwrap();
        let expected = (&x + &x).unwrap().flatten_all().unwrap();
        assert_eq!(twice.to_vec1::<f32>().unwrap(), expected.to_vec1::<f32>().unwrap());
        assert!(tokens_to_pixels_add(&tokens, &wave(&[1, 5, 3, 7], 0.3)).is_err());
    }
}
