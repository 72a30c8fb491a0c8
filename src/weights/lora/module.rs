//! [`Module`]: the tensors that an adapter has for one module of the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::kinds::Result;
use super::roles::Role;
use super::Fault;
use crate::nn::ParamSource;

/// The tensors of an adapter for one module of the model.
pub struct Module {
    /// The module as the file names it.
    pub name: String,
    tensors: BTreeMap<Role, Stored>,
}

/// A tensor of an adapter, read when it is needed.
#[derive(Clone)]
pub struct Stored {
    source: Arc<dyn ParamSource>,
    name: String,
    shape: Vec<usize>,
}

impl Module {
    /// Without tensors.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Module { name: name.into(), tensors: BTreeMap::new() }
    }

    /// Adds a tensor of the file; nothing changes when there is one for this already.
    pub fn insert(&mut self, role: Role, tensor: Stored) {
        self.tensors.entry(role).or_insert(tensor);
    }

    /// The tensor that is this to the change.
    #[must_use]
    pub fn get(&self, role: Role) -> Option<&Stored> {
        self.tensors.get(&role)
    }

    /// The tensor that is this to the change; `name` is what a message calls it.
    ///
    /// # Errors
    /// [`Fault::Missing`] when there is none.
    pub fn need(&self, role: Role, name: &'static str) -> Result<&Stored, Fault> {
        self.get(role).ok_or(Fault::Missing(name))
    }

    /// Whether there is a tensor of such a role.
    pub fn any(&self, of: impl Fn(Role) -> bool) -> bool {
        self.tensors.keys().any(|role| of(*role))
    }

    /// Names of its tensors in the file.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.tensors.values().map(|stored| stored.name.as_str())
    }
}

impl Stored {
    /// The tensor `name` of a file, if it is there.
    #[must_use]
    pub fn of(source: &Arc<dyn ParamSource>, name: &str) -> Option<Self> {
        let (shape, _) = source.info(name)?;
        Some(Stored { source: source.clone(), name: name.into(), shape: shape.into_dims() })
    }

    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The first side of its shape; 1 of a single number.
    #[must_use]
    pub fn first(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The product of the other sides.
    #[must_use]
    pub fn rest(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// It in f32, in its own shape.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Tensor> {
        self.source.read(&self.name).map_err(candle_core::Error::wrap)?.to_dtype(DType::F32)
    }

    /// It in f32, as a matrix: its first side, and all others as one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn matrix(&self) -> Result<Tensor> {
        self.read()?.reshape((self.first(), self.rest()))
    }

    /// The one number that it is.
    ///
    /// # Errors
    /// [`Fault::Number`] when it is more than one, or none that is finite.
    pub fn number(&self) -> Result<f64, Fault> {
        let one = || self.read()?.flatten_all()?.to_vec1::<f32>();
        match one() {
            Ok(values) if values.len() == 1 && values[0].is_finite() => Ok(f64::from(values[0])),
            _ => Err(Fault::Number(self.name.clone())),
        }
    }
}
