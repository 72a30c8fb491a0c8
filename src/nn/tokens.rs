//! Between pictures, channels first, and tokens, channels last; and two tensors side by side.

use candle_core::shape::Dim;
use candle_core::{Result, Tensor};

use super::cpu::{self, floats};
use crate::kernels::join;
use crate::kernels::transpose::{transpose, transpose_add};

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
    let (batch, pixels, channels) = tokens.dims3()?;
    if residual.flatten_from(2)?.dims() != [batch, channels, pixels] {
        candle_core::bail!("{:?} are not the tokens of a picture of {:?}", tokens.dims(), residual.dims());
    }
    if !tokens.device().is_cpu() {
        return turned(tokens)?.reshape(residual.shape())? + residual;
    }
    let (tokens, residual) = (tokens.contiguous()?, residual.contiguous()?);
    let (values, more, isa) = (floats(&tokens)?, floats(&residual)?, cpu::isa()?);
    cpu::filled(residual.shape().clone(), |y| {
        transpose_add(isa, &values, pixels, channels, &more, y);
        Ok(())
    })
}

/// `a` and `b`, which differ in dimension `dim` alone, one after the other along it.
///
/// # Errors
/// When the shapes do not fit.
pub fn join(a: &Tensor, b: &Tensor, dim: impl Dim) -> Result<Tensor> {
    let dim = dim.to_index(a.shape(), "join")?;
    let fits = a.rank() == b.rank() && (0..a.rank()).all(|i| i == dim || a.dims()[i] == b.dims()[i]);
    if !fits || !a.device().is_cpu() {
        return Tensor::cat(&[a, b], dim);
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let mut dims = a.dims().to_vec();
    dims[dim] += b.dims()[dim];
    let count = dims[..dim].iter().product();
    let (a, b, isa) = (floats(&a)?, floats(&b)?, cpu::isa()?);
    cpu::filled(dims, |y| {
        join::join(isa, &a, &b, count, y);
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

    #[test]
    fn joined_tensors_are_those_of_the_tensor_library() {
        let (a, b) = (wave(&[2, 5, 3, 7], 0.3), wave(&[2, 4, 3, 7], 0.7));
        let flat = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let joined = join(&a, &b, 1).unwrap();
        assert_eq!(joined.dims(), [2, 9, 3, 7]);
        assert_eq!(flat(&joined), flat(&Tensor::cat(&[&a, &b], 1).unwrap()));
        let (a, b) = (a.transpose(1, 3).unwrap(), b.transpose(1, 3).unwrap());
        let joined = join(&a, &b, candle_core::D::Minus1).unwrap();
        assert_eq!(flat(&joined), flat(&Tensor::cat(&[&a, &b], 3).unwrap()));
        assert!(join(&a, &b, 1).is_err());
    }
}
