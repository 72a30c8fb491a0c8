//! Convolution on the CPU: windows of the picture gathered into a matrix, strip by strip, and multiplied by the kernels.
//!
//! Faster than candle's own (which reorders picture and kernels at each call, and its tiles nest thread pools), and each output
//! is summed in the same order whatever the number of threads.

use std::ops::Range;

use candle_core::{CpuStorage, Result, Storage, Tensor};
use rayon::prelude::*;

use super::Conv2dConfig;

/// Values gathered at a time, 32 MiB: long strips make good products, whole pictures would not fit (1.2 GiB at 512x512x128).
const GATHERED_AT_A_TIME: usize = 8 << 20;

/// The geometry of one picture: sizes of input and output, kernel.
struct Geometry {
    channels: usize,
    height: usize,
    width: usize,
    out_height: usize,
    out_width: usize,
    config: Conv2dConfig,
}

/// `x` [b, c, h, w], `weight` [o, c, k, k] and `bias` [o], f32 on the CPU, to [b, o, h', w'].
pub(super) fn conv2d(x: &Tensor, weight: &Tensor, bias: &Tensor, config: Conv2dConfig) -> Result<Tensor> {
    let geometry = Geometry::new(x, weight, config)?;
    let (batch, outputs) = (x.dim(0)?, weight.dim(0)?);
    let window = geometry.channels * config.kernel * config.kernel;
    let weight = weight.reshape((outputs, window))?;
    let bias = bias.to_vec1::<f32>()?;
    let rows_at_a_time = (GATHERED_AT_A_TIME / (window * geometry.out_width)).clamp(1, geometry.out_height);
    let pixels = geometry.out_height * geometry.out_width;
    let mut y = vec![0f32; batch * outputs * pixels];
    for (index, y) in y.chunks_exact_mut(outputs * pixels).enumerate() {
        let picture = x.get(index)?.contiguous()?;
        for start in (0..geometry.out_height).step_by(rows_at_a_time) {
            let rows = start..(start + rows_at_a_time).min(geometry.out_height);
            let windows = geometry.windows(&picture, rows.clone())?;
            let product = weight.matmul(&windows)?;
            let strip = rows.start * geometry.out_width..rows.end * geometry.out_width;
            with_values(&product, |product| scatter(product, &bias, y, pixels, strip))?;
        }
    }
    Tensor::from_vec(y, (batch, outputs, geometry.out_height, geometry.out_width), x.device())
}

impl Geometry {
    fn new(x: &Tensor, weight: &Tensor, config: Conv2dConfig) -> Result<Self> {
        let (_, channels, height, width) = x.dims4()?;
        if weight.dim(1)? != channels {
            candle_core::bail!("a convolution with kernels {:?} was given {:?}", weight.dims(), x.dims());
        }
        let out = |side: usize| Some((side + 2 * config.padding).checked_sub(config.kernel)? / config.stride + 1);
        let (Some(out_height), Some(out_width)) = (out(height), out(width)) else {
            candle_core::bail!("a picture of {height}x{width} is smaller than the kernel of {}", config.kernel);
        };
        Ok(Geometry { channels, height, width, out_height, out_width, config })
    }

    /// The windows of the outputs in `rows`, one a column: [c k k, pixels].
    fn windows(&self, picture: &Tensor, rows: Range<usize>) -> Result<Tensor> {
        let Conv2dConfig { kernel, stride, padding } = self.config;
        let pixels = rows.len() * self.out_width;
        if kernel == 1 && stride == 1 && padding == 0 {
            return picture.reshape((self.channels, self.height * self.width))?.narrow(
                1,
                rows.start * self.width,
                pixels,
            );
        }
        let window = self.channels * kernel * kernel;
        let mut columns = vec![0f32; window * pixels];
        with_values(picture, |picture| {
            columns.par_chunks_exact_mut(pixels).enumerate().for_each(|(tap, column)| {
                let (channel, dy, dx) = (tap / (kernel * kernel), tap / kernel % kernel, tap % kernel);
                let plane = &picture[channel * self.height * self.width..][..self.height * self.width];
                for (y, line) in rows.clone().zip(column.chunks_exact_mut(self.out_width)) {
                    let source = (y * stride + dy).wrapping_sub(padding);
                    if source < self.height {
                        self.gather_line(&plane[source * self.width..][..self.width], dx, line);
                    }
                }
            });
        })?;
        Tensor::from_vec(columns, (window, pixels), picture.device())
    }

