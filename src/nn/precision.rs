//! What `--dtype` means on which device.

use std::fmt;

use candle_core::{DType, Device, Result};

use super::cpu;
use crate::kernels::gemm::{Kernel, Rounding};

/// The precision of matrix products and convolutions.
///
/// On CUDA and Metal the activations have this type; norms' statistics and softmax are f32 all the same. On the CPU activations
/// are f32 always, and the *operands* of products and convolutions are rounded to this type and accumulated in f32, as
/// instructions with half-precision operands do. So one precision gives one picture, whatever instructions a processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// 32 bits throughout.
    #[default]
    F32,
    /// Operands with 8 bits of mantissa and the range of f32.
    Bf16,
    /// Operands with 11 bits of mantissa; values above 65504 overflow.
    F16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dtype().as_str())
    }
}

impl Precision {
    /// The type that carries this precision.
    #[must_use]
    pub fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
            Precision::F16 => DType::F16,
        }
    }

    /// The type of activations and of stored weights on `device`.
    #[must_use]
    pub fn activation_dtype(self, device: &Device) -> DType {
        if device.is_cpu() {
            DType::F32
        } else {
            self.dtype()
        }
    }

    /// The kernel that computes products in this precision on the CPU.
    ///
    /// # Errors
    /// When `SDGEN_ISA` asks for instructions that the processor lacks.
    pub(super) fn kernel(self) -> Result<Kernel> {
        let rounding = match self {
            Precision::F32 => Rounding::None,
            Precision::Bf16 => Rounding::Bf16,
            Precision::F16 => Rounding::F16,
        };
        Ok(Kernel::new(cpu::isa()?, rounding))
    }
}
