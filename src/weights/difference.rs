//! [`Difference`]: weights that are stored as what they add to those of another network, put together when they are read. A1111's
//! extension for ControlNets writes such files (`extract_controlnet_diff.py`), and marks them with a tensor `difference`; Control-LoRAs
//! are such files too.

use std::sync::Arc;

use candle_core::{DType, Shape, Tensor};

use super::{control_lora, WeightsError};
use crate::nn::ParamSource;

/// Whether a tensor of this name marks a file of differences.
#[must_use]
pub fn is_mark(name: &str) -> bool {
    name.rsplit('.').next() == Some("difference") || control_lora::is_mark(name)
}

/// A view on differences and the weights that they were taken from, both under the names of the models.
pub struct Difference {
    change: Arc<dyn ParamSource>,
    base: Arc<dyn ParamSource>,
    /// Whether norms and biases are whole: those of Control-LoRAs are.
    vectors_are_whole: bool,
}

impl Difference {
    /// Tensors of `change` that `base` has too are added to those, of a Control-LoRA those with two sides or more; all others are
    /// whole.
    #[must_use]
    pub fn new(change: Arc<dyn ParamSource>, base: Arc<dyn ParamSource>) -> Self {
        let vectors_are_whole = change.names().iter().any(|name| control_lora::is_mark(name));
        Difference { change, base, vectors_are_whole }
    }

    fn is_sum(&self, name: &str, shape: &Shape) -> bool {
        self.base.info(name).is_some() && !(self.vectors_are_whole && shape.rank() < 2)
    }
}

impl ParamSource for Difference {
    fn label(&self) -> String {
        self.change.label()
    }

    fn names(&self) -> Vec<String> {
        self.change.names().into_iter().filter(|name| !is_mark(name)).collect()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        let (shape, dtype) = self.change.info(name)?;
        let is_sum = self.is_sum(name, &shape);
        Some((shape, if is_sum { DType::F32 } else { dtype }))
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let change = self.change.read(name)?;
        if !self.is_sum(name, change.shape()) {
            return Ok(change);
        }
        let base = self.base.read(name)?;
        // Older files have 1x1 convolutions where newer ones have matrices.
        let sum = || base.to_dtype(DType::F32)?.reshape(change.shape())? + change.to_dtype(DType::F32)?;
        sum().map_err(|e| WeightsError::BadTensor {
            file: self.label(),
            tensor: name.into(),
            reason: format!("it is a difference to {}, which it cannot be added to: {e}", self.base.label()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::testing::{floats as tensor, of_tensors};

    #[test]
    fn what_the_base_has_is_added_to() {
        let change = [
            tensor("a", &[2, 1, 1, 1], &[1.0, 2.0]),
            tensor("own", &[1], &[3.0]),
            tensor("b", &[2], &[0.0, 0.0]),
            tensor("control_model.difference", &[], &[1.0]),
        ];
        let base = [tensor("a", &[2, 1], &[0.5, 0.25]), tensor("b", &[3], &[0.0; 3]), tensor("c", &[1], &[9.0])];
        let sum = Difference::new(of_tensors(&change, &[]).source, of_tensors(&base, &[]).source);
        let read = |name: &str| sum.read(name).map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        assert_eq!((read("a").unwrap(), read("own").unwrap()), (vec![1.5, 2.25], vec![3.0]));
        assert_eq!(sum.info("a").unwrap().0.dims(), [2, 1, 1, 1]);
        assert!(read("b").unwrap_err().to_string().contains("cannot be added"));
        let mut names = sum.names();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "own"]);
    }
}
