//! Transposed convolution: each pixel of the input adds its weighted kernel to the output.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::cpu::{self, floats};
use super::profile::{timed, LayerKind};
use super::Params;

/// Torch's `ConvTranspose2d` with a square kernel and a bias.
#[derive(Debug, Clone)]
pub struct ConvTranspose2d {
    /// [out kernel kernel, in].
    weight: Tensor,
    bias: Tensor,
    kernel: usize,
    stride: usize,
    padding: usize,
    /// Rows and columns that the stride leaves undecided and that are there.
    output_padding: usize,
}

impl ConvTranspose2d {
    /// `weight` [in, out, kernel, kernel] and `bias` [out]. `padding` pixels are cut off on each side, less `output_padding` of them
    /// below and to the right.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(
        [inputs, outputs]: [usize; 2],
        [kernel, stride, padding, output_padding]: [usize; 4],
        params: &Params,
    ) -> Result<Self> {
        let weight = params.get((inputs, outputs, kernel, kernel), "weight")?;
        let weight = weight.reshape((inputs, outputs * kernel * kernel))?.t()?.contiguous()?;
        Ok(ConvTranspose2d { weight, bias: params.get(outputs, "bias")?, kernel, stride, padding, output_padding })
    }

    /// `x` [1, in, h, w] to [1, out, h', w'] with `h' = (h - 1) stride + kernel - 2 padding + output_padding`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, inputs, height, width) = x.dims4()?;
        if batch != 1 {
            candle_core::bail!("a transposed convolution takes one picture at a time, not {batch}");
        }
        let flops = 2 * self.weight.elem_count() * height * width;
        timed(LayerKind::ConvOther, flops, || {
            let columns = self.weight.matmul(&x.reshape((inputs, height * width))?)?.contiguous()?;
            let side = |side: usize| {
                ((side - 1) * self.stride + self.kernel + self.output_padding).saturating_sub(2 * self.padding)
            };
            self.gathered(&columns.to_device(&candle_core::Device::Cpu)?, (height, width), (side(height), side(width)))?
                .to_device(x.device())
        })
    }

    /// The sum of all kernels: `columns` [out kernel kernel, h w] to [1, out, h', w'].
    fn gathered(
        &self,
        columns: &Tensor,
        (height, width): (usize, usize),
        (high, wide): (usize, usize),
    ) -> Result<Tensor> {
        let (columns, bias) = (floats(columns)?, self.bias.to_vec1::<f32>()?);
        let pixels = height * width;
        let taps = self.kernel * self.kernel;
        cpu::filled((1, bias.len(), high, wide), |out| {
            out.par_chunks_mut((high * wide).max(1)).zip(columns.par_chunks(taps * pixels)).zip(&bias).for_each(
                |((out, columns), bias)| {
                    out.fill(*bias);
                    for (tap, column) in columns.chunks_exact(pixels).enumerate() {
                        let (down, across) = (tap / self.kernel, tap % self.kernel);
                        for (y, row) in column.chunks_exact(width).enumerate() {
                            let Some(y) = self.place(y, down, high) else { continue };
                            for (x, value) in row.iter().enumerate() {
                                if let Some(x) = self.place(x, across, wide) {
                                    out[y * wide + x] += value;
                                }
                            }
                        }
                    }
                },
            );
            Ok(())
        })
    }

    /// Where the tap of a pixel lands; nothing if it is cut off.
    fn place(&self, pixel: usize, tap: usize, side: usize) -> Option<usize> {
        (pixel * self.stride + tap).checked_sub(self.padding).filter(|place| *place < side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::tests::{max_difference, params, wave};

    #[test]
    fn equals_the_tensor_library() {
        for how in [[4, 4, 0, 0], [2, 2, 0, 0], [3, 2, 1, 1]] {
            let [kernel, stride, padding, output_padding] = how;
            let params = params(&[("weight", &[3, 5, kernel, kernel]), ("bias", &[5])]);
            let layer = ConvTranspose2d::new([3, 5], how, &params).unwrap();
            let x = wave(&[1, 3, 4, 6], 0.3);
            let weight = params.get((3, 5, kernel, kernel), "weight").unwrap();
            let bias = params.get(5, "bias").unwrap().reshape((1, 5, 1, 1)).unwrap();
            let expected = x.conv_transpose2d(&weight, padding, output_padding, stride, 1).unwrap();
            let expected = expected.broadcast_add(&bias).unwrap();
            assert!(max_difference(&layer.forward(&x).unwrap(), &expected) < 2e-6, "{how:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let params = params(&[("weight", &[3, 5, 2, 2]), ("bias", &[5])]);
        let layer = ConvTranspose2d::new([3, 5], [2, 2, 0, 0], &params).unwrap();
        assert!(layer.forward(&wave(&[1, 4, 2, 2], 0.1)).is_err());
        assert!(layer.forward(&wave(&[2, 3, 2, 2], 0.1)).is_err());
    }
}
