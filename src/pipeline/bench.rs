//! The stages of the pipeline one by one, timed: loading, encoding the prompt, a step, decoding.

use std::time::{Duration, Instant};

use crate::kernels::memory::release_unused;
use crate::kernels::peak::{self, Peak};
use crate::kernels::Isa;
use crate::nn::profile::{self, Profile};
use crate::pipeline::encode::Encoding;
use crate::pipeline::footprint::Footprint;
use crate::pipeline::model::Model;
use crate::pipeline::sample::denoiser;
use crate::pipeline::{decode, encode, latents, memory, Event, Events, Machine, Phase, Plan, Sources};
use crate::{Error, Result};

/// How long the processor's peak is measured.
const PEAK_TIME: Duration = Duration::from_millis(500);

/// Which stages are timed. All parts of the model are loaded whichever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stages {
    /// Encoding the prompts.
    pub encode: bool,
    /// One call of the denoiser with guidance, without what a sampler does with the result.
    pub step: bool,
    /// Latents to pixels, one picture.
    pub decode: bool,
}

/// What was found out.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Seconds of loading the model.
    pub load: f64,
    /// Encoding the prompts, if it was asked for.
    pub encode: Option<Times>,
    /// A step, if it was asked for.
    pub step: Option<Times>,
    /// Decoding, if it was asked for.
    pub decode: Option<Times>,
    /// Pictures that the denoiser works on at once: with guidance, twice those that are made.
    pub samples: usize,
    /// The most memory that the process held at once, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// The processor, when it is what computes.
    pub cpu: Option<Cpu>,
}

/// What is known of the processor.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// The instructions that the kernels use.
    pub isa: Isa,
    /// Threads at work.
    pub threads: usize,
    /// What they can do at best.
    pub peak: Peak,
}

/// The runs of a stage, without the first, which warms up.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// Seconds of each run.
    pub seconds: Vec<f64>,
    /// Where the time of all runs together went.
    pub profile: Profile,
}

/// Loads the plan's model and times `stages` of making its picture, `runs` times each after a run that is not counted.
///
/// # Errors
/// As [`super::run`], but that pixels are not looked at: weights may be random.
pub fn bench(plan: &Plan, machine: &Machine, stages: Stages, runs: usize, events: &mut dyn Events) -> Result<Measured> {
    memory::check(plan, machine)?;
    let start = Instant::now();
    let sources = Sources::plain(&plan.files);
    let footprint = Footprint::of(&sources, plan, machine)?;
    let mut model = Model::load(sources, footprint, plan, machine, events)?;
    let mut load = start.elapsed().as_secs_f64();
    let mut cpu = if machine.device.is_cpu() { Some(cpu()?) } else { None };
    let mut bench = Bench { plan, model: &model, machine, runs, events: &mut *events };
    let encode = if stages.encode { Some(bench.encode()?) } else { None };
    let text = if stages.step { Some(encode::encode_now(plan, &model, events)?) } else { None };
    let start = Instant::now();
    model.free_text(plan, machine, events)?;
    model.restore_denoiser(plan, machine, events)?;
    load += start.elapsed().as_secs_f64();
    let mut bench = Bench { plan, model: &model, machine, runs, events };
    let step = text.map(|text| bench.step(&text)).transpose()?;
    let decode = if stages.decode { Some(bench.decode()?) } else { None };
    if let Some(cpu) = &mut cpu {
        // Other programs can only lower it: the better of two moments is nearer to the truth.
        cpu.peak = better(cpu.peak, peak::measure(cpu.threads, PEAK_TIME));
    }
    let samples = plan.batch() * if plan.guided() { 2 } else { 1 };
    Ok(Measured { load, encode, step, decode, samples, peak_memory: memory::peak_resident(), cpu })
}

fn cpu() -> Result<Cpu> {
    let threads = rayon::current_num_threads();
    let isa = Isa::current().map_err(candle_core::Error::wrap)?;
    Ok(Cpu { isa, threads, peak: peak::measure(threads, PEAK_TIME) })
}

fn better(a: Peak, b: Peak) -> Peak {
    Peak { f32: a.f32.max(b.f32), bf16_pairs: a.bf16_pairs.zip(b.bf16_pairs).map(|(a, b)| a.max(b)) }
}

struct Bench<'a> {
    plan: &'a Plan,
    model: &'a Model,
    machine: &'a Machine,
    runs: usize,
    events: &'a mut dyn Events,
}

impl Bench<'_> {
    fn encode(&mut self) -> Result<Times> {
        let (plan, model) = (self.plan, self.model);
        self.repeat(Phase::Encode, |events| encode::encode_now(plan, model, events).map(drop))
    }

    fn step(&mut self, text: &Encoding) -> Result<Times> {
        let latents = latents::from_noise(self.plan, latents::noise(self.plan).as_mut(), self.machine)?;
        let mut denoiser = denoiser(self.plan, self.model, text, None, &self.machine.device)?;
        let timestep = self.plan.schedule.timesteps().first().copied().unwrap_or_default();
        self.repeat(Phase::Sample, |_| denoiser.predict(&latents, timestep, 0).map(drop))
    }

    fn decode(&mut self) -> Result<Times> {
        let (plan, model, machine) = (self.plan, self.model, self.machine);
        let latents = latents::from_noise(plan, latents::noise(plan).as_mut(), machine)?.narrow(0, 0, 1)?;
        release_unused();
        self.repeat(Phase::Decode, |_| decode::pixels(&model.vae, &plan.family, machine, &latents).map(drop))
    }

    /// Runs a stage once to warm up, and `runs` times that count.
    fn repeat(&mut self, phase: Phase, mut stage: impl FnMut(&mut dyn Events) -> Result<()>) -> Result<Times> {
        let start = Instant::now();
        self.events.on(Event::Begin { phase, total: self.runs + 1 })?;
        let mut times = Times::default();
        for run in 0..=self.runs {
            let (result, profile) = profile::record(|| {
                stage(self.events)?;
                Ok::<_, Error>(self.machine.device.synchronize()?)
            });
            result?;
            if run > 0 {
                times.seconds.push(profile.total().as_secs_f64());
                times.profile.add(&profile);
            }
            self.events.on(Event::Progress { phase, done: run + 1 })?;
        }
        self.events.on(Event::End { phase, seconds: start.elapsed().as_secs_f64() })?;
        Ok(times)
    }
}
