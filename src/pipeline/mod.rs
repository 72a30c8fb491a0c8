//! From a [`Request`](crate::Request) to pictures: [`run`] is the whole way, each stage a file of its own.
//! `commands` call it, `cli` and `ui` know its choices and events. It calls what lies below, and knows no flags and no terminal.

mod batch;
mod bench;
mod canvas;
mod components;
mod control;
mod decode;
mod defaults;
mod denoiser;
mod distilled;
mod effects;
mod encode;
mod events;
mod family;
mod finish;
mod footprint;
mod format;
mod given;
mod inpaint;
mod latents;
mod loras;
mod machine;
mod memory;
mod model;
mod placement;
mod plan;
mod planned_loras;
mod prepared;
mod preview;
mod provenance;
mod redux;
mod reference;
mod sample;
mod sees;
mod skipped_layers;
mod survey;
mod transformed;
mod turbo;

pub use bench::{bench, Cpu, Measured, Stages, Times};
pub use control::{MapLora, PlannedControl};
pub use defaults::Defaults;
pub use denoiser::{Denoiser, DenoiserConfig};
pub use events::{Event, Events, Phase};
pub use family::Family;
pub use footprint::MemoryPlan;
pub use loras::{stack_loras, Sources};
pub use machine::{ComputeOptions, DeviceChoice, Machine, VaeTiling};
pub use memory::peak_resident;
pub use model::{Engine, Model};
pub use plan::{random_seed, Plan};
pub use planned_loras::PlannedLora;
pub use preview::PreviewMethod;
pub use sees::Sees;
pub use survey::{class_of, survey};

use crate::Result;
use preview::Previewer;

/// What a watcher wants beyond the finished pictures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watch<'a> {
    /// Decode the predicted picture of each so-many-th step.
    pub every: Option<usize>,
    /// Show what each step predicts, made in this way.
    pub preview: Option<&'a PreviewMethod>,
}

/// Makes the pictures of a plan: loads the model unless the engine holds it, encodes the prompt and the picture to begin with,
/// samples, decodes, checks, and hands each picture to `events`.
///
/// # Errors
/// Whatever a stage ends with; no picture is handed over that was not checked.
pub fn run(plan: &Plan, engine: &mut Engine, watch: Watch<'_>, events: &mut dyn Events) -> Result<()> {
    memory::check(plan, &engine.machine)?;
    for warning in &plan.warnings {
        events.on(Event::Warning(warning))?;
    }
    // Before the model is read: a wrong name is told at once.
    let previewer = watch.preview.map(|method| Previewer::open(method, plan, &engine.machine, events)).transpose()?;
    engine.load(plan, events)?;
    let (machine, model, encodings) = engine.parts()?;
    let text = encode::encode(plan, model, machine, encodings, events)?;
    model.free_text(plan, machine, events)?;
    let text = redux::with_pictures(plan, text, encodings, machine, events)?;
    model.restore_denoiser(plan, machine, events)?;
    // Not before: it would delay the first step.
    model.hash.start();
    let mut noise = latents::noise(plan);
    let start = latents::start(plan, model, machine, noise.as_mut(), events)?;
    let latents = sample::sample(
        plan,
        (model, machine),
        &text,
        start,
        noise.as_mut(),
        (watch.every, previewer.as_ref()),
        events,
    )?;
    let pictures = decode::decode(plan, model, machine, &latents, events)?;
    let provenance = provenance::provenance(plan, machine, &mut model.hash);
    for (index, picture) in pictures.into_iter().enumerate() {
        let picture = &plan.finish(picture);
        events.on(Event::Picture { index, picture, provenance: &provenance })?;
    }
    Ok(())
}
