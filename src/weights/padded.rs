//! [`Padded`]: weights of which one matrix takes more inputs than it was made for.

use std::sync::Arc;

use candle_core::{DType, Shape, Tensor};

use super::WeightsError;
use crate::nn::{ParamSource, Quantized, Values};

/// A view on weights with columns of zeros behind those of one matrix.
pub struct Padded {
    source: Arc<dyn ParamSource>,
    matrix: &'static str,
    columns: usize,
}

impl Padded {
    /// `source` with so many columns of `matrix`, which has no more than that.
    #[must_use]
    pub fn new(source: Arc<dyn ParamSource>, matrix: &'static str, columns: usize) -> Self {
        Padded { source, matrix, columns }
    }
}

impl ParamSource for Padded {
    fn label(&self) -> String {
        self.source.label()
    }

    fn names(&self) -> Vec<String> {
        self.source.names()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        let (shape, dtype) = self.source.info(name)?;
        let shape = match shape.dims() {
            [rows, _] if name == self.matrix => Shape::from((*rows, self.columns)),
            _ => shape,
        };
        Some((shape, dtype))
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        self.source.stored_type(name)
    }

    fn lend(&self, name: &str, take: &mut dyn FnMut(Values<'_>)) -> bool {
        name != self.matrix && self.source.lend(name, take)
    }

    fn lends(&self, name: &str) -> bool {
        name != self.matrix && self.source.lends(name)
    }

    fn quantized(&self, name: &str) -> Option<Quantized> {
        self.source.quantized(name).filter(|_| name != self.matrix)
    }

    fn release(&self) {
        self.source.release();
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let stored = self.source.read(name)?;
        if name != self.matrix {
            return Ok(stored);
        }
        let padded = || stored.pad_with_zeros(1, 0, self.columns.saturating_sub(stored.dim(1)?));
        padded().map_err(|e| WeightsError::BadTensor {
            file: self.label(),
            tensor: name.into(),
            reason: format!("it cannot be made {} columns wide: {e}", self.columns),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::testing::{of_tensors, Stored};

    #[test]
    fn one_matrix_is_wider() {
        let tensor = |name: &str, dtype: &str, bytes: &[u8]| Stored {
            name: name.into(),
            dtype: dtype.into(),
            shape: vec![2, 2],
            bytes: bytes.into(),
        };
        for (dtype, one) in [("F32", &[0, 0, 128, 63][..]), ("BF16", &[128, 63]), ("F16", &[0, 60]), ("F8_E4M3", &[56])]
        {
            let file = of_tensors(&[tensor("in", dtype, &one.repeat(4)), tensor("out", dtype, &one.repeat(4))], &[]);
            let padded = Padded::new(file.source, "in", 3);
            let read = |name: &str| padded.read(name).unwrap();
            let values = |name: &str| read(name).to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(values("in"), [[1.0, 1.0, 0.0]; 2], "{dtype}");
            assert_eq!(values("out"), [[1.0; 2]; 2]);
            for name in ["in", "out"] {
                let (shape, info) = padded.info(name).unwrap();
                assert_eq!((&shape, info), (read(name).shape(), read(name).dtype()), "{dtype} {name}");
            }
            assert!(!padded.lends("in") && !padded.lend("in", &mut |_| panic!("it was lent")));
            assert_eq!(padded.lends("out"), dtype != "F8_E4M3");
        }
    }
}
