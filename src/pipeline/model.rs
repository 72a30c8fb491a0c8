//! [`Model`]: the networks of a pipeline with their weights, and [`Engine`], which keeps them from one picture to the next.

use std::sync::Arc;
use std::time::Instant;

use crate::hub::ModelFiles;
use crate::image::hash::{self, HashTask};
use crate::models::clip::{ClipTextConfig, ClipTextModel};
use crate::models::unet::UNet2DConditionModel;
use crate::models::vae::AutoencoderKl;
use crate::nn::{ParamSource, Params, Precision};
use crate::pipeline::encode::Encodings;
use crate::pipeline::{Event, Events, Family, Machine, Phase, Plan};
use crate::text::{ClipTokenizer, TextEncoder, TextStack, TokenizerFiles};
use crate::{Error, Result};

/// The networks of one model, ready to run.
pub struct Model {
    /// Text encoders with their tokenizers.
    pub text: TextStack,
    /// The denoiser.
    pub unet: UNet2DConditionModel,
    /// The autoencoder.
    pub vae: AutoencoderKl,
    /// The SHA-256 of the denoiser's file, computed beside the work.
    pub hash: HashTask,
    vae_source: Arc<dyn ParamSource>,
}

/// A machine and what is loaded on it.
pub struct Engine {
    /// What the work runs on.
    pub machine: Machine,
    loaded: Option<(String, Model)>,
    pub(super) encodings: Encodings,
}

impl Engine {
    /// An engine with nothing loaded.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Engine { machine, loaded: None, encodings: Encodings::default() }
    }

    /// Loads the plan's model unless it is loaded already.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub(super) fn load(&mut self, plan: &Plan, events: &mut dyn Events) -> Result<()> {
        if self.loaded.as_ref().is_some_and(|(name, _)| *name == plan.request.model) {
            return Ok(());
        }
        // Dropped first: two models need not fit into memory.
        self.loaded = None;
        self.encodings = Encodings::default();
        let model = Model::load(&plan.files, &plan.family, &self.machine, events)?;
        self.loaded = Some((plan.request.model.clone(), model));
        Ok(())
    }

    pub(super) fn parts(&mut self) -> Result<(&Machine, &mut Model, &mut Encodings)> {
        match &mut self.loaded {
            Some((_, model)) => Ok((&self.machine, model, &mut self.encodings)),
            None => Err(Error::model("no model is loaded", "load one first")),
        }
    }
}

impl Model {
    /// Reads the weights of all components.
    ///
    /// # Errors
    /// [`Error::Weights`] or [`Error::Model`] when a part is missing, damaged, or does not fit its config.
    pub fn load(files: &ModelFiles, family: &Family, machine: &Machine, events: &mut dyn Events) -> Result<Self> {
        let start = Instant::now();
        let encoders: &[&str] = if family.two_encoders { &["", "_2"] } else { &[""] };
        let total = encoders.len() + 2;
        events.on(Event::Begin { phase: Phase::Load, total })?;
        let mut done = 0;
        let mut progress = |events: &mut dyn Events| {
            done += 1;
            events.on(Event::Progress { phase: Phase::Load, done })
        };

        let mut text = Vec::new();
        for suffix in encoders {
            text.push(text_encoder(files, suffix, machine, events)?);
            progress(events)?;
        }
        let params = params(files, "unet", machine)?;
        let unet = UNet2DConditionModel::new(&family.unet, params.clone())?;
        finish(&params, events)?;
        progress(events)?;
        let vae_source = files.weights("vae")?;
        let vae = vae(&vae_source, family, machine, vae_precision(family, machine), events)?;
        progress(events)?;
        events.on(Event::End { phase: Phase::Load, seconds: start.elapsed().as_secs_f64() })?;

        let hash = match (files.weight_file("unet"), files.static_weights("unet")) {
            (Some(file), _) => hash::of_file(file),
            (None, Some(bytes)) => hash::of_static(bytes),
            (None, None) => return Err(Error::model("the model has no unet", "fetch the model's folder again, whole")),
        };
        let text = if family.two_encoders { TextStack::sdxl(text)? } else { TextStack::sd(text)? };
        Ok(Model { text, unet, vae, hash, vae_source })
    }

    /// Replaces the autoencoder by one that computes in f32, for when half precision overflowed.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn widen_vae(&mut self, family: &Family, machine: &Machine, events: &mut dyn Events) -> Result<()> {
        self.vae = vae(&self.vae_source, family, machine, Precision::F32, events)?;
        Ok(())
    }
}

/// The precision of the autoencoder: its config may say that it overflows in f16.
pub(super) fn vae_precision(family: &Family, machine: &Machine) -> Precision {
    match machine.precision {
        Precision::F16 if family.vae.force_upcast => Precision::F32,
        precision => precision,
    }
}

fn vae(
    source: &Arc<dyn ParamSource>,
    family: &Family,
    machine: &Machine,
    precision: Precision,
    events: &mut dyn Events,
) -> Result<AutoencoderKl> {
    let params = Params::new(source.clone(), precision, &machine.device);
    let vae = AutoencoderKl::new(&family.vae, params.clone())?;
    finish(&params, events)?;
    Ok(vae)
}

fn text_encoder(
    files: &ModelFiles,
    suffix: &str,
    machine: &Machine,
    events: &mut dyn Events,
) -> Result<TextEncoder> {
    let component = format!("text_encoder{suffix}");
    let config: ClipTextConfig = files.required_json(&format!("{component}/config.json"))?;
    let tokenizer = tokenizer(files, &format!("tokenizer{suffix}"), events)?;
    let params = params(files, &component, machine)?;
    let model = ClipTextModel::new(&config, params.clone())?;
    finish(&params, events)?;
    Ok(TextEncoder::new(tokenizer, model)?)
}

fn tokenizer(files: &ModelFiles, folder: &str, events: &mut dyn Events) -> Result<ClipTokenizer> {
    let read = |file: &str| files.read(&format!("{folder}/{file}"));
    let found = TokenizerFiles {
        vocab: read("vocab.json")?,
        merges: read("merges.txt")?,
        tokenizer: read("tokenizer.json")?,
        config: read("tokenizer_config.json")?,
        special_tokens: read("special_tokens_map.json")?,
    };
    if found.is_empty() {
        events.on(Event::Note(&format!("the model brings no {folder}: using CLIP's own vocabulary")))?;
        return ClipTokenizer::embedded();
    }
    ClipTokenizer::from_files(&found)
}

fn params(files: &ModelFiles, component: &str, machine: &Machine) -> Result<Params> {
    Ok(Params::new(files.weights(component)?, machine.precision, &machine.device))
}

/// Reports what the weights lack (an error) and what they hold beyond the model (a warning).
fn finish(params: &Params, events: &mut dyn Events) -> Result<()> {
    if let Some(surplus) = params.finish()? {
        events.on(Event::Warning(&surplus))?;
    }
    Ok(())
}
