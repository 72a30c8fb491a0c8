//! What can be wrong with a PyTorch checkpoint.

/// A PyTorch checkpoint that is damaged, or more than tensors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// The pickle asks for a class or function that has no place among tensors. Python would run it.
    #[error("it asks for `{0}`, which is no part of a file of tensors and may be harmful")]
    Forbidden(String),
    /// The file was written in a way that is not read.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The file does not hold together.
    #[error("it is damaged or cut off: {0}")]
    Damaged(String),
}

impl PickleError {
    /// For `map_err` and `ok_or_else`: damage.
    pub(super) fn damaged(what: impl ToString) -> Self {
        PickleError::Damaged(what.to_string())
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            PickleError::Forbidden(_) => "do not load it in other programs either; look for a .safetensors file",
            PickleError::Unsupported(_) => "look for a .safetensors file, or convert it with a program that reads it",
            PickleError::Damaged(_) => "fetch the file again",
        }
    }
}
