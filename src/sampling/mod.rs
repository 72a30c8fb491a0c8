//! From noise to latents: random numbers as torch draws them, schedules of sigmas and timesteps, guidance, and the samplers,
//! one file each. Samplers are plain functions over a denoiser; they keep no state beyond their loop.

pub mod guidance;
mod names;
mod noise;

pub use names::{Rng, Sampler, SigmaSpacing};
pub use noise::{noise_source, Noise, Philox, TorchCpu};
