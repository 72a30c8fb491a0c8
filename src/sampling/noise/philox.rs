//! The numbers of `torch.randn` on a CUDA device for pictures of usual sizes, computed on the CPU: Philox 4x32-10
//! (Salmon et al. 2011), one counter a value.

use candle_core::{Device, Tensor};

use super::Noise;
use crate::Result;

/// PyTorch's generator on CUDA.
pub struct Philox {
    key: [u32; 2],
    /// Draws made so far.
    draws: u32,
}

impl Philox {
    /// All 64 bits of the seed count.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Philox { key: [seed as u32, (seed >> 32) as u32], draws: 0 }
    }
}

impl Noise for Philox {
    fn normal(&mut self, shape: &[usize]) -> Result<Tensor> {
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> =
            (0..count).map(|i| normal_of(philox_4x32([self.draws, 0, i as u32, 0], self.key))).collect();
        self.draws = self.draws.wrapping_add(1);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}

/// Box-Muller on the first two words, sine branch, in single precision as curand.
fn normal_of(words: [u32; 4]) -> f32 {
    const SCALE: f32 = 2.328_306_4e-10;
    const ANGLE_SCALE: f32 = (2.328_306_4e-10 * 6.283_185_5) as f32;
    let u = words[0] as f32 * SCALE + SCALE / 2.0;
    let v = words[1] as f32 * ANGLE_SCALE + ANGLE_SCALE / 2.0;
    (-2.0 * u.ln()).sqrt() * v.sin()
}

/// Ten rounds of Philox on four 32-bit words.
fn philox_4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const ROUNDS: usize = 10;
    for _ in 0..ROUNDS {
        let p0 = u64::from(counter[0]) * 0xd251_1f53;
        let p1 = u64::from(counter[2]) * 0xcd9e_8d57;
        counter =
            [(p1 >> 32) as u32 ^ counter[1] ^ key[0], p1 as u32, (p0 >> 32) as u32 ^ counter[3] ^ key[1], p0 as u32];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authors_known_answers() {
        assert_eq!(philox_4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox_4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}
