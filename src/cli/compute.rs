//! On what the work is done. None of this is part of a [`Request`](crate::Request).

use clap::{Args, ValueEnum};

use super::values;
use crate::nn::{AttentionMethod, Precision};
use crate::pipeline::{ComputeOptions, DeviceChoice, VaeTiling};

/// The options of the heading "Compute".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compute")]
pub struct ComputeArgs {
    /// The device: auto, cpu, cuda, cuda:N or metal.
    ///
    /// `auto` takes CUDA, then Metal, then the CPU among what is compiled in and present, and says which.
    #[arg(short, long, value_name = "NAME", default_value = "auto", value_parser = values::device)]
    pub device: DeviceChoice,

    /// The number type that products are computed in: auto, f32, f16 or bf16.
    ///
    /// On the CPU this is about arithmetic alone: weights in half precision stay so in memory, sums and activations are f32. There `auto`
    /// is bf16 where the processor multiplies it faster than f32 (AMD Zen 4 and later), else f32. On a GPU it is f16.
    #[arg(long, value_name = "TYPE", value_enum, default_value = "auto")]
    pub dtype: DtypeChoice,

    /// Threads on the CPU [default: one a core].
    ///
    /// The picture does not depend on it.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = |s: &str| values::whole(s, 1..=1024))]
    pub threads: Option<usize>,

    /// Decode and encode large pictures in strips: auto, on or off.
    ///
    /// It takes a fraction of the memory and about twice the time. There are no seams: norms see the whole picture. `auto` does so
    /// where the memory of the CPU would not do otherwise.
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    pub vae_tiling: VaeTilingChoice,

    /// How attention is computed: auto, flash, sliced or sliced:N.
    ///
    /// `sliced:N` works on N heads at a time, `sliced` on one, which takes less memory and is slower; the picture is the same. `flash` asks
    /// for the flash kernels, which need a CUDA device and a build with them. `auto` never holds all scores at once.
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = values::attention)]
    pub attention: AttentionMethod,

    /// Take as little memory as it goes on the CPU, slower.
    ///
    /// Weights stay in their files, which the system keeps in memory as far as there is room, and are packed in every step. Text encoders
    /// are freed before the denoiser is loaded, and `--vae-tiling auto` means on; else the picture is the same. What LoRAs change is held
    /// in memory, as are weights in `.ckpt` files, plain ones in GGUF files and those that `--quantize` makes. On a GPU it does nothing.
    #[arg(long)]
    pub low_memory: bool,
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
        let vae_tiling = match self.vae_tiling {
            VaeTilingChoice::Auto => VaeTiling::Auto,
            VaeTilingChoice::On => VaeTiling::On,
            VaeTilingChoice::Off => VaeTiling::Off,
        };
        ComputeOptions {
            device: self.device,
            precision,
            threads: self.threads,
            vae_tiling,
            attention: self.attention,
            low_memory: self.low_memory,
        }
    }
}

/// What `--dtype` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeChoice {
    /// What suits the device.
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 16-bit floats with the range of 32-bit ones.
    Bf16,
}

/// What `--vae-tiling` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VaeTilingChoice {
    /// Where the memory asks for it.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}
