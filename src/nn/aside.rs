//! Changes of a linear layer that stand beside its weights, where those are not to be changed: `y + up (down x)` (Hu et al. 2021).

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::cpu::{self, floats};
use crate::kernels::gemm::{linear, Bias, Epilogue, Kernel, Packed, Side, Target, Values};

/// The product of two thin matrices, packed. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Aside {
    up: Arc<Packed>,
    down: Arc<Packed>,
}

impl Aside {
    /// `up` [outputs, rank] and `down` [rank, inputs], f32.
    pub(super) fn new(kernel: Kernel, [up, down]: &[Tensor; 2]) -> Result<Self> {
        let packed = |matrix: &Tensor| {
            let (lines, depth) = matrix.dims2()?;
            let matrix = matrix.contiguous()?;
            let values = floats(&matrix)?;
            Ok::<_, candle_core::Error>(Arc::new(Packed::weights(
                kernel,
                Side::Columns,
                Values::F32(&values),
                [lines, depth, 1],
            )))
        };
        Ok(Aside { up: packed(up)?, down: packed(down)? })
    }

    /// What is added to the outputs for `x` [rows, inputs], and to that `residual` [rows, outputs]: [rows, outputs].
    pub(super) fn forward(&self, x: &[f32], rows: usize, residual: Option<&[f32]>) -> Result<Tensor> {
        let product = |x: &[f32], weights: &Packed, residual: Option<&[f32]>| {
            let target = Target::matrix(weights.lines());
            let epilogue = Epilogue { bias: Bias::None, function: None, residual, target };
            cpu::filled((rows, weights.lines()), |y| {
                linear(x, rows, weights, &epilogue, y);
                Ok(())
            })
        };
        let inner = product(x, &self.down, None)?;
        let inner = floats(&inner)?;
        product(&inner, &self.up, residual)
    }
}
