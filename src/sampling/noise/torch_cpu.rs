//! `torch.randn` with a `torch.Generator("cpu")`.

use candle_core::{Device, Tensor};

use super::avx_math::{ln, sin_cos};
use super::mt19937::Mt19937;
use super::Noise;
use crate::Result;

/// Values that are transformed together: the first half holds radii, the second half angles.
const BLOCK: usize = 16;

/// PyTorch's generator on the CPU.
pub struct TorchCpu {
    engine: Mt19937,
    /// The second value of the last Box-Muller pair of a small draw. It waits for the next small draw, whatever large
    /// draws come between.
    cached: Option<f64>,
}

impl TorchCpu {
    /// Only the low 32 bits of the seed count, as in PyTorch.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        TorchCpu { engine: Mt19937::new(seed as u32), cached: None }
    }

    /// Fewer than 16 values: one after the other, in double precision.
    fn one(&mut self) -> f32 {
        if let Some(value) = self.cached.take() {
            return value as f32;
        }
        let angle = std::f64::consts::TAU * self.uniform_f64();
        let radius = (-2.0 * (-self.uniform_f64()).ln_1p()).sqrt();
        self.cached = Some(radius * angle.sin());
        (radius * angle.cos()) as f32
    }

    fn uniform_f64(&mut self) -> f64 {
        const BITS: u32 = 53;
        let bits = self.engine.next_u64() & ((1 << BITS) - 1);
        bits as f64 / (1u64 << BITS) as f64
    }

    fn fill_uniform(&mut self, values: &mut [f32]) {
        const BITS: u32 = 24;
        for value in values {
            let bits = self.engine.next_u32() & ((1 << BITS) - 1);
            *value = bits as f32 / (1u32 << BITS) as f32;
        }
    }

    /// 16 values or more: all uniforms first, then blocks of 16 in place. When the last block is short, the last 16 values
    /// are drawn afresh.
    fn fill(&mut self, values: &mut [f32]) {
        self.fill_uniform(values);
        values.chunks_exact_mut(BLOCK).for_each(box_muller);
        if !values.len().is_multiple_of(BLOCK) {
            let start = values.len() - BLOCK;
            self.fill_uniform(&mut values[start..]);
            box_muller(&mut values[start..]);
        }
    }
}

fn box_muller(block: &mut [f32]) {
    let (radii, angles) = block.split_at_mut(BLOCK / 2);
    for (a, b) in radii.iter_mut().zip(angles) {
        let radius = (-2.0 * ln(1.0 - *a)).sqrt();
        let (sin, cos) = sin_cos(std::f32::consts::TAU * *b);
        (*a, *b) = (radius * cos, radius * sin);
    }
}

impl Noise for TorchCpu {
    fn normal(&mut self, shape: &[usize]) -> Result<Tensor> {
        let mut values = vec![0f32; shape.iter().product()];
        if values.len() < BLOCK {
            values.iter_mut().for_each(|value| *value = self.one());
        } else {
            self.fill(&mut values);
        }
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}
