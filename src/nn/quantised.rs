//! Weights that stay quantised, and those of linear layers that are quantised when a model is loaded, as ggml does it.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Result, Shape, Tensor};
use rayon::prelude::*;

use super::params::Root;
use super::{cpu, Format, ParamSource, Params, Quantized, SharedBytes, Values};

/// Values that a task quantises, about.
const CHUNK: usize = 1 << 18;

/// The format that layers compute with for one of the tensor library's types.
#[must_use]
pub fn format(kind: GgmlDType) -> Option<Format> {
    Some(match kind {
        GgmlDType::Q4_0 => Format::Q4_0,
        GgmlDType::Q4_1 => Format::Q4_1,
        GgmlDType::Q5_0 => Format::Q5_0,
        GgmlDType::Q5_1 => Format::Q5_1,
        GgmlDType::Q8_0 => Format::Q8_0,
        GgmlDType::Q2K => Format::Q2K,
        GgmlDType::Q3K => Format::Q3K,
        GgmlDType::Q4K => Format::Q4K,
        GgmlDType::Q5K => Format::Q5K,
        GgmlDType::Q6K => Format::Q6K,
        _ => return None,
    })
}

/// Values [rows, columns] in this type; `None` when its rows are no whole blocks of it.
///
/// # Errors
/// When the tensor library fails.
pub(super) fn quantised(values: Values<'_>, [rows, columns]: [usize; 2], kind: GgmlDType) -> Result<Option<Quantized>> {
    let Some((format, line)) = format(kind).and_then(|format| Some((format, format.bytes(columns)?))) else {
        return Ok(None);
    };
    let some = CHUNK.div_ceil(columns.max(1));
    let mut bytes = vec![0; rows * line];
    let chunks = bytes.par_chunks_mut((some * line).max(1)).enumerate();
    chunks.try_for_each(|(index, bytes)| {
        let start = index * some * columns;
        let mut wide = vec![0f32; bytes.len() / line * columns];
        values.read(start..start + wide.len(), &mut wide);
        let count = wide.len();
        let quantized = QTensor::quantize(&Tensor::from_vec(wide, count, &Device::Cpu)?, kind)?;
        bytes.copy_from_slice(&quantized.data()?);
        Ok::<_, candle_core::Error>(())
    })?;
    let range = 0..bytes.len();
    let shared = SharedBytes::new(Arc::new(bytes), range);
    Ok(shared.and_then(|shared| Quantized::new(format, shared, [rows, columns])))
}

/// What became of the weights of linear layers that were to be quantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quantisation {
    /// Layers that were.
    pub layers: usize,
    /// Bytes of their weights.
    pub bytes: usize,
    /// Bytes that they were stored in.
    pub before: usize,
    /// Layers that stay as they were stored: their rows are no whole blocks.
    pub kept: usize,
}

/// A quantised matrix, and what is added to it as in [`ParamSource::change`].
pub(super) type Matrix = (Quantized, Option<[Tensor; 2]>);

impl Params {
    /// The matrix `name` of `shape` below this path, for layers on the CPU that can compute with quantised numbers; `None` where
    /// [`Params::get_stored`] has to be asked.
    pub(super) fn quantized(&self, shape: impl Into<Shape>, name: &str) -> Option<Quantized> {
        let (shape, full_name) = (shape.into(), self.full_name(name));
        let fits = self.root.source.info(&full_name).is_some_and(|(found, _)| found == shape);
        if !fits || self.root.survey || !self.device().is_cpu() {
            return None;
        }
        let quantized = self.root.source.quantized(&full_name)?;
        self.ledger().taken.insert(full_name);
        Some(quantized)
    }

