//! [`Bare`]: a file of weights without a folder around it. What it is comes from its tensors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::configs;
use crate::nn::ParamSource;
use crate::weights::detect::{sizes, Component, Detected, Family, Variant};
use crate::weights::{self, names, WeightFile};
use crate::{Error, Result};

/// What this version runs, for hints.
pub const RUNS: &str = "this version runs Stable Diffusion 1.x, 2.x, SDXL, 3 and 3.5, and FLUX.1";

/// What a ControlNet is called among a model's components.
pub(super) const CONTROLNET: &str = "controlnet";
/// What can be given for one.
pub(super) const CONTROLS: &[Component] = &[Component::ControlNet, Component::Adapter];

/// What a file may have, best first, for what diffusers calls `component` in a model for a pipeline of this name.
pub(super) fn wanted(component: &str, pipeline: &str) -> &'static [Component] {
    match component {
        "unet" => &[Component::Unet],
        "transformer" => &[Component::Transformer],
        "vae" => &[Component::Vae],
        "text_encoder" => &[Component::ClipL, Component::ClipH],
        "text_encoder_2" if pipeline.starts_with("Flux") => &[Component::T5],
        "text_encoder_2" => &[Component::ClipG],
        "text_encoder_3" => &[Component::T5],
        CONTROLNET => CONTROLS,
        _ => &[],
    }
}

/// A file of weights, and what it is.
#[derive(Debug, Clone)]
pub struct Bare {
    path: PathBuf,
    file: WeightFile,
    /// What was found in it.
    pub detected: Detected,
}

impl Bare {
    /// Opens the file at `path` and looks what it is.
    ///
    /// # Errors
    /// [`Error::Weights`] when it is no file of weights, or a damaged one.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, detected) = weights::detect::detect(path)?;
        Ok(Bare { path: path.into(), file, detected })
    }

    /// The file's name without folder and ending.
    #[must_use]
    pub fn stem(&self) -> String {
        self.path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned())
    }

    /// The file's name without folder.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.path.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path, for messages.
    #[must_use]
    pub fn label(&self) -> String {
        self.path.display().to_string()
    }

    /// Refuses what is no model, or one of a family that is not known here.
    ///
    /// # Errors
    /// [`Error::Model`] that says what the file is.
    pub(super) fn check_model(&self) -> Result<Family> {
        let label = self.label();
        let title = self.detected.title();
        match self.detected.family.filter(|_| self.detected.other.is_none()) {
            Some(family) if configs::is_known(family) => Ok(family),
            Some(Family::SdxlRefiner) => Err(Error::model(
                format!("`{label}` is the refiner of SDXL, which finishes pictures of the base model"),
                "give the base model: it works without the refiner",
            )),
            Some(_) => Err(Error::model(format!("`{label}` is a model that is not supported yet: {title}"), RUNS)),
            None => Err(Error::model(format!("`{label}` is no model to paint with: it is {title}"), self.use_for())),
        }
    }

    /// What a file that is no model is good for.
    fn use_for(&self) -> String {
        let option = match self.detected.parts.first().map(|part| part.component) {
            Some(Component::Vae) => "--vae",
            Some(Component::ClipG) => "--clip-g",
            Some(Component::T5) => "--t5",
            Some(component) if component.is_text_encoder() => "--clip-l",
            Some(Component::ControlNet | Component::Adapter) => {
                return format!("give it beside a model: `sdgen controlnet --control {}=picture.png`", self.label())
            }
            _ => return format!("give a checkpoint with `--model`; {RUNS}"),
        };
        format!("give it with `{option}`, beside a model with `--model`")
    }

    /// Whether it holds differences to the weights of a UNet.
    pub(super) fn is_difference(&self) -> bool {
        self.file.source.names().iter().any(|name| weights::is_mark_of_difference(name))
    }

    /// Whether it is a T2I-Adapter.
    pub(super) fn is_adapter(&self) -> bool {
        self.detected.any_part(CONTROLS).is_some_and(|part| part.component == Component::Adapter)
    }

    /// Whether the file has one of these.
    pub(super) fn has(&self, wanted: &[Component]) -> bool {
        self.detected.any_part(wanted).is_some()
    }

    /// The first of these that the file has. One of CLIP's text encoders that is alone in its file is what the user says it is.
    fn find_as(&self, wanted: &[Component]) -> Option<Component> {
        let alone = || match self.detected.parts.as_slice() {
            [one] if one.component.is_clip() && wanted.iter().any(|wanted| wanted.is_clip()) => Some(one.component),
            _ => None,
        };
        self.detected.any_part(wanted).map(|part| part.component).or_else(alone)
    }

    /// Whether the file can serve as one of these.
    pub(super) fn has_as(&self, wanted: &[Component]) -> bool {
        self.find_as(wanted).is_some()
    }

    /// What the tensors of a component, the first of these that it has, tell of its config.
    pub(super) fn fields(&self, wanted: &[Component]) -> Map<String, Value> {
        let found = self.find_as(wanted).and_then(|found| Some((found, self.detected.view(&self.file, found)?)));
        found.map(|(found, view)| sizes::of(found, &view)).unwrap_or_default()
    }

    /// The tensors of a component, the first of these, under the names that the models use, or `None` when none is in the file. Text
    /// encoders of SD 2.x lose what their config, of so many layers, has no place for: the layer behind the state that the model was
    /// trained on.
    ///
    /// # Errors
    /// [`Error::Usage`] when averaged weights are asked for and there are none.
    pub(super) fn weights(
        &self,
        wanted: &[Component],
        layers: Option<usize>,
        averaged: bool,
    ) -> Result<Option<Arc<dyn ParamSource>>> {
        let Some(found) = self.find_as(wanted) else { return Ok(None) };
        if averaged && found == Component::Unet {
            let view = self.detected.averaged_view(&self.file).ok_or_else(|| {
                Error::usage(
                    format!("`{}` holds no averaged weights (EMA)", self.label()),
                    "leave out `--ema`: files without them hold the weights that are meant to be used",
                )
            })?;
            return Ok(Some(Arc::new(view)));
        }
        let Some(mut view) = self.detected.view(&self.file, found) else { return Ok(None) };
        if found == Component::ClipH {
            view.retain(|name| {
                let layer = names::clip::layer_of(name).map(|(layer, _)| layer);
                name != "text_projection.weight" && layer.zip(layers).is_none_or(|(layer, layers)| layer < layers)
            });
        }
        Ok(Some(Arc::new(view)))
    }

    /// Whether the network predicts the velocity.
    ///
    /// # Errors
    /// [`Error::Model`] when neither the file nor its family tells: models of SD 2.x exist in both kinds.
    pub(super) fn velocity(&self, asked: Option<bool>) -> Result<bool> {
        let detected = &self.detected;
        let ambiguous = detected.family == Some(Family::Sd2) && detected.variant == Variant::Plain;
        match asked.or(detected.prediction.velocity) {
            Some(velocity) => Ok(velocity),
            None if ambiguous => Err(Error::model(
                format!("`{}` is a model of SD 2.x that does not say what it predicts", self.label()),
                "add `--prediction v` for a model of 768x768 pixels (2.0-v, 2.1), `--prediction epsilon` for one of 512x512 (2.0-base, \
                 2.1-base, Turbo)",
            )),
            None => Ok(false),
        }
    }
}
