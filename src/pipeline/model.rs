//! [`Model`]: the networks of a pipeline with their weights, and [`Engine`], which keeps them from one picture to the next.

use std::path::Path;

use crate::image::model_label;
use crate::kernels::memory::release_unused;
use crate::models::vae::AutoencoderKl;
use crate::nn::Precision;
use crate::pipeline::components::{self, Networks, Wanted};
use crate::pipeline::control::ControlNets;
use crate::pipeline::encode::Encodings;
use crate::pipeline::events::Silent;
use crate::pipeline::footprint::Footprint;
use crate::pipeline::provenance::HashTask;
use crate::pipeline::{memory, Denoiser, Event, Events, Family, Machine, Plan, Sources};
use crate::request::{Lora, Parts};
use crate::text::inversion::Inversion;
use crate::text::TextStack;
use crate::{Error, Result};

/// The networks of one model, ready to run.
pub struct Model {
    /// Text encoders with their tokenizers; `None` while their memory is needed for something else.
    text: Option<TextStack>,
    /// The denoiser; `None` while its memory is needed for the text encoders.
    denoiser: Option<Denoiser>,
    /// The autoencoder.
    pub vae: AutoencoderKl,
    /// ControlNets for it.
    pub(super) controls: ControlNets,
    /// The SHA-256 of the denoiser's file and of the LoRAs, computed beside the work if an [`Engine`] loaded it.
    pub hash: HashTask,
    /// Where networks come from when they are loaded again.
    sources: Sources,
    /// What the weights take.
    footprint: Footprint,
}

/// What decides a [`Model`]: the request's model, its parts, LoRAs and embeddings.
type Key = (String, Parts, Vec<Lora>, Vec<String>);

/// A machine and what is loaded on it.
pub struct Engine {
    /// What the work runs on.
    pub machine: Machine,
    /// Whether a LoRA that fits the model only in part is an error.
    pub strict_loras: bool,
    /// The model, and which one with which LoRAs and embeddings it is.
    loaded: Option<(Key, Model)>,
    pub(super) encodings: Encodings,
}

