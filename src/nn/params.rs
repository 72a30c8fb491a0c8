//! Where a model takes its tensors from.

use candle_core::{DType, Shape, Tensor};

use crate::weights::WeightsError;

/// Named tensors of one component (a UNet, a text encoder), whatever file or bytes they lie in.
pub trait ParamSource: Send + Sync {
    /// What a message calls the source: a file's name, "built-in unet".
    fn label(&self) -> String;
    /// All tensor names.
    fn names(&self) -> Vec<String>;
    /// Shape and stored dtype of a tensor.
    fn info(&self, name: &str) -> Option<(Shape, DType)>;
    /// The tensor on the CPU in its stored dtype.
    ///
    /// # Errors
    /// When the tensor is not there or its bytes are not.
    fn read(&self, name: &str) -> Result<Tensor, WeightsError>;
}

/// A path into a [`ParamSource`].
pub struct Params {}
