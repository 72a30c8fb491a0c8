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
            Some(family @ (Family::Flux | Family::Sd3)) => {
                let folder = if family == Family::Flux { "flux-schnell" } else { "sd35-medium" };
                Err(Error::model(
                    format!("`{label}` is a model whose single files are not supported yet: {title}"),
                    format!("give its folder in diffusers' layout, as `sdgen download {folder}` fetches it"),
                ))
            }
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
            Some(Component::ControlNet) => {
                return format!("give it beside a model: `sdgen controlnet --control {}=picture.png`", self.label())
            }
            _ => return format!("give a checkpoint with `--model`; {RUNS}"),
        };
        format!("give it with `{option}`, beside a model with `--model`")
    }

    /// Whether the file has what diffusers calls `component` in its layout.
    pub(super) fn has(&self, component: &str) -> bool {
        self.find(component).is_some()
    }

    fn find(&self, component: &str) -> Option<Component> {
        let order: &[Component] = match component {
            "unet" => &[Component::Unet],
            "transformer" => &[Component::Transformer],
            "vae" => &[Component::Vae],
            "text_encoder" => &[Component::ClipL, Component::ClipH],
            // In FLUX, which has no CLIP-G, the second one is T5.
            "text_encoder_2" => &[Component::ClipG, Component::T5],
            "text_encoder_3" => &[Component::T5],
            CONTROLNET => &[Component::ControlNet],
            _ => &[],
        };
        self.detected.any_part(order).map(|part| part.component)
    }

    /// As [`Self::find`], but a text encoder that is alone in its file is what the user says it is.
    fn find_as(&self, component: &str) -> Option<Component> {
        let alone = || match self.detected.parts.as_slice() {
            [one] if one.component.is_text_encoder() && component.starts_with("text_encoder") => Some(one.component),
            _ => None,
        };
        self.find(component).or_else(alone)
    }

    /// Whether the file can serve as what diffusers calls `component`.
    pub(super) fn has_as(&self, component: &str) -> bool {
        self.find_as(component).is_some()
    }

    /// What the tensors of a component tell of its config.
    pub(super) fn fields(&self, component: &str) -> Map<String, Value> {
        let found = self.find_as(component).and_then(|found| Some((found, self.detected.view(&self.file, found)?)));
        found.map(|(found, view)| sizes::of(found, &view)).unwrap_or_default()
    }

    /// The tensors of a component under the names that the models use, or `None` when it is not in the file. Text encoders of SD 2.x
    /// lose what their config, of so many layers, has no place for: the layer behind the state that the model was trained on.
    ///
    /// # Errors
    /// [`Error::Usage`] when averaged weights are asked for and there are none.
    pub(super) fn weights(
        &self,
        component: &str,
        layers: Option<usize>,
        averaged: bool,
    ) -> Result<Option<Arc<dyn ParamSource>>> {
        let Some(found) = self.find_as(component) else { return Ok(None) };
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