impl Engine {
    /// An engine with nothing loaded.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Engine { machine, strict_loras: false, loaded: None, encodings: Encodings::default() }
    }

    /// Loads the plan's model unless it is loaded already: all of it, or what is wanted first where not all of it is to be in memory at
    /// once.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub(super) fn load(&mut self, plan: &Plan, events: &mut dyn Events) -> Result<()> {
        let request = &plan.request;
        let loras: Vec<Lora> = plan.loras.iter().map(|planned| planned.lora.clone()).collect();
        let (parts, embeddings) = (&request.parts, &request.prompt.embeddings);
        let key = (request.model.clone(), parts.clone(), loras, embeddings.clone());
        if self.loaded.as_ref().is_some_and(|(loaded, _)| *loaded == key) {
            return Ok(());
        }
        // Dropped first: two models need not fit into memory.
        self.loaded = None;
        self.encodings = Encodings::default();
        // Opened before the model: a wrong name is told at once.
        let inversions = inversions(plan)?;
        let sources = Sources::of(plan, &self.machine, self.strict_loras, events)?;
        let footprint = Footprint::of(&sources, plan, &self.machine)?;
        memory::check_weights(&footprint, plan, &self.machine)?;
        let mut model = Model::load(sources, footprint, plan, &self.machine, events)?;
        for (path, inversion) in embeddings.iter().zip(&inversions) {
            model.text.as_mut().map_or(Ok(()), |text| text.add_inversion(inversion))?;
            let words = inversion.words().iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
            events.on(Event::Note(&format!("embedding {}: say {words}", model_label(path))))?;
        }
        model.hash = HashTask::of(&plan.files, plan.family.denoiser.component(), &plan.loras);
        self.loaded = Some((key, model));
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
    /// Reads the weights of all components; of models that are not to be in memory at once, all but the denoiser.
    ///
    /// # Errors
    /// [`Error::Weights`] or [`Error::Model`] when a part is missing, damaged, or does not fit its config.
    pub(super) fn load(
        sources: Sources,
        footprint: Footprint,
        plan: &Plan,
        machine: &Machine,
        events: &mut dyn Events,
    ) -> Result<Self> {
        let wanted = Wanted { text: true, denoiser: !footprint.is_apart(), vae: true };
        let Networks { text, denoiser, vae } = components::load(&sources, &plan.family, machine, wanted, events)?;
        let vae = vae.ok_or_else(|| not_loaded("the VAE"))?;
        let (controls, hash) = (ControlNets::default(), HashTask::default());
        Ok(Model { text, denoiser, vae, controls, hash, sources, footprint })
    }

    /// The text encoders.
    ///
    /// # Errors
    /// When they were freed and not loaded again.
    pub(super) fn text(&self) -> Result<&TextStack> {
        self.text.as_ref().ok_or_else(|| not_loaded("the text encoders"))
    }

    /// The denoiser.
    ///
    /// # Errors
    /// When it was freed and not loaded again.
    pub(super) fn denoiser(&self) -> Result<&Denoiser> {
        self.denoiser.as_ref().ok_or_else(|| not_loaded("the denoiser"))
    }

    /// Loads the text encoders again if they were freed, and frees the denoiser before where both do not fit. What there is to say of
    /// them was said the first time.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub(super) fn restore_text(&mut self, plan: &Plan, machine: &Machine) -> Result<()> {
        if self.text.is_some() {
            return Ok(());
        }
        if !memory::has_room_for_text(&self.footprint, machine) {
            self.denoiser = None;
            release_unused();
        }
        let wanted = Wanted { text: true, denoiser: false, vae: false };
        self.text = components::load(&self.sources, &plan.family, machine, wanted, &mut Silent)?.text;
        for inversion in inversions(plan)? {
            self.text.as_mut().map_or(Ok(()), |text| text.add_inversion(&inversion))?;
        }
        Ok(())
    }

    /// Frees the text encoders where memory is short or they are not to be in it together with the denoiser.
    ///
    /// # Errors
    /// When the watcher cancels.
    pub(super) fn free_text(&mut self, plan: &Plan, machine: &Machine, events: &mut dyn Events) -> Result<()> {
        let short = self.footprint.is_short() || memory::is_short(plan, machine);
        if !(self.footprint.is_apart() || short) || self.text.take().is_none() {
            return Ok(());
        }
        self.sources.release_text(&plan.family)?;
        release_unused();
        if short {
            events.on(Event::Note("memory is short: the text encoder is freed until a prompt needs it"))?;
        }
        Ok(())
    }

    /// Loads the denoiser if it is not there, and the plan's ControlNets.
    ///
    /// # Errors
    /// As [`Model::load`] and [`ControlNets::load`].
    pub(super) fn restore_denoiser(&mut self, plan: &Plan, machine: &Machine, events: &mut dyn Events) -> Result<()> {
        if self.denoiser.is_none() {
            let wanted = Wanted { text: false, denoiser: true, vae: false };
            self.denoiser = components::load(&self.sources, &plan.family, machine, wanted, events)?.denoiser;
        }
        self.controls.load(plan, machine, events)
    }

    /// Replaces the autoencoder by one that computes in f32, for when half precision overflowed.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn widen_vae(&mut self, family: &Family, machine: &Machine, events: &mut dyn Events) -> Result<()> {
        self.vae = components::vae(&self.sources.weights("vae")?, family, machine, Precision::F32, events)?;
        Ok(())
    }
}

fn not_loaded(what: &str) -> Error {
    Error::model(format!("{what} is not loaded"), "load it again first")
}

/// The textual inversions that a plan names.
fn inversions(plan: &Plan) -> Result<Vec<Inversion>> {
    plan.request.prompt.embeddings.iter().map(|path| Inversion::open(Path::new(path))).collect()
}
