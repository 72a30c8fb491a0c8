//! `sdgen convert`: models in other layouts, types of numbers and containers.

use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::DType;
use clap::{Args, ValueEnum};

use super::general::GeneralArgs;
use super::model::BareFileArgs;
use crate::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen convert ./stable-diffusion-v1-5 -o sd15.safetensors --layout single --dtype f16
  sdgen convert sd15.safetensors -o ./sd15 --layout diffusers
  sdgen convert model.ckpt -o model.safetensors
  sdgen convert sdxl.safetensors -o sdxl-q8_0.gguf --quantize q8_0";

/// Write a model in another layout, type of numbers or container.
///
/// Stable Diffusion 1.x, 2.x, SDXL, 3, 3.5 and FLUX.1 change between a folder in diffusers' layout and one file with the names of the
/// original code. Any other file of weights (LoRAs, other families) can change its type of numbers and its container. A tensor at a
/// time is in memory. The result appears whole or not at all; the model itself is not changed.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct ConvertArgs {
    /// A model: a folder, a file of weights, or the built-in model, `emoji`.
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// What to write: a folder, or a file that ends with .safetensors or .gguf.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,

    /// The type of all numbers that are floats [default: as they are].
    #[arg(long, value_name = "TYPE", value_enum)]
    pub dtype: Option<FloatType>,

    /// Quantise the matrices, into a .gguf file.
    ///
    /// Convolutions, norms and the tables of words stay as they are, or become what --dtype says. Types with `_k` take rows of a
    /// multiple of 256 numbers, the others of 32.
    #[arg(long, value_name = "TYPE", value_enum)]
    pub quantize: Option<QuantizedType>,

    /// A folder as diffusers has it, or a single file [default: as the model is].
    #[arg(long, value_name = "LAYOUT", value_enum)]
    pub layout: Option<Layout>,

    /// What is said about the model beside its name.
    #[command(flatten)]
    pub bare: BareFileArgs,

    /// Replace what has the name of the result.
    #[arg(long)]
    pub overwrite: bool,

    /// What the program says.
    #[command(flatten)]
    pub general: GeneralArgs,
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

/// What `--quantize` names: ggml's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are names of others")]
pub enum QuantizedType {
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "q5_1")]
    Q5_1,
    #[value(name = "q5_0")]
    Q5_0,
    #[value(name = "q4_1")]
    Q4_1,
    #[value(name = "q4_0")]
    Q4_0,
    #[value(name = "q6_k")]
    Q6K,
    #[value(name = "q5_k")]
    Q5K,
    #[value(name = "q4_k")]
    Q4K,
    #[value(name = "q3_k")]
    Q3K,
    #[value(name = "q2_k")]
    Q2K,
}

impl QuantizedType {
    /// The tensor library's name.
    #[must_use]
    pub fn dtype(self) -> GgmlDType {
        match self {
            QuantizedType::Q8_0 => GgmlDType::Q8_0,
            QuantizedType::Q5_1 => GgmlDType::Q5_1,
            QuantizedType::Q5_0 => GgmlDType::Q5_0,
            QuantizedType::Q4_1 => GgmlDType::Q4_1,
            QuantizedType::Q4_0 => GgmlDType::Q4_0,
            QuantizedType::Q6K => GgmlDType::Q6K,
            QuantizedType::Q5K => GgmlDType::Q5K,
            QuantizedType::Q4K => GgmlDType::Q4K,
            QuantizedType::Q3K => GgmlDType::Q3K,
            QuantizedType::Q2K => GgmlDType::Q2K,
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

impl ConvertArgs {
    /// The model as it was named.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is no text.
    pub fn model(&self) -> Result<String> {
        text(&self.model)
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(Into::into).ok_or_else(|| {
        Error::usage(format!("the path `{}` is not valid UTF-8", path.display()), "rename it, or give a link to it")
    })
}
