//! Rotary position embedding (Su et al. 2021) over several axes, as FLUX has it.

use candle_core::{Device, Result, Tensor};

use super::cpu::{self, floats};
use crate::kernels::rotary::rotate;

/// Cosines and sines of the angle of each pair of values at each place, f32 `[places, pairs]`.
#[derive(Debug, Clone)]
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    /// For places given by their coordinates. Of a head's values the first `widths[0]` turn with the first coordinate, and so on; the
    /// `i`-th pair of an axis of width `d` turns by `coordinate / theta^(2 i / d)`. Angles are computed in f64, as diffusers'
    /// `get_1d_rotary_pos_embed`: in half precision they would be wrong by tenths of a radian.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new<const N: usize>(places: &[[usize; N]], widths: [usize; N], theta: f64, device: &Device) -> Result<Self> {
        let frequencies = widths.iter().enumerate().flat_map(|(axis, width)| {
            (0..width / 2).map(move |i| (axis, theta.powf(-((2 * i) as f64) / *width as f64)))
        });
        let frequencies: Vec<(usize, f64)> = frequencies.collect();
        let table = |f: fn(f64) -> f64| {
            let row = |place: &[usize; N]| {
                let place = *place;
                frequencies.iter().map(move |(axis, frequency)| f(place[*axis] as f64 * frequency) as f32)
            };
            let values: Vec<f32> = places.iter().flat_map(row).collect();
            Tensor::from_vec(values, (places.len(), frequencies.len()), device)
        };
        Ok(Rotary { cos: table(f64::cos)?, sin: table(f64::sin)? })
    }

    /// Turns the pairs of neighbours in each head of `x` [b, places, heads width]: the same shape and type.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor, heads: usize) -> Result<Tensor> {
        let ((batch, places, width), (known, pairs)) = (x.dims3()?, self.cos.dims2()?);
        if places != known || width != heads * 2 * pairs || width == 0 {
            candle_core::bail!("{known} places of {heads} heads with {pairs} pairs do not fit {:?}", x.dims());
        }
        let x = x.contiguous()?;
        if x.device().is_cpu() {
            let (values, cos, sin) = (floats(&x)?, floats(&self.cos)?, floats(&self.sin)?);
            let isa = cpu::isa()?;
            return cpu::filled(x.shape().clone(), |y| {
                rotate(isa, &values, heads, pairs, [&cos, &sin], y);
                Ok(())
            });
        }
        let (cos, sin) = (self.cos.to_dtype(x.dtype())?, self.sin.to_dtype(x.dtype())?);
        let split = x.reshape((batch, places, heads, 2 * pairs))?.transpose(1, 2)?.contiguous()?;
        let turned = candle_nn::rotary_emb::rope_i(&split, &cos, &sin)?;
        turned.transpose(1, 2)?.contiguous()?.reshape((batch, places, width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::tests::{max_difference, wave};

    #[test]
    fn each_axis_turns_its_own_values() {
        let rotary = Rotary::new(&[[0, 0], [3, 0], [0, 2]], [2, 4], 100.0, &Device::Cpu).unwrap();
        let x = wave(&[2, 3, 12], 0.7);
        let y = rotary.forward(&x, 2).unwrap();
        let angles = [[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 2.0, 0.2f64]];
        let x = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = (0..x.len()).map(|i| {
            let angle = angles[i / 12 % 3][i / 2 % 3];
            let (a, b) = (f64::from(x[i / 2 * 2]), f64::from(x[i / 2 * 2 + 1]));
            (if i % 2 == 0 { a * angle.cos() - b * angle.sin() } else { b * angle.cos() + a * angle.sin() }) as f32
        });
        let expected = Tensor::from_vec(expected.collect(), (2, 3, 12), &Device::Cpu).unwrap();
        assert!(max_difference(&y, &expected) < 1e-6);
        assert!(rotary.forward(&wave(&[2, 4, 12], 0.7), 2).is_err());
        assert!(rotary.forward(&wave(&[2, 3, 12], 0.7), 3).is_err());
    }
}
