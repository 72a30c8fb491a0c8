//! From noise to latents: random numbers as torch draws them, schedules of sigmas and timesteps, guidance, and the samplers,
//! one file each. Samplers are plain functions over a denoiser; they keep no state beyond their loop.
//!
//! [`SchedulerConfig`] reads a model's file, [`Schedule::plan`] decides timesteps and noise levels, [`sample`] runs.

mod config;
mod error;
pub mod guidance;
mod labels;
mod names;
mod noise;
mod prediction;
mod resolve;
mod run;
mod samplers;
mod schedule;
mod settings;

pub use config::SchedulerConfig;
pub use error::ScheduleError;
pub use labels::parse_scheduler;
pub use names::{Rng, Sampler, SigmaSpacing, UnknownName};
pub use noise::{noise_source, Noise, Philox, TorchCpu, Uniform};
pub use run::{sample, Denoiser, Observer, Step};
pub use schedule::Schedule;
pub use settings::{FlowGrid, Prediction};
