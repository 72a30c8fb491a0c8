//! Where a model takes its tensors from.

mod survey;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Shape, Tensor};

pub use self::survey::Survey;
use super::quantised::Quantisation;
use super::{cpu, AttentionMethod, ParamSource, Precision, Values};
use crate::weights::{Mismatch, ShapeMismatch, WeightsError};

/// Tensors that files carry though no network computes with them: constants, and what only training needs.
const HARMLESS_SURPLUS: [&str; 3] = ["position_ids", "logit_scale", "num_batches_tracked"];

/// Elements of the largest tensor of zeros that stands in for one that is missing. No real tensor has as many: what is larger is
/// a size that a damaged config made up, and building ends there.
const LARGEST_STAND_IN: usize = 1 << 28;

/// A path into a [`ParamSource`], cheap to clone.
///
/// A missing or wrongly shaped tensor does not end loading: zeros stand in for it, and [`Params::finish`] reports all of them
/// at once. So a model must not be used before `finish` was called.
#[derive(Clone)]
pub struct Params {
    pub(super) root: Arc<Root>,
    prefix: String,
}

pub(super) struct Root {
    pub(super) source: Arc<dyn ParamSource>,
    precision: Precision,
    device: Device,
    /// Whether names and shapes alone are of interest.
    pub(super) survey: bool,
    pub(super) handling: Handling,
    ledger: Mutex<Ledger>,
}

/// How a model holds its weights and computes with them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Handling {
    /// How it computes attention.
    pub attention: AttentionMethod,
    /// What the weights of linear layers are quantised to.
    pub quantize: Option<GgmlDType>,
    /// Whether layers on the CPU leave their weights where they lie, if they can be lent, and pack them for each product.
    pub low_memory: bool,
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) taken: HashSet<String>,
    /// Names and shapes in the order in which a survey asked for them.
    asked: Vec<(String, Vec<usize>)>,
    missing: Vec<String>,
    misshapen: Vec<ShapeMismatch>,
    pub(super) unreadable: Option<WeightsError>,
    pub(super) quantisation: Quantisation,
}

impl Params {
    /// The root of `source`, for a model that runs on `device` in `precision`.
    #[must_use]
    pub fn new(source: Arc<dyn ParamSource>, precision: Precision, device: &Device) -> Self {
        Self::with_attention(source, precision, device, AttentionMethod::Auto)
    }

    /// As [`Params::new`], for a model that computes attention in this way.
    #[must_use]
    pub fn with_attention(
        source: Arc<dyn ParamSource>,
        precision: Precision,
        device: &Device,
        attention: AttentionMethod,
    ) -> Self {
        Self::handled(source, precision, device, Handling { attention, ..Handling::default() })
    }

    /// As [`Params::new`], for a model that handles its weights so.
    #[must_use]
    pub fn handled(source: Arc<dyn ParamSource>, precision: Precision, device: &Device, handling: Handling) -> Self {
        Self::rooted(Root {
            source,
            precision,
            device: device.clone(),
            survey: false,
            handling,
            ledger: Mutex::default(),
        })
    }

    /// The root of `source` for building a model only to learn which tensors it wants: nothing is read, and the model takes next to no
    /// memory and cannot be used. [`Params::surveyed`] has the result.
    #[must_use]
    pub fn for_survey(source: Arc<dyn ParamSource>) -> Self {
        Self::rooted(Root {
            source,
            precision: Precision::F32,
            device: Device::Cpu,
            survey: true,
            handling: Handling::default(),
            ledger: Mutex::default(),
        })
    }

    fn rooted(root: Root) -> Self {
        Params { root: Arc::new(root), prefix: String::new() }
    }

    /// The path one level deeper: `params.pp("down_blocks").pp(0)`.
    #[must_use]
    pub fn pp(&self, name: impl Display) -> Self {
        Params { root: Arc::clone(&self.root), prefix: self.full_name(&name.to_string()) }
    }