    /// `line[x] = source[x * stride + dx - padding]` where that exists; the rest stays zero.
    fn gather_line(&self, source: &[f32], dx: usize, line: &mut [f32]) {
        let Conv2dConfig { stride, padding, .. } = self.config;
        let first = padding.saturating_sub(dx).div_ceil(stride);
        let end = (self.width + padding).saturating_sub(dx).div_ceil(stride).min(line.len());
        if first >= end {
            return;
        }
        let source = &source[first * stride + dx - padding..];
        if stride == 1 {
            line[first..end].copy_from_slice(&source[..end - first]);
        } else {
            line[first..end].iter_mut().zip(source.iter().step_by(stride)).for_each(|(to, from)| *to = *from);
        }
    }
}

/// Puts the product [o, strip] and the bias into the columns `strip` of `y` [o, pixels].
fn scatter(product: &[f32], bias: &[f32], y: &mut [f32], pixels: usize, strip: Range<usize>) {
    y.par_chunks_exact_mut(pixels).zip(product.par_chunks_exact(strip.len())).zip(bias).for_each(
        |((y, product), bias)| {
            y[strip.clone()].iter_mut().zip(product).for_each(|(to, from)| *to = from + bias);
        },
    );
}

/// Calls `f` with the values of a contiguous f32 tensor on the CPU.
fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => Ok(f(&values[start..end])),
        _ => candle_core::bail!("expected a contiguous f32 tensor on the CPU, not {tensor:?}"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn wave(shape: &[usize], speed: f32) -> Tensor {
        let n = shape.iter().product::<usize>();
        Tensor::from_vec((0..n).map(|i| (i as f32 * speed).sin()).collect(), shape, &Device::Cpu).unwrap()
    }

    /// Against candle's own convolution.
    fn check(x: &[usize], outputs: usize, config: Conv2dConfig) {
        let (x, weight) = (wave(x, 0.37), wave(&[outputs, x[1], config.kernel, config.kernel], 0.11));
        let bias = wave(&[outputs], 1.3);
        let y = conv2d(&x, &weight, &bias, config).unwrap();
        let expected = x.conv2d(&weight, config.padding, config.stride, 1, 1).unwrap();
        let expected = expected.broadcast_add(&bias.reshape((1, outputs, 1, 1)).unwrap()).unwrap();
        assert_eq!(y.dims(), expected.dims());
        let difference = (y - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-5, "{config:?}: {difference}");
    }

    #[test]
    fn equals_the_definition() {
        check(&[2, 3, 5, 7], 4, Conv2dConfig::SAME_3X3);
        check(&[2, 3, 5, 7], 4, Conv2dConfig::POINTWISE);
        check(&[2, 3, 5, 7], 4, Conv2dConfig::same(5));
        check(&[1, 2, 1, 1], 3, Conv2dConfig::SAME_3X3);
        for (height, width) in [(6, 8), (5, 7), (2, 3)] {
            check(&[1, 3, height, width], 2, Conv2dConfig { kernel: 3, stride: 2, padding: 1 });
            check(&[1, 3, height + 1, width + 1], 2, Conv2dConfig { kernel: 3, stride: 2, padding: 0 });
        }
    }

    #[test]
    fn strips_join_without_a_seam() {
        // 64 * 9 values a pixel: strips of 28 rows of 520 pixels.
        check(&[1, 64, 60, 520], 2, Conv2dConfig::SAME_3X3);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let (x, bias) = (wave(&[1, 3, 2, 2], 0.1), wave(&[2], 0.1));
        assert!(conv2d(&x, &wave(&[2, 4, 3, 3], 0.1), &bias, Conv2dConfig::SAME_3X3).is_err());
        let unpadded = Conv2dConfig { kernel: 3, stride: 1, padding: 0 };
        assert!(conv2d(&x, &wave(&[2, 3, 3, 3], 0.1), &bias, unpadded).is_err());
    }
}
