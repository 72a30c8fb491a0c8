//! Options of the commands that write models.

use candle_core::DType;
use clap::{Args, ValueEnum};

/// A model's shape on the disk, and its place.
#[derive(Debug, Clone, Args)]
pub struct SaveArgs {
    /// A folder as diffusers has it, or a single file [default: as the model is].
    #[arg(long, value_name = "LAYOUT", value_enum)]
    pub layout: Option<Layout>,

    /// Replace what has the name of the result.
    #[arg(long)]
    pub overwrite: bool,
}

/// What `--dtype` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FloatType {
    /// 32-bit floats
    F32,
    /// 16-bit floats
    F16,
    /// 16-bit floats with the range of 32-bit ones
    Bf16,
}

impl FloatType {
    /// The tensor library's name.
    #[must_use]
    pub fn dtype(self) -> DType {
        match self {
            FloatType::F32 => DType::F32,
            FloatType::F16 => DType::F16,
            FloatType::Bf16 => DType::BF16,
        }
    }
}

/// What `--layout` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// A folder with a folder for each part
    Diffusers,
    /// One file
    Single,
}
