//! [`ParamSource`]: named tensors, wherever they lie.

use std::sync::Arc;

use candle_core::{DType, Shape, Tensor};

use super::{Quantized, Values};
use crate::weights::WeightsError;

/// Named tensors of one component (a UNet, a text encoder), whatever file or bytes they lie in.
pub trait ParamSource: Send + Sync {
    /// What a message calls the source: a file's name, "built-in unet".
    fn label(&self) -> String;
    /// All tensor names.
    fn names(&self) -> Vec<String>;
    /// Shape of a tensor, and the dtype that it is handed out in.
    fn info(&self, name: &str) -> Option<(Shape, DType)>;
    /// How a tensor's numbers are stored, as messages name it: "f16", "f8e4m3", "q8_0".
    fn stored_type(&self, name: &str) -> Option<String> {
        self.info(name).map(|(_, dtype)| dtype.as_str().into())
    }
    /// Called before a network asks for a tensor, with the shape that it will have to have: weights that are made up take it.
    fn want(&self, _name: &str, _shape: &Shape) {}
    /// Calls `take` with the values of a tensor where they lie, without a copy. False, and no call, where they cannot be lent, for
    /// whatever reason: then [`ParamSource::read`] has them, or the reason.
    fn lend(&self, _name: &str, _take: &mut dyn FnMut(Values<'_>)) -> bool {
        false
    }
    /// Whether [`ParamSource::lend`] has the values of a tensor; nothing is read for the answer.
    fn lends(&self, _name: &str) -> bool {
        false
    }
    /// A tensor that is stored quantised, as it lies in the file, as a matrix of its first side by all others. `None` where it is
    /// not, or its rows are no whole blocks: [`ParamSource::read`] has its numbers in any case.
    fn quantized(&self, _name: &str) -> Option<Quantized> {
        None
    }
    /// The tensors before a change of `name` that [`ParamSource::change`] tells; `None` where it is not changed, or not in that way.
    fn unchanged(&self, _name: &str) -> Option<Arc<dyn ParamSource>> {
        None
    }
    /// What is added to a tensor, as the product of two thin matrices: [rows, rank] and [rank, columns] in f32.
    ///
    /// # Errors
    /// When the change cannot be read.
    fn change(&self, _name: &str) -> Result<Option<[Tensor; 2]>, WeightsError> {
        Ok(None)
    }
    /// Lets go of the memory that mapped files take in this process: it is needed for something else. They can be read on.
    fn release(&self) {}
    /// The tensor on the CPU in the dtype that [`ParamSource::info`] gives.
    ///
    /// # Errors
    /// When the tensor is not there or its bytes are not.
    fn read(&self, name: &str) -> Result<Tensor, WeightsError>;
}
