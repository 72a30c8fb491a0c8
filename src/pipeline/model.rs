//! [`Model`]: the networks of a pipeline with their weights, and [`Engine`], which keeps them from one picture to the next.

use std::path::Path;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use crate::hub::ModelFiles;
use crate::image::model_label;
use crate::models::clip::{ClipTextConfig, ClipTextModel};
use crate::models::t5::{T5Config, T5Encoder};
use crate::models::vae::AutoencoderKl;
use crate::nn::{ParamSource, Params, Precision};
use crate::pipeline::control::ControlNets;
use crate::pipeline::encode::Encodings;
use crate::pipeline::provenance::HashTask;
use crate::pipeline::{Denoiser, DenoiserConfig, Event, Events, Family, Machine, Phase, Plan, Sources};
use crate::request::{Lora, Parts};
use crate::text::inversion::Inversion;
use crate::text::{
    ClipStack, ClipTokenizer, JointKind, JointText, Padding, T5TextEncoder, T5Tokenizer, TextEncoder, TextStack,
    TokenizerFiles,
};
use crate::{Error, Result};

/// Surplus tensors named in a warning; the rest is counted.
const SURPLUS_NAMED: usize = 5;

/// The networks of one model, ready to run.
pub struct Model {
    /// Text encoders with their tokenizers; `None` while their memory is needed for something else.
    pub text: Option<TextStack>,
    /// The denoiser.
    pub denoiser: Denoiser,
    /// The autoencoder.
    pub vae: AutoencoderKl,
    /// ControlNets for it.
    pub(super) controls: ControlNets,
    /// The SHA-256 of the denoiser's file and of the LoRAs, computed beside the work if an [`Engine`] loaded it.
    pub hash: HashTask,
    /// Where the text encoders come from when they are loaded again.
    sources: Sources,
    vae_source: Arc<dyn ParamSource>,
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

    /// Loads the plan's model and ControlNets unless they are loaded already.
    ///
    /// # Errors
    /// As [`Model::load`] and [`ControlNets::load`].
    pub(super) fn load(&mut self, plan: &Plan, events: &mut dyn Events) -> Result<()> {
        self.load_model(plan, events)?;
        self.loaded.as_mut().map_or(Ok(()), |(_, model)| model.controls.load(plan, &self.machine, events))
    }

