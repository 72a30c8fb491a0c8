//! Squares of pixels as channels.

use candle_core::{Result, Tensor};

/// A square of pixels becomes a pixel with more channels, row by row (torch's `pixel_unshuffle`): [b, c, h, w] to
/// [b, c side side, h / side, w / side].
///
/// # Errors
/// When the sides are no multiples of `side`.
pub fn unshuffle(x: &Tensor, side: usize) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    if height % side != 0 || width % side != 0 {
        candle_core::bail!("a picture of {width}x{height} pixels cannot be divided into squares of {side}");
    }
    let x = x.reshape(&[batch, channels, height / side, side, width / side, side][..])?;
    let x = x.permute(vec![0, 1, 3, 5, 2, 4])?.contiguous()?;
    x.reshape((batch, channels * side * side, height / side, width / side))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_become_channels_row_by_row() {
        let x = Tensor::arange(0f32, 16., &candle_core::Device::Cpu).unwrap().reshape((1, 2, 2, 4)).unwrap();
        let y = unshuffle(&x, 2).unwrap();
        assert_eq!(y.dims(), [1, 8, 1, 2]);
        let values = [0., 2., 1., 3., 4., 6., 5., 7., 8., 10., 9., 11., 12., 14., 13., 15.];
        assert_eq!(y.flatten_all().unwrap().to_vec1::<f32>().unwrap(), values);
        assert!(unshuffle(&x, 4).unwrap_err().to_string().contains("4x2"));
    }
}