    /// The matrix `name` of `shape` below this path for a linear layer that computes with quantised numbers, stored so or quantised now,
    /// and what is to be added to it. `None` where [`Params::get_stored`] has to be asked.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub(super) fn matrix(&self, shape: &Shape, name: &str) -> Result<Option<Matrix>> {
        let full_name = self.full_name(name);
        let Root { source, survey, handling, .. } = &*self.root;
        source.want(&full_name, shape);
        if *survey || source.info(&full_name).is_none_or(|(found, _)| found != *shape) {
            return Ok(None);
        }
        let base = source.unchanged(&full_name);
        let stored = base.as_ref().unwrap_or(source).quantized(&full_name);
        let matrix = match (handling.quantize, stored) {
            (None, stored) => stored.filter(|_| self.device().is_cpu()),
            (Some(kind), Some(stored)) if format(kind) == Some(stored.format()) => Some(stored),
            (Some(kind), _) => self.quantised(base.as_ref().unwrap_or(source), &full_name, shape, kind)?,
        };
        let Some(matrix) = matrix else { return Ok(None) };
        let change = base.map(|_| source.change(&full_name)).transpose();
        let mut ledger = self.ledger();
        ledger.taken.insert(full_name);
        match change {
            Ok(change) => Ok(Some((matrix, change.flatten()))),
            Err(error) => {
                ledger.unreadable.get_or_insert(error);
                Ok(Some((matrix, None)))
            }
        }
    }

    /// A matrix of a source, quantised; `None` when its rows are no whole blocks, or it cannot be read, which who asks next will be told.
    fn quantised(
        &self,
        source: &Arc<dyn ParamSource>,
        name: &str,
        shape: &Shape,
        kind: GgmlDType,
    ) -> Result<Option<Quantized>> {
        let rows = shape.dims().first().copied().unwrap_or(1);
        let mut matrix = None;
        let mut take = |values: Values| {
            let columns = values.len() / rows.max(1);
            matrix = Some(quantised(values, [rows, columns], kind));
        };
        if !source.lend(name, &mut take) {
            let Ok(tensor) = source.read(name) else { return Ok(None) };
            cpu::with_stored(&tensor, take)?;
        }
        let matrix = matrix.transpose()?.flatten();
        let Quantisation { layers, bytes, before, kept } = &mut self.ledger().quantisation;
        match &matrix {
            Some(matrix) => {
                let dtype = source.info(name).map_or(DType::F32, |(_, dtype)| dtype);
                let wide = shape.elem_count() * dtype.size_in_bytes();
                *layers += 1;
                *bytes += matrix.size();
                *before += source.quantized(name).map_or(wide, |stored| stored.size());
            }
            None => *kept += 1,
        }
        Ok(matrix)
    }

    /// What became of the layers that were to be quantised.
    #[must_use]
    pub fn quantisation(&self) -> Quantisation {
        self.ledger().quantisation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;

    #[test]
    fn numbers_are_those_of_the_tensor_library() {
        let values: Vec<f32> = (0..1100 * 256).map(|i| (i as f32 * 0.37).sin() * 0.02).collect();
        for kind in [GgmlDType::Q4_0, GgmlDType::Q8_0, GgmlDType::Q5_1, GgmlDType::Q4K, GgmlDType::Q6K] {
            let quantized = quantised(Values::F32(&values), [1100, 256], kind).unwrap().unwrap();
            let reference = Tensor::from_slice(&values, values.len(), &Device::Cpu).unwrap();
            let reference = QTensor::quantize(&reference, kind).unwrap().dequantize(&Device::Cpu).unwrap();
            let mut rows = vec![0.0; values.len()];
            rows.chunks_exact_mut(256).enumerate().for_each(|(i, row)| quantized.row(Isa::all()[0], i, row));
            assert_eq!(rows, reference.to_vec1::<f32>().unwrap(), "{kind:?}");
        }
        assert!(quantised(Values::F32(&values[..80]), [2, 40], GgmlDType::Q4_0).unwrap().is_none());
        assert!(quantised(Values::F32(&values[..64]), [1, 64], GgmlDType::Q4K).unwrap().is_none());
        assert!(quantised(Values::F32(&values[..256]), [1, 256], GgmlDType::Q8K).unwrap().is_none());
    }
}
