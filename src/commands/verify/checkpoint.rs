//! Whole models in one file: their tensors against the networks of their family, under the names that the networks use.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value};

use super::check::{add_survey, said};
use super::report::{FileReport, ModelReport};
use super::target::describe;
use crate::commands::inspect::Part;
use crate::hub::{self, ModelFiles};
use crate::nn::Survey;
use crate::pipeline;
use crate::request::Parts;
use crate::weights::detect::{self, Component};
use crate::weights::lora::Family;
use crate::Result;

/// Parts, their classes, and what they are in a file, for the families whose parts differ.
type Parted = &'static [(&'static str, &'static str, Component)];

const STABLE_DIFFUSION: Parted = &[
    ("text_encoder", "CLIPTextModel", Component::ClipL),
    ("text_encoder", "CLIPTextModel", Component::ClipH),
    ("text_encoder_2", "CLIPTextModelWithProjection", Component::ClipG),
    ("unet", "UNet2DConditionModel", Component::Unet),
    ("vae", "AutoencoderKL", Component::Vae),
];
const FLUX: Parted = &[
    ("text_encoder", "CLIPTextModel", Component::ClipL),
    ("text_encoder_2", "T5EncoderModel", Component::T5),
    ("transformer", "FluxTransformer2DModel", Component::Transformer),
    ("vae", "AutoencoderKL", Component::Vae),
];
const SD3: Parted = &[
    // Published files have no projection for it: it would be one that changes nothing.
    ("text_encoder", "CLIPTextModel", Component::ClipL),
    ("text_encoder_2", "CLIPTextModelWithProjection", Component::ClipG),
    ("text_encoder_3", "T5EncoderModel", Component::T5),
    ("transformer", "SD3Transformer2DModel", Component::Transformer),
    ("vae", "AutoencoderKL", Component::Vae),
];

/// Adds to a report what a whole model in one file lacks, and tells what model it is. `None` for files that are no whole models.
pub fn check(name: &str, path: &Path, parts: &Parts, file: &mut FileReport) -> Option<ModelReport> {
    let kind = file.kind.filter(|kind| kind.part == Part::Checkpoint)?;
    let mut report = ModelReport {
        target: name.into(),
        family: kind.family,
        variant: kind.variant.map(Into::into),
        licence: file.licence.clone(),
        ..ModelReport::default()
    };
    let components = match kind.family {
        Some(Family::Sd1 | Family::Sd2 | Family::Sdxl) => STABLE_DIFFUSION,
        Some(Family::Flux) => FLUX,
        Some(Family::Sd3 | Family::Sd35) => SD3,
        None => {
            report.runs = Some(false);
            report.notes.push("this version does not run models of this family: its tensors are not compared".into());
            return Some(report);
        }
    };
    match hub::resolve(&path.to_string_lossy(), parts) {
        Ok(files) => {
            // What is not in the file are guesses about its sizes, which `--config` replaces: no fault of the file.
            if let Err(e) = compare(path, components, &files, file) {
                file.notes.push(format!("its tensors are not compared: {}", said(&e)));
            }
            describe(&mut report, &files);
        }
        Err(e) => report.notes.push(said(&e)),
    }
    Some(report)
}

/// A config that does not say of which class it is: a folder that is given with `--config` holds another file.
fn without_class(config: &str) -> String {
    let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(config) else { return config.into() };
    fields.retain(|name, _| name != "architectures" && name != "_class_name");
    Value::Object(fields).to_string()
}

fn compare(path: &Path, parts: Parted, files: &ModelFiles, file: &mut FileReport) -> Result<()> {
    let (weights, detected) = detect::detect(path)?;
    let mut whole = Survey {
        file: weights.source.label(),
        asked: Vec::new(),
        missing: Vec::new(),
        misshapen: Vec::new(),
        surplus: Vec::new(),
    };
    let mut known: HashSet<String> = detected.without_part(&weights).into_iter().collect();
    for (part, class, component) in parts {
        let Some(found) = detected.part(*component) else { continue };
        let view = found.view(&weights.source);
        let stored: HashMap<&str, &str> = view.stored().map(|(name, stored, _)| (name, stored)).collect();
        known.extend(stored.values().map(|stored| (*stored).to_string()));
        known.extend(view.doubles().iter().cloned());
        let source = files.weights(part)?;
        let survey = files.config(part, |config| pipeline::survey(&without_class(config), Some(class), source))?;
        let Some(survey) = survey else { continue };
        let label = |name: &String| format!("{part} {name}");
        whole.asked.extend(survey.asked);
        whole.missing.extend(survey.missing.iter().map(label));
        whole.misshapen.extend(survey.misshapen.into_iter().map(|mut shape| {
            shape.name = stored.get(shape.name.as_str()).map_or_else(|| label(&shape.name), |stored| (*stored).into());
            shape
        }));
        let own = |name: &String| stored.get(name.as_str()).map_or_else(|| label(name), |stored| (*stored).to_string());
        whole.surplus.extend(survey.surplus.iter().map(own));
    }
    // Names that no table has, and that are not the averaged copy of training.
    let mut unknown = weights.source.names();
    unknown.retain(|name| !known.contains(name) && !name.starts_with("model_ema."));
    whole.surplus.extend(unknown);
    whole.surplus.sort_unstable();
    add_survey(file, whole);
    Ok(())
}
