//! [`Adapted`]: weights that are changed when they are read.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Shape, Tensor};

use super::kinds::{Base, Change, Factors};
use super::sum::{self, Sums};
use crate::nn::{ParamSource, Quantized, Values};
use crate::weights::WeightsError;

/// What is added to a tensor.
pub struct Patch {
    /// The change.
    pub change: Arc<Change>,
    /// Which of its rows are those of the tensor.
    pub rows: Range<usize>,
    /// What it is multiplied with.
    pub multiplier: f64,
}

/// The tensors of a component, changed when they are read; sums are made in f32. Only one tensor's change is in memory at a time.
pub struct Adapted {
    source: Arc<dyn ParamSource>,
    patches: HashMap<String, Vec<Patch>>,
    sums: Sums,
}

impl Adapted {
    /// The tensors of `source` with these patches, by the tensors' names.
    #[must_use]
    pub fn new(source: Arc<dyn ParamSource>, patches: HashMap<String, Vec<Patch>>, sums: Sums) -> Self {
        Adapted { source, patches, sums }
    }

    fn bad(&self, name: &str, error: &candle_core::Error) -> WeightsError {
        let reason = format!("a LoRA cannot be added to it: {error}");
        WeightsError::BadTensor { file: self.label(), tensor: name.into(), reason }
    }
}

/// The sum of changes that are products of thin matrices as one such product: the matrices side by side.
fn factors(patches: &[Patch]) -> candle_core::Result<Option<[Tensor; 2]>> {
    let (mut ups, mut downs) = (Vec::new(), Vec::new());
    for patch in patches {
        let Some(Factors { up, down }) = patch.change.factors(&patch.rows)? else { return Ok(None) };
        ups.push(up.affine(patch.multiplier, 0.0)?);
        downs.push(down);
    }
    Ok(if ups.is_empty() { None } else { Some([Tensor::cat(&ups, 1)?, Tensor::cat(&downs, 0)?]) })
}

/// All changes of a tensor: [rows, columns] in f32.
fn total(stored: &Tensor, patches: &[Patch]) -> candle_core::Result<Option<Tensor>> {
    let base = Base::new(stored);
    let mut total: Option<Tensor> = None;
    for patch in patches {
        let change = patch.change.rows(&base, &patch.rows, patch.multiplier)?;
        total = Some(match total {
            Some(sum) => (sum + change)?,
            None => change,
        });
    }
    Ok(total)
}

impl ParamSource for Adapted {
    fn label(&self) -> String {
        self.source.label()
    }

    fn names(&self) -> Vec<String> {
        self.source.names()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        let (shape, dtype) = self.source.info(name)?;
        Some((shape, if self.patches.contains_key(name) { self.sums.dtype(dtype) } else { dtype }))
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        self.source.stored_type(name)
    }

    fn want(&self, name: &str, shape: &Shape) {
        self.source.want(name, shape);
    }

    fn lend(&self, name: &str, take: &mut dyn FnMut(Values<'_>)) -> bool {
        !self.patches.contains_key(name) && self.source.lend(name, take)
    }

    fn lends(&self, name: &str) -> bool {
        !self.patches.contains_key(name) && self.source.lends(name)
    }

    fn quantized(&self, name: &str) -> Option<Quantized> {
        self.source.quantized(name).filter(|_| !self.patches.contains_key(name))
    }

    fn unchanged(&self, name: &str) -> Option<Arc<dyn ParamSource>> {
        let patches = self.patches.get(name)?;
        patches.iter().all(|patch| patch.change.is_product()).then(|| self.source.clone())
    }

    fn change(&self, name: &str) -> Result<Option<[Tensor; 2]>, WeightsError> {
        let patches = self.patches.get(name).map(Vec::as_slice).unwrap_or_default();
        factors(patches).map_err(|e| self.bad(name, &e))
    }

    fn release(&self) {
        self.source.release();
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let stored = self.source.read(name)?;
        let Some(patches) = self.patches.get(name) else { return Ok(stored) };
        let changed = || match total(&stored, patches)? {
            Some(change) => sum::add(&stored, &change, self.sums),
            None => Ok(stored.clone()),
        };
        changed().map_err(|e| self.bad(name, &e))
    }
}