    fn load_model(&mut self, plan: &Plan, events: &mut dyn Events) -> Result<()> {
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
        let mut model = Model::load(sources, &plan.family, &self.machine, events)?;
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
    /// Reads the weights of all components.
    ///
    /// # Errors
    /// [`Error::Weights`] or [`Error::Model`] when a part is missing, damaged, or does not fit its config.
    pub fn load(sources: Sources, family: &Family, machine: &Machine, events: &mut dyn Events) -> Result<Self> {
        let start = Instant::now();
        let total = family.text_encoders.len() + usize::from(family.t5.is_some()) + 2;
        events.on(Event::Begin { phase: Phase::Load, total })?;
        let mut done = 0;
        let vae_source = sources.weights("vae")?;
        let (text, denoiser, vae) = std::thread::scope(|scope| {
            let (sources, clips) = (&sources, family.text_encoders.len());
            let encoders: Vec<_> = (family.text_encoders.iter().zip(["", "_2"]))
                .map(|(config, suffix)| scope.spawn(aside(|said| text_encoder(sources, suffix, config, machine, said))))
                .collect();
            let t5 = family
                .t5
                .as_ref()
                .map(|config| scope.spawn(aside(move |said| t5(sources, clips, config, machine, said))));
            let denoiser = scope.spawn(aside(|said| {
                let params = params(sources, family.denoiser.component(), machine)?;
                finish(family.denoiser.build(&params), &params, said)
            }));
            let vae = scope.spawn(aside(|said| {
                let precision = vae_precision(family, machine);
                if precision != machine.precision {
                    let wished = machine.precision;
                    said.on(Event::Note(&format!(
                        "the VAE overflows in {wished}, says its config: it computes in f32"
                    )))?;
                }
                vae(&vae_source, family, machine, precision, said)
            }));
            let encoders = encoders.into_iter().map(|encoder| joined(encoder, &mut done, events));
            let encoders = encoders.collect::<Result<_>>()?;
            let t5 = t5.map(|t5| joined(t5, &mut done, events)).transpose()?;
            let text = text_stack(family, encoders, t5)?;
            Ok::<_, Error>((text, joined(denoiser, &mut done, events)?, joined(vae, &mut done, events)?))
        })?;
        events.on(Event::End { phase: Phase::Load, seconds: start.elapsed().as_secs_f64() })?;
        let (controls, hash) = (ControlNets::default(), HashTask::default());
        Ok(Model { text: Some(text), denoiser, vae, controls, hash, sources, vae_source })
    }

    /// The text encoders.
    ///
    /// # Errors
    /// When they were freed and not loaded again.
    pub(super) fn text(&self) -> Result<&TextStack> {
        self.text.as_ref().ok_or_else(|| Error::model("the text encoders are not loaded", "load them again first"))
    }

    /// Loads the text encoders again if they were freed. What there is to say of them was said the first time.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub(super) fn restore_text(&mut self, plan: &Plan, machine: &Machine) -> Result<()> {
        if self.text.is_none() {
            let configs = plan.family.text_encoders.iter().zip(["", "_2"]);
            let encoders = configs
                .map(|(config, suffix)| text_encoder(&self.sources, suffix, config, machine, &mut Said::default()));
            let clips = plan.family.text_encoders.len();
            let t5 =
                plan.family.t5.as_ref().map(|config| t5(&self.sources, clips, config, machine, &mut Said::default()));
            let mut text = text_stack(&plan.family, encoders.collect::<Result<_>>()?, t5.transpose()?)?;
            inversions(plan)?.iter().try_for_each(|inversion| text.add_inversion(inversion))?;
            self.text = Some(text);
        }
        Ok(())
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

/// What the loading of a component has to say, kept until the thread of the watcher can hear it.
#[derive(Default)]
struct Said(Vec<(Level, String)>);

enum Level {
    Note,
    Warning,
}

impl Events for Said {
    fn on(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Note(text) => self.0.push((Level::Note, text.into())),
            Event::Warning(text) => self.0.push((Level::Warning, text.into())),
            _ => {}
        }
        Ok(())
    }
}

/// Work for a thread of its own.
fn aside<T>(work: impl FnOnce(&mut dyn Events) -> Result<T>) -> impl FnOnce() -> (Result<T>, Said) {
    || {
        let mut said = Said::default();
        (work(&mut said), said)
    }
}

/// The result of such work, and all that it had to say.
fn joined<T>(thread: ScopedJoinHandle<'_, (Result<T>, Said)>, done: &mut usize, events: &mut dyn Events) -> Result<T> {
    let (result, said) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    for (level, text) in &said.0 {
        events.on(match level {
            Level::Note => Event::Note(text),
            Level::Warning => Event::Warning(text),
        })?;
    }
    let result = result?;
    *done += 1;
    events.on(Event::Progress { phase: Phase::Load, done: *done })?;
    Ok(result)
}

/// The textual inversions that a plan names.
fn inversions(plan: &Plan) -> Result<Vec<Inversion>> {
    plan.request.prompt.embeddings.iter().map(|path| Inversion::open(Path::new(path))).collect()
}

fn text_stack(family: &Family, encoders: Vec<TextEncoder>, t5: Option<T5TextEncoder>) -> Result<TextStack> {
    let count = encoders.len();
    let joint = |clips, kind| Ok(TextStack::Joint(Box::new(JointText { clips, t5, kind })));
    match &family.denoiser {
        DenoiserConfig::Unet(_) => {}
        DenoiserConfig::Flux(_) => {
            let clips = encoders.into_iter().map(TextEncoder::without_projection).collect();
            return joint(clips, JointKind::Flux);
        }
        DenoiserConfig::Mmdit(config) => return joint(encoders, JointKind::Sd3 { width: config.joint_attention_dim }),
    }
    let mut encoders = encoders.into_iter();
    match (encoders.next(), encoders.next(), count) {
        (Some(one), None, 1) => Ok(TextStack::Clip(ClipStack::sd(one))),
        (Some(one), Some(two), 2) => Ok(TextStack::Clip(ClipStack::sdxl(one, two))),
        _ => {
            let message = format!("a model with {count} text encoders is not understood");
            Err(Error::model(message, "Stable Diffusion has one, SDXL two"))
        }
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
    let params = Params::with_attention(source.clone(), precision, &machine.device, machine.attention);
    finish(AutoencoderKl::new(&family.vae, &params).map_err(Error::from), &params, events)
}

fn text_encoder(
    sources: &Sources,
    suffix: &str,
    config: &ClipTextConfig,
    machine: &Machine,
    events: &mut dyn Events,
) -> Result<TextEncoder> {
    let component = format!("text_encoder{suffix}");
    let tokenizer = tokenizer(sources.files(), &format!("tokenizer{suffix}"), config, events)?;
    let params = params(sources, &component, machine)?;
    let model = finish(ClipTextModel::new(config, &params), &params, events)?;
    TextEncoder::new(tokenizer, model, &machine.device)
}

/// T5, which stands behind so many CLIP encoders. It overflows in f16, and computes in bf16 instead.
fn t5(
    sources: &Sources,
    clips: usize,
    config: &T5Config,
    machine: &Machine,
    events: &mut dyn Events,
) -> Result<T5TextEncoder> {
    let precision = match machine.precision {
        Precision::F16 => Precision::Bf16,
        precision => precision,
    };
    if precision != machine.precision {
        events.on(Event::Note("T5 overflows in f16: it computes in bf16"))?;
    }
    let files = sources.files();
    let folder = format!("tokenizer_{}", clips + 1);
    let tokenizer = match files.read(&format!("{folder}/tokenizer.json"))? {
        Some(json) => T5Tokenizer::from_json(&files.label(&folder), &json)?,
        None => {
            if !files.is_bare() {
                events.on(Event::Note(&format!(
                    "the model brings no {folder}/tokenizer.json: using T5's own vocabulary"
                )))?;
            }
            T5Tokenizer::embedded()?
        }
    };
    let source = sources.weights(&format!("text_encoder_{}", clips + 1))?;
    let params = Params::with_attention(source, precision, &machine.device, machine.attention);
    let model = finish(T5Encoder::new(config, &params).map_err(Error::from), &params, events)?;
    T5TextEncoder::new(tokenizer, model, &machine.device)
}

fn tokenizer(
    files: &ModelFiles,
    folder: &str,
    encoder: &ClipTextConfig,
    events: &mut dyn Events,
) -> Result<ClipTokenizer> {
    let read = |file: &str| files.read(&format!("{folder}/{file}"));
    let (vocab, merges, json) = (read("vocab.json")?, read("merges.txt")?, read("tokenizer.json")?);
    if vocab.is_none() && merges.is_none() && json.is_none() {
        // A single file has no place for one.
        if !files.is_bare() {
            events.on(Event::Note(&format!("the model brings no {folder}: using CLIP's own vocabulary")))?;
        }
        // OpenAI's encoder, with its quick activation, is padded with the end token, OpenCLIP's with zeros.
        let padding = if encoder.hidden_act == "quick_gelu" { Padding::End } else { Padding::Zero };
        return ClipTokenizer::embedded(padding);
    }
    let (added, config, special) =
        (read("added_tokens.json")?, read("tokenizer_config.json")?, read("special_tokens_map.json")?);
    ClipTokenizer::from_files(&TokenizerFiles {
        label: &files.label(folder),
        vocab: vocab.as_deref(),
        merges: merges.as_deref(),
        tokenizer_json: json.as_deref(),
        added_tokens: added.as_deref(),
        config: config.as_deref(),
        special_tokens_map: special.as_deref(),
    })
}

fn params(sources: &Sources, component: &str, machine: &Machine) -> Result<Params> {
    let source = sources.weights(component)?;
    Ok(Params::with_attention(source, machine.precision, &machine.device, machine.attention))
}

/// A tensor's name as a message shows it: those of real models are shorter.
fn shortened(name: &str) -> &str {
    name.char_indices().nth(200).map_or(name, |(end, _)| &name[..end])
}

/// A built model, with a report of what its weights lack (an error, which goes before one of the building: it is the cause)
/// and what they hold beyond the model (a warning).
pub(super) fn finish<T>(built: Result<T>, params: &Params, events: &mut dyn Events) -> Result<T> {
    let surplus = params.finish()?;
    if surplus.is_empty() {
        return built;
    }
    let named =
        surplus.iter().take(SURPLUS_NAMED).map(|name| format!("`{}`", shortened(name))).collect::<Vec<_>>().join(", ");
    let more = surplus.len().saturating_sub(SURPLUS_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    events
        .on(Event::Warning(&format!("{} holds tensors that the model does not use: {named}{more}", params.label())))?;
    built
}
