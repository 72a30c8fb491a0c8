//! On what the work is done. None of this is part of a [`Request`](crate::Request).

use clap::{Args, ValueEnum};

use super::values;
use crate::nn::Precision;
use crate::pipeline::{ComputeOptions, DeviceChoice};

/// The options of the heading "Compute".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compute")]
pub struct ComputeArgs {
    /// The device: auto, cpu, cuda, cuda:N or metal.
    ///
    /// `auto` takes CUDA, then Metal, then the CPU among what is compiled in and present, and says which.
    #[arg(short, long, value_name = "NAME", default_value = "auto", value_parser = values::device)]
    pub device: DeviceChoice,

    /// The number type of weights and activations.
    #[arg(long, value_name = "TYPE", value_enum, default_value = "auto")]
    pub dtype: DtypeChoice,

    /// Threads on the CPU [default: one a core].
    ///
    /// The picture does not depend on it.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = |s: &str| values::whole(s, 1..=1024))]
    pub threads: Option<usize>,
}

impl ComputeArgs {
    /// What was said about the machine.
    #[must_use]
    pub fn options(&self) -> ComputeOptions {
        let precision = match self.dtype {
            DtypeChoice::Auto => None,
            DtypeChoice::F32 => Some(Precision::F32),
            DtypeChoice::F16 => Some(Precision::F16),
            DtypeChoice::Bf16 => Some(Precision::Bf16),
        };
        ComputeOptions { device: self.device, precision, threads: self.threads }
    }
}

/// What `--dtype` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeChoice {
    /// f32 on a CPU, f16 on a GPU.
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 16-bit floats with the range of 32-bit ones.
    Bf16,
}
