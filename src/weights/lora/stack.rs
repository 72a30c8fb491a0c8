//! [`Stack`]: adapters on a model.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::adapted::{Adapted, Patch};
use super::blocks::{BlockNames, BlockWeights};
use super::kinds::Change;
use super::names::{Names, Place};
use super::sum::Sums;
use super::{Adapter, Family, Fault, LoraError, Report};
use crate::nn::ParamSource;

/// A component of a model: its name in diffusers, and its tensors under diffusers' names.
pub type Component = (&'static str, Arc<dyn ParamSource>);

/// How strongly an adapter is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Strength {
    /// To the denoiser.
    pub denoiser: f64,
    /// To the text encoders.
    pub text: f64,
    /// By blocks of the denoiser, and for the text encoders as a whole.
    pub blocks: Option<BlockWeights>,
}

/// The layer of FLUX that takes latents, and in some of its models more beside them, and the weight of the one that gives latents.
const FLUX_INPUT: &str = "x_embedder";
const FLUX_OUTPUT: &str = "proj_out.weight";

/// A patch with its place: component, tensor.
type Placed = (&'static str, String, Patch);

/// Adapters on a model: for each tensor, what is added to it. In what order they are added makes no difference but for rounding.
pub struct Stack {
    components: Vec<Component>,
    names: Names,
    blocks: BlockNames,
    family: Option<Family>,
    patches: HashMap<&'static str, HashMap<String, Vec<Patch>>>,
}

impl Stack {
    /// A model without adapters. `family` is for messages.
    #[must_use]
    pub fn new(components: Vec<Component>, family: Option<Family>) -> Self {
        let tensors: Vec<(&'static str, Vec<String>)> =
            components.iter().map(|(name, source)| (*name, source.names())).collect();
        let of = |component: &str| tensors.iter().find(|(name, _)| *name == component);
        Stack {
            names: Names::new(tensors.iter().map(|(name, tensors)| (*name, tensors.as_slice()))),
            blocks: BlockNames::of_unet(of("unet").map_or(&[], |(_, names)| names)),
            patches: HashMap::new(),
            components,
            family,
        }
    }

    /// Adds an adapter. Nothing is added when there is an error.
    ///
    /// # Errors
    /// When the adapter is damaged, does not fit the model, or is for another family.
    pub fn add(&mut self, adapter: &Adapter, strength: &Strength) -> Result<Report, LoraError> {
        if let Some(weights) = &strength.blocks {
            weights.check(&self.blocks)?;
        }
        let mut report = Report::new(adapter);
        let mut placed = Vec::new();
        let mut misfit = None;
        // diffusers swaps the halves of both matrices of those, though the ranks of the first one have no such halves.
        let swaps_ranks = adapter.is_of_black_forest_labs();
        for module in adapter.modules() {
            let changes = adapter.changes(module)?;
            let Some(place) = self.names.find(&module.name) else {
                report.unmatched(module);
                continue;
            };
            let multiplier = strength.on(&place, &self.blocks);
            let mut fits = true;
            for (tensor, change) in [("weight", changes.weight), ("bias", changes.bias)] {
                let Some(change) = change else { continue };
                let rank = change.rank();
                let change = if place.swapped { change.swapped(swaps_ranks) } else { Ok(change) };
                match change.and_then(|change| self.place(&place, tensor, change, multiplier)) {
                    Ok(Some(patches)) => placed.extend(patches),
                    Ok(None) => fits = false,
                    Err(fault) => {
                        misfit.get_or_insert(LoraError::Module {
                            file: adapter.label(),
                            module: module.name.clone(),
                            fault,
                        });
                    }
                }
                report.rank(rank);
            }
            if fits {
                report.matched(&place);
            } else {
                report.unmatched(module);
            }
        }
        self.check(adapter, &report, misfit)?;
        for (component, tensor, patch) in placed {
            self.patches.entry(component).or_default().entry(tensor).or_default().push(patch);
        }
        Ok(report)
    }

    /// The patches of a change: for each module, the component, the tensor and what is added to it. Nothing when the model has no
    /// such tensor.
    fn place(
        &self,
        place: &Place<'_>,
        tensor: &str,
        change: Change,
        multiplier: f64,
    ) -> Result<Option<Vec<Placed>>, Fault> {
        let Some((_, source)) = self.components.iter().find(|(name, _)| *name == place.component) else {
            return Ok(None);
        };
        let mut targets: Vec<(String, Range<usize>)> = Vec::new();
        let mut shape = Vec::new();
        for module in place.modules {
            let name = format!("{module}.{tensor}");
            let Some((found, _)) = source.info(&name) else { return Ok(None) };
            let start = targets.last().map_or(0, |(_, rows)| rows.end);
            let rows = start..start + found.dims().first().copied().unwrap_or(1);
            shape = found.into_dims();
            targets.push((name, rows));
        }
        let outputs = targets.last().map_or(0, |(_, rows)| rows.end);
        let inputs = shape.get(1..).unwrap_or_default();
        let change = match (place.modules, inputs) {
            ([module], [columns]) if module == FLUX_INPUT => {
                of_first_layer(change, source.as_ref(), outputs, *columns)?
            }
            _ => change,
        };
        if !change.fits(outputs, inputs) {
            let model = [&[outputs], inputs].concat();
            return Err(Fault::Shape { adapter: change.shape(), model });
        }
        if targets.len() > 1 && !change.splits() {
            return Err(Fault::Split);
        }
        // As diffusers, which loads such weights into the model whatever the strength.
        let multiplier = if change.replaces() { 1.0 } else { multiplier };
        if multiplier == 0.0 {
            return Ok(Some(Vec::new()));
        }
        let change = Arc::new(change);
        let patch = |(tensor, rows)| (place.component, tensor, Patch { change: change.clone(), rows, multiplier });
        Ok(Some(targets.into_iter().map(patch).collect()))
    }

    /// Refuses an adapter that fits nothing, or another family: one for SDXL changes a text encoder that SD 1.x has too, and is no
    /// LoRA for it all the same.
    fn check(&self, adapter: &Adapter, report: &Report, misfit: Option<LoraError>) -> Result<(), LoraError> {
        let file = adapter.label();
        if misfit.is_none() && report.is_complete() {
            return Ok(());
        }
        match adapter.family().filter(|lora| self.family != Some(*lora)) {
            // What is of no known family may yet be a part of one.
            Some(lora) if self.family.is_some() || misfit.is_some() => {
                return Err(LoraError::OtherFamily { file, lora, model: self.family });
            }
            _ => {}
        }
        match misfit {
            Some(misfit) => Err(misfit),
            None if report.count() == 0 => {
                let examples = report.examples();
                Err(LoraError::NothingFits { file, modules: adapter.modules().len(), examples })
            }
            None => Ok(()),
        }
    }

    /// The names that modules of the model go by.
    #[cfg(test)]
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// The model's components as they were given.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// What is added to the tensors of a component.
    pub(super) fn patches(&self, component: &str) -> impl Iterator<Item = (&str, &[Patch])> {
        let patches = self.patches.get(component).into_iter().flatten();
        patches.map(|(tensor, patches)| (tensor.as_str(), patches.as_slice()))
    }

    /// The names of the tensors of a component to which something is added.
    pub fn changed(&self, component: &str) -> HashSet<String> {
        self.patches(component).map(|(tensor, _)| tensor.into()).collect()
    }

    /// The components with all changes, which are made when a tensor is read.
    #[must_use]
    pub fn into_components(mut self, sums: Sums) -> Vec<Component> {
        let adapted = |(name, source): Component| match self.patches.remove(name) {
            Some(patches) => (name, Arc::new(Adapted::new(source, patches, sums)) as Arc<dyn ParamSource>),
            None => (name, source),
        };
        self.components.into_iter().map(adapted).collect()
    }
}

/// A change of FLUX's first layer for a weight of so many columns, those of the latents first.
fn of_first_layer(change: Change, source: &dyn ParamSource, outputs: usize, columns: usize) -> Result<Change, Fault> {
    if change.fits(outputs, &[2 * columns]) {
        return Err(Fault::ControlMap);
    }
    let latents = source.info(FLUX_OUTPUT).and_then(|(shape, _)| shape.dims().first().copied());
    Ok(change.widened(outputs, latents.unwrap_or(columns), columns))
}

impl Strength {
    /// On a module of the model.
    fn on(&self, place: &Place<'_>, blocks: &BlockNames) -> f64 {
        let scale = if place.component.starts_with("text_encoder") { self.text } else { self.denoiser };
        let block = place.modules.first().map(|module| blocks.of(place.component, module));
        match (&self.blocks, block) {
            (Some(weights), Some(block)) => scale * weights.of(block),
            _ => scale,
        }
    }
}
