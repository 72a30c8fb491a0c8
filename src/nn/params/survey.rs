//! [`Survey`]: what a model asks of its source.

use candle_core::Shape;

use super::Params;
use crate::weights::ShapeMismatch;

/// How the tensors of a source fit the model that its config describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// What a message calls the source.
    pub file: String,
    /// The tensors that the model wants: names and shapes, in the order in which it is built.
    pub asked: Vec<(String, Vec<usize>)>,
    /// Those that the source lacks.
    pub missing: Vec<String>,
    /// Those of another shape in the source.
    pub misshapen: Vec<ShapeMismatch>,
    /// Tensors of the source that the model does not want, less those known to be harmless.
    pub surplus: Vec<String>,
}

impl Survey {
    /// Whether the model can be built from the source.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty()
    }
}

impl Params {
    /// What a model that was built for a survey asked for, and how the source's tensors fit.
    #[must_use]
    pub fn surveyed(&self) -> Survey {
        let mut ledger = self.ledger();
        let surplus = self.surplus(&ledger);
        Survey {
            file: self.root.source.label(),
            asked: std::mem::take(&mut ledger.asked),
            missing: std::mem::take(&mut ledger.missing),
            misshapen: std::mem::take(&mut ledger.misshapen),
            surplus,
        }
    }

    /// Takes down that the model asks for this tensor.
    pub(super) fn ask(&self, shape: &Shape, name: &str) {
        let found = self.root.source.info(name);
        let mut ledger = self.ledger();
        if !ledger.taken.insert(name.to_string()) {
            return;
        }
        ledger.asked.push((name.to_string(), shape.dims().to_vec()));
        match found {
            Some((found, _)) if found == *shape => {}
            Some((found, _)) => ledger.misshapen.push(ShapeMismatch {
                name: name.to_string(),
                found: found.into_dims(),
                wanted: shape.dims().to_vec(),
            }),
            None => ledger.missing.push(name.to_string()),
        }
    }
}