    /// The tensor `name` below this path in the type of activations (f32 on the CPU), on the model's device; zeros when it is
    /// missing or its shape is not `shape`, which [`Params::finish`] will say.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn get(&self, shape: impl Into<Shape>, name: &str) -> candle_core::Result<Tensor> {
        let dtype = self.precision().activation_dtype(self.device());
        self.get_stored(shape, name)?.to_dtype(dtype)?.to_device(self.device())
    }

    /// As [`Params::get`], but on the CPU and in the type that the source has it in.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn get_stored(&self, shape: impl Into<Shape>, name: &str) -> candle_core::Result<Tensor> {
        let shape = shape.into();
        if self.root.survey {
            self.ask(&shape, &self.full_name(name));
            return Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape);
        }
        match self.read(&shape, &self.full_name(name)) {
            Some(tensor) => Ok(tensor),
            None if shape.elem_count() > LARGEST_STAND_IN => {
                candle_core::bail!("{shape:?} is no size for a tensor that is not there")
            }
            None => Tensor::zeros(shape, DType::F32, &Device::Cpu),
        }
    }

    /// What `f` makes of the values that [`Params::get_stored`] would give: they are not copied where the source can lend them.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub(super) fn with_stored<T>(
        &self,
        shape: impl Into<Shape>,
        name: &str,
        f: impl FnOnce(Values) -> T,
    ) -> candle_core::Result<T> {
        let (shape, full_name) = (shape.into(), self.full_name(name));
        let (mut result, mut f) = (None, Some(f));
        if self.root.source.info(&full_name).is_some_and(|(found, _)| found == shape) {
            let mut take = |values: Values| result = result.take().or_else(|| Some(f.take()?(values)));
            if self.root.source.lend(&full_name, &mut take) {
                self.ledger().taken.insert(full_name);
            }
        }
        match (result, f) {
            (Some(result), _) => Ok(result),
            (None, Some(f)) => cpu::with_stored(&self.get_stored(shape, name)?, f),
            (None, None) => candle_core::bail!("the values of `{name}` were lent and not used"),
        }
    }

    /// The source of the tensor `name` of `shape` below this path and its name there, if its layer should not hold it but have it lent.
    pub(super) fn lender(&self, shape: &Shape, name: &str) -> Option<(Arc<dyn ParamSource>, String)> {
        let (Root { source, handling, .. }, full_name) = (&*self.root, self.full_name(name));
        let fits = || source.info(&full_name).is_some_and(|(found, _)| found == *shape);
        if !(handling.low_memory && fits() && source.lends(&full_name)) {
            return None;
        }
        self.ledger().taken.insert(full_name.clone());
        Some((source.clone(), full_name))
    }

    /// Whether nothing is read: see [`Params::for_survey`].
    #[must_use]
    pub(super) fn is_survey(&self) -> bool {
        self.root.survey
    }

    /// Whether the source has the tensor `name` below this path.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.root.source.info(&self.full_name(name)).is_some()
    }

    /// The shape of the tensor `name` below this path, if the source has it.
    #[must_use]
    pub fn shape_of(&self, name: &str) -> Option<Vec<usize>> {
        self.root.source.info(&self.full_name(name)).map(|(shape, _)| shape.into_dims())
    }

    /// The precision that the model computes in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.root.precision
    }

    /// How the model computes attention.
    #[must_use]
    pub fn attention(&self) -> AttentionMethod {
        self.root.handling.attention
    }

    /// What a message calls the source of the tensors.
    #[must_use]
    pub fn label(&self) -> String {
        self.root.source.label()
    }

    /// The device that the model runs on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.root.device
    }

    /// To be called when the model is built, on any of its paths: the names of the tensors in the source that the model did not
    /// ask for, less those known to be harmless. They are worth a note, not an error: the model has all that it needs.
    ///
    /// # Errors
    /// When tensors are missing, wrongly shaped or unreadable: all of them by name.
    pub fn finish(&self) -> Result<Vec<String>, WeightsError> {
        let mut ledger = self.ledger();
        if let Some(error) = ledger.unreadable.take() {
            return Err(error);
        }
        let surplus = self.surplus(&ledger);
        if ledger.missing.is_empty() && ledger.misshapen.is_empty() {
            return Ok(surplus);
        }
        Err(WeightsError::Mismatch(Box::new(Mismatch {
            file: self.root.source.label(),
            missing: std::mem::take(&mut ledger.missing),
            misshapen: std::mem::take(&mut ledger.misshapen),
            surplus,
        })))
    }

    /// The names of the source's tensors that were not asked for, less those known to be harmless.
    fn surplus(&self, ledger: &Ledger) -> Vec<String> {
        let mut surplus = self.root.source.names();
        surplus.retain(|name| !ledger.taken.contains(name) && !is_harmless(name));
        surplus.sort_unstable();
        surplus
    }

    fn read(&self, shape: &Shape, name: &str) -> Option<Tensor> {
        let source = &self.root.source;
        source.want(name, shape);
        let found = source.info(name);
        let tensor = found.as_ref().filter(|(found, _)| found == shape).map(|_| source.read(name));
        let mut ledger = self.ledger();
        if !ledger.taken.insert(name.to_string()) && !matches!(tensor, Some(Ok(_))) {
            return None;
        }
        match (found, tensor) {
            (None, _) => ledger.missing.push(name.to_string()),
            (Some((found, _)), None) => ledger.misshapen.push(ShapeMismatch {
                name: name.to_string(),
                found: found.into_dims(),
                wanted: shape.dims().to_vec(),
            }),
            (_, Some(Err(error))) => {
                ledger.unreadable.get_or_insert(error);
            }
            (_, Some(Ok(tensor))) => return Some(tensor),
        }
        None
    }

    pub(super) fn full_name(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.root.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_harmless(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    HARMLESS_SURPLUS.contains(&last)
}
