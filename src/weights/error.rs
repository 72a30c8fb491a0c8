//! What can be wrong with a file of weights, each with its own message and hint.

/// A weight file that is damaged, incomplete, or does not fit its config.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {}

impl WeightsError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        None
    }
}
