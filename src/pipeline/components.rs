//! The networks of a model, each read from its weights.

use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use crate::hub::ModelFiles;
use crate::models::clip::{ClipTextConfig, ClipTextModel};
use crate::models::t5::{T5Config, T5Encoder};
use crate::models::vae::AutoencoderKl;
use crate::nn::{ParamSource, Params, Precision};
use crate::pipeline::finish::finish;
use crate::pipeline::{Denoiser, DenoiserConfig, Event, Events, Family, Machine, Phase, Sources};
use crate::text::{
    ClipStack, ClipTokenizer, JointKind, JointText, Padding, T5TextEncoder, T5Tokenizer, TextEncoder, TextStack,
    TokenizerFiles,
};
use crate::{Error, Result};

/// Which networks of a model are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) text: bool,
    pub(super) denoiser: bool,
    pub(super) vae: bool,
}

/// Those that were wanted.
#[derive(Default)]
pub(super) struct Networks {
    pub(super) text: Option<TextStack>,
    pub(super) denoiser: Option<Denoiser>,
    pub(super) vae: Option<AutoencoderKl>,
}

/// Reads the networks that are wanted, side by side.
///
/// # Errors
/// [`Error::Weights`] or [`Error::Model`] when a part is missing, damaged, or does not fit its config.
pub(super) fn load(
    sources: &Sources,
    family: &Family,
    machine: &Machine,
    wanted: Wanted,
    events: &mut dyn Events,
) -> Result<Networks> {
    let start = Instant::now();
    let encoders = if wanted.text { family.text_encoders.len() + usize::from(family.t5.is_some()) } else { 0 };
    let total = encoders + usize::from(wanted.denoiser) + usize::from(wanted.vae);
    events.on(Event::Begin { phase: Phase::Load, total })?;
    let mut done = 0;
    let networks = std::thread::scope(|scope| {
        let encoders: Vec<_> = (family.text_encoders.iter().zip(["", "_2"]).filter(|_| wanted.text))
            .map(|(config, suffix)| scope.spawn(aside(|said| text_encoder(sources, suffix, config, machine, said))))
            .collect();
        let clips = family.text_encoders.len();
        let t5 = family.t5.as_ref().filter(|_| wanted.text);
        let t5 = t5.map(|config| scope.spawn(aside(move |said| t5_encoder(sources, clips, config, machine, said))));
        let denoiser = wanted.denoiser.then(|| scope.spawn(aside(|said| denoiser(sources, family, machine, said))));
        let vae = wanted.vae.then(|| scope.spawn(aside(|said| fitting_vae(sources, family, machine, said))));
        let encoders = encoders.into_iter().map(|encoder| joined(encoder, &mut done, events));
        let encoders = encoders.collect::<Result<Vec<_>>>()?;
        let t5 = t5.map(|t5| joined(t5, &mut done, events)).transpose()?;
        Ok::<_, Error>(Networks {
            text: wanted.text.then(|| text_stack(family, encoders, t5)).transpose()?,
            denoiser: denoiser.map(|denoiser| joined(denoiser, &mut done, events)).transpose()?,
            vae: vae.map(|vae| joined(vae, &mut done, events)).transpose()?,
        })
    })?;
    events.on(Event::End { phase: Phase::Load, seconds: start.elapsed().as_secs_f64() })?;
    Ok(networks)
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

/// The denoiser.
fn denoiser(sources: &Sources, family: &Family, machine: &Machine, events: &mut dyn Events) -> Result<Denoiser> {
    let params = params(sources, family.denoiser.component(), machine, machine.precision)?;
    finish(family.denoiser.build(&params), &params, events)
}

/// The autoencoder in the precision that suits it.
fn fitting_vae(
    sources: &Sources,
    family: &Family,
    machine: &Machine,
    events: &mut dyn Events,
) -> Result<AutoencoderKl> {
    let precision = vae_precision(family, machine);
    if precision != machine.precision {
        let wished = machine.precision;
        events.on(Event::Note(&format!("the VAE overflows in {wished}, says its config: it computes in f32")))?;
    }
    vae(&sources.weights("vae")?, family, machine, precision, events)
}

/// The autoencoder.
pub(super) fn vae(
    source: &Arc<dyn ParamSource>,
    family: &Family,
    machine: &Machine,
    precision: Precision,
    events: &mut dyn Events,
) -> Result<AutoencoderKl> {
    let params = Params::handled(source.clone(), precision, &machine.device, machine.handling(None));
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
    let params = params(sources, &component, machine, machine.precision)?;
    let model = finish(ClipTextModel::new(config, &params), &params, events)?;
    TextEncoder::new(tokenizer, model, &machine.device)
}

/// T5, which stands behind so many CLIP encoders. It overflows in f16, and computes in bf16 instead.
fn t5_encoder(
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
    let params = params(sources, &format!("text_encoder_{}", clips + 1), machine, precision)?;
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

fn params(sources: &Sources, component: &str, machine: &Machine, precision: Precision) -> Result<Params> {
    let source = sources.weights(component)?;
    Ok(Params::handled(source, precision, &machine.device, machine.handling(sources.quantize())))
}
