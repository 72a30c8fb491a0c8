//! The weights of linear layers and convolutions.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor};

use super::aside::Aside;
use super::{cpu, Params, Quantized, Values};
use crate::kernels::gemm::{Kernel, Packed, Side};

/// Weights in the form that their device multiplies with.
#[derive(Clone)]
pub(super) enum Weight<P> {
    /// On the CPU: packed once, for all products.
    Packed(Arc<P>),
    /// On another device: the tensor as it was stored, in the type of activations.
    Tensor(Tensor),
}

impl<P> std::fmt::Debug for Weight<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Weight::Packed(_) => f.write_str("Packed"),
            Weight::Tensor(tensor) => tensor.fmt(f),
        }
    }
}

impl Weight<Packed> {
    /// The tensor `weight` of `shape`, a matrix of its first side by all others, as columns of products. On the CPU it stays quantised if
    /// it is stored so.
    /// What changes such a weight stands beside it.
    pub(super) fn of_columns(shape: impl Into<Shape>, params: &Params) -> Result<(Self, Option<Aside>)> {
        let shape = shape.into();
        if let Some((matrix, change)) = params.matrix(&shape, "weight")? {
            if !params.device().is_cpu() {
                return Ok((Weight::Tensor(widened(&matrix, change, &shape, params)?), None));
            }
            let kernel = params.precision().kernel()?;
            let aside = change.map(|change| Aside::new(kernel, &change)).transpose()?;
            return Ok((Weight::Packed(Arc::new(Packed::quantized(kernel, matrix))), aside));
        }
        let outputs = shape.dims().first().copied().unwrap_or(1);
        let inputs = shape.elem_count() / outputs.max(1);
        let weight = Weight::new(shape, params, |kernel, values| {
            Packed::weights(kernel, Side::Columns, values, [outputs, inputs, 1])
        })?;
        Ok((weight, None))
    }
}

/// For devices that do not compute with quantised numbers: the numbers that they stand for, with what is added to them.
fn widened(matrix: &Quantized, change: Option<[Tensor; 2]>, shape: &Shape, params: &Params) -> Result<Tensor> {
    let ([rows, columns], isa) = (matrix.dims(), cpu::isa()?);
    let wide = cpu::filled((rows, columns), |values| {
        values.chunks_exact_mut(columns.max(1)).enumerate().for_each(|(i, row)| matrix.row(isa, i, row));
        Ok(())
    })?;
    let wide = match change {
        Some([up, down]) => (wide + up.matmul(&down)?)?,
        None => wide,
    };
    let dtype = params.precision().activation_dtype(params.device());
    wide.reshape(shape)?.to_dtype(dtype)?.to_device(params.device())
}

impl<P> Weight<P> {
    /// The tensor `weight` of `shape`, on the CPU as `pack` makes it.
    pub(super) fn new(
        shape: impl Into<Shape>,
        params: &Params,
        pack: impl FnOnce(Kernel, Values) -> P,
    ) -> Result<Self> {
        if !params.device().is_cpu() || params.is_survey() {
            return Ok(Weight::Tensor(params.get(shape, "weight")?));
        }
        let kernel = params.precision().kernel()?;
        Ok(Weight::Packed(Arc::new(params.with_stored(shape, "weight", |values| pack(kernel, values))?)))
    }
}
