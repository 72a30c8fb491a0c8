//! The weights of a model with the LoRAs of a request.

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;

use crate::hub::ModelFiles;
use crate::nn::{ParamSource, Precision};
use crate::pipeline::{Event, Events, Family, Machine, MapLora, Plan};
use crate::request::{Lora, QuantizedType};
use crate::weights::lora::{Adapter, BlockWeights, Component, Family as Published, LoraError, Stack, Strength, Sums};
use crate::Result;

/// Where the components of a model take their weights from.
pub struct Sources {
    files: ModelFiles,
    /// The components that LoRAs may change.
    adapted: Vec<(&'static str, Arc<dyn ParamSource>)>,
    /// What the linear layers of all but the autoencoder are quantised to.
    quantize: Option<GgmlDType>,
}

impl Sources {
    /// The weights of a model as they are.
    #[must_use]
    pub fn plain(files: &ModelFiles) -> Self {
        Sources { files: files.clone(), adapted: Vec::new(), quantize: None }
    }

    /// The weights of a plan's model with its LoRAs, each of which is told with what of it found a place. `strict` refuses those
    /// that fit only in part.
    ///
    /// # Errors
    /// [`crate::Error::Lora`] when one is damaged or does not fit; otherwise when the model's weights do not open.
    pub fn of(plan: &Plan, machine: &Machine, strict: bool, events: &mut dyn Events) -> Result<Self> {
        let Plan { files, family, loras, map_lora, .. } = plan;
        let quantize = plan.request.parts.quantize.map(QuantizedType::dtype);
        let loras: Vec<&Lora> = loras.iter().map(|planned| &planned.lora).collect();
        if loras.is_empty() {
            return Ok(Sources { quantize, ..Self::plain(files) });
        }
        // Opened before the model: a wrong name is told at once.
        let adapters = loras.iter().map(|lora| Adapter::open(Path::new(&lora.file))).collect::<Result<Vec<_>, _>>()?;
        let widened = |(name, source)| match map_lora {
            Some(_) if name == family.denoiser.component() => (name, MapLora::widen(source, &family.denoiser)),
            _ => (name, source),
        };
        let components = family.adaptable(files)?.into_iter().map(widened).collect();
        let family = (!files.is_built_in()).then(|| family.published());
        let loras: Vec<(&Lora, &Adapter)> = loras.into_iter().zip(&adapters).collect();
        let stack = stack_loras(components, family, &loras, strict, events)?;
        let sums = if machine.precision == Precision::F32 { Sums::F32 } else { Sums::Stored };
        Ok(Sources { files: files.clone(), adapted: stack.into_components(sums), quantize })
    }

    /// The model's files.
    #[must_use]
    pub fn files(&self) -> &ModelFiles {
        &self.files
    }

    /// Lets go of the memory that mapped weights of the text encoders take.
    ///
    /// # Errors
    /// As [`ModelFiles::weights`].
    pub fn release_text(&self, family: &Family) -> Result<()> {
        family.text_components().try_for_each(|component| {
            self.weights(component)?.release();
            Ok(())
        })
    }

    /// What the linear layers of all but the autoencoder are quantised to.
    #[must_use]
    pub fn quantize(&self) -> Option<GgmlDType> {
        self.quantize
    }

    /// The weights of a component.
    ///
    /// # Errors
    /// As [`ModelFiles::weights`].
    pub fn weights(&self, component: &str) -> Result<Arc<dyn ParamSource>> {
        match self.adapted.iter().find(|(name, _)| *name == component) {
            Some((_, source)) => Ok(source.clone()),
            None => self.files.weights(component),
        }
    }
}

/// LoRAs on the components of a model, each of which is told with what of it found a place. `strict` refuses those that fit only in
/// part; `family` is for messages.
///
/// # Errors
/// [`crate::Error::Lora`] when one is damaged or does not fit.
pub fn stack_loras(
    components: Vec<Component>,
    family: Option<Published>,
    loras: &[(&Lora, &Adapter)],
    strict: bool,
    events: &mut dyn Events,
) -> Result<Stack> {
    let mut stack = Stack::new(components, family);
    for (lora, adapter) in loras {
        let report = stack.add(adapter, &strength(lora)?)?;
        events.on(Event::Note(&format!("LoRA {report}")))?;
        match report.missing() {
            Some(unmatched) if strict => {
                return Err(LoraError::Partly { file: adapter.label(), unmatched }.into());
            }
            Some(unmatched) => {
                events.on(Event::Warning(&format!("the LoRA {} fits only in part: {unmatched}", adapter.name())))?;
            }
            None => {}
        }
    }
    Ok(stack)
}

fn strength(lora: &Lora) -> Result<Strength, LoraError> {
    let blocks = lora.blocks.as_deref().map(str::parse::<BlockWeights>).transpose()?;
    Ok(Strength { denoiser: lora.scale, text: lora.text_scale(), blocks })
}
