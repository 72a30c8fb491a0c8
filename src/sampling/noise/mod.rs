//! Gaussian noise, number for number as PyTorch draws it: one file a generator. All noise of a picture comes from one
//! source, in the order of the reference's draws; it is drawn on the CPU in f32 and moved to where it is needed.

mod avx_math;
mod mt19937;
mod philox;
mod torch_cpu;
mod uniform;

use candle_core::Tensor;

use super::Rng;
use crate::Result;

pub use philox::Philox;
pub use torch_cpu::TorchCpu;
pub use uniform::Uniform;

/// A source of standard normal numbers.
pub trait Noise {
    /// The next draw: one tensor of this shape, f32 on the CPU. A draw of shape (2, c, h, w) differs from two draws of
    /// shape (1, c, h, w).
    ///
    /// # Errors
    /// When the tensor cannot be made.
    fn normal(&mut self, shape: &[usize]) -> Result<Tensor>;
}

/// The generator of this kind, seeded.
#[must_use]
pub fn noise_source(rng: Rng, seed: u64) -> Box<dyn Noise> {
    match rng {
        Rng::Torch => Box::new(TorchCpu::new(seed)),
        Rng::Philox => Box::new(Philox::new(seed)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{Device, Tensor};

    use super::*;

    fn tensors(name: &str) -> HashMap<String, Tensor> {
        candle_core::safetensors::load(crate::testing::fixture(name), &Device::Cpu).unwrap()
    }

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn max_difference(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
    }

    /// `s0_1x4x13x17` -> seed 0, that shape.
    fn seed_and_shape(name: &str) -> Option<(u64, Vec<usize>)> {
        let (seed, shape) = name.strip_prefix('s')?.split_once('_')?;
        let shape = shape.split('x').map(str::parse).collect::<Result<_, _>>().ok()?;
        Some((seed.parse().ok()?, shape))
    }

    #[test]
    fn torch_numbers_are_equal_to_the_last_bit() {
        let mut checked = 0;
        for (name, expected) in tensors("randn_cpu.safetensors") {
            let Some((seed, shape)) = seed_and_shape(&name) else { continue };
            let drawn = noise_source(Rng::Torch, seed).normal(&shape).unwrap();
            assert_eq!(drawn.dims(), expected.dims());
            assert!(values(&drawn) == values(&expected), "{name}");
            checked += 1;
        }
        assert!(checked >= 60, "{checked} draws in the fixture");
    }

    #[test]
    fn torch_draws_continue_one_another() {
        let expected = tensors("randn_cpu.safetensors");
        let mut noise = noise_source(Rng::Torch, 0);
        for i in 0..6 {
            let expected = &expected[&format!("seq_{i}")];
            assert!(values(&noise.normal(expected.dims()).unwrap()) == values(expected), "draw {i}");
        }
    }

    #[test]
    fn torch_takes_the_low_half_of_the_seed() {
        let draw = |seed| values(&noise_source(Rng::Torch, seed).normal(&[20]).unwrap());
        assert_eq!(draw(12_345), draw((1 << 32) + 12_345));
        assert_ne!(draw(12_345), draw(12_346));
    }

    #[test]
    fn philox_numbers() {
        let mut worst = 0f32;
        for (name, expected) in tensors("randn_philox.safetensors") {
            let (seed, rest) = name[1..].split_once('_').unwrap();
            let mut noise = noise_source(Rng::Philox, seed.parse().unwrap());
            if rest.starts_with("second_draw") {
                noise.normal(&[1]).unwrap();
            }
            worst = worst.max(max_difference(&values(&noise.normal(expected.dims()).unwrap()), &values(&expected)));
        }
        assert!(worst <= 4e-7, "max difference {worst:e}");
    }

    #[test]
    fn an_empty_draw_is_empty() {
        for rng in Rng::ALL {
            assert_eq!(noise_source(*rng, 1).normal(&[2, 0]).unwrap().elem_count(), 0);
        }
    }
}
