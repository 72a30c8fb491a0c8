//! The stages of the pipeline one by one, timed: loading, encoding the prompt, a step without and with ControlNets, decoding.

use std::time::{Duration, Instant};

use crate::kernels::memory::release_unused;
use crate::kernels::peak::{self, Peak};
use crate::kernels::Isa;
use crate::nn::profile::{self, Profile};
use crate::pipeline::encode::Encoding;
use crate::pipeline::footprint::Footprint;
use crate::pipeline::model::Model;
use crate::pipeline::sample::denoiser;
use crate::pipeline::sees::Seen;
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
    /// The same with the plan's ControlNets, each run right behind one without.
    pub control: Option<Times>,
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
    model.controls.load(plan, machine, events)?;
    load += start.elapsed().as_secs_f64();
    let mut bench = Bench { plan, model: &model, machine, runs, events };
    let (step, control) = text.map(|text| bench.step(&text)).transpose()?.unwrap_or_default();
    let decode = if stages.decode { Some(bench.decode()?) } else { None };
    if let Some(cpu) = &mut cpu {
        // Other programs can only lower it: the better of two moments is nearer to the truth.
        cpu.peak = better(cpu.peak, peak::measure(cpu.threads, PEAK_TIME));
    }
    let samples = plan.batch() * if plan.guided() { 2 } else { 1 };
    Ok(Measured { load, encode, step, control, decode, samples, peak_memory: memory::peak_resident(), cpu })
}

fn cpu() -> Result<Cpu> {
    let threads = rayon::current_num_threads();
    let isa = Isa::current().map_err(candle_core::Error::wrap)?;
    Ok(Cpu { isa, threads, peak: peak::measure(threads, PEAK_TIME) })
}

fn better(a: Peak, b: Peak) -> Peak {
    Peak { f32: a.f32.max(b.f32), bf16_pairs: a.bf16_pairs.zip(b.bf16_pairs).map(|(a, b)| a.max(b)) }
}

/// Something to be timed.
type Stage<'a> = &'a mut dyn FnMut(&mut dyn Events) -> Result<()>;

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
        let [times] = self.repeat(Phase::Encode, [&mut |events| encode::encode_now(plan, model, events).map(drop)])?;
        Ok(times)
    }

    /// Steps without ControlNets and with those of the plan, if it has any: in turn, so that what else the machine does slows both.
    fn step(&mut self, text: &Encoding) -> Result<(Option<Times>, Option<Times>)> {
        let latents = latents::from_noise(self.plan, latents::noise(self.plan).as_mut(), self.machine)?;
        let (plain, device) = (self.plan.without_controls(), &self.machine.device);
        let timestep = self.plan.schedule.timesteps().first().copied().unwrap_or_default();
        // What a map shows makes no difference to the time.
        let seen = self.plan.own_map().map(|_| latents.zeros_like().map(Seen::map)).transpose()?;
        let mut without = denoiser(&plain, self.model, text, (seen.as_ref(), None), device)?;
        let mut without = |_: &mut dyn Events| without.predict(&latents, timestep, 0).map(drop);
        if self.plan.controls.is_empty() || seen.is_some() {
            let [step] = self.repeat(Phase::Sample, [&mut without])?;
            return Ok((Some(step), None));
        }
        let mut with = denoiser(self.plan, self.model, text, (None, None), device)?;
        let mut with = |_: &mut dyn Events| with.predict(&latents, timestep, 0).map(drop);
        let [step, control] = self.repeat(Phase::Sample, [&mut without, &mut with])?;
        Ok((Some(step), Some(control)))
    }

    fn decode(&mut self) -> Result<Times> {
        let (plan, model, machine) = (self.plan, self.model, self.machine);
        let latents = latents::from_noise(plan, latents::noise(plan).as_mut(), machine)?.narrow(0, 0, 1)?;
        release_unused();
        let mut decode = |_: &mut dyn Events| decode::pixels(&model.vae, &plan.family, machine, &latents).map(drop);
        let [times] = self.repeat(Phase::Decode, [&mut decode])?;
        Ok(times)
    }

    /// Runs each of the stages in turn, once to warm up and `runs` times that count.
    fn repeat<const N: usize>(&mut self, phase: Phase, mut stages: [Stage<'_>; N]) -> Result<[Times; N]> {
        let start = Instant::now();
        self.events.on(Event::Begin { phase, total: self.runs + 1 })?;
        let mut times = std::array::from_fn(|_| Times::default());
        for run in 0..=self.runs {
            for (stage, times) in stages.iter_mut().zip(&mut times) {
                let (result, profile) = profile::record(|| {
                    stage(self.events)?;
                    Ok::<_, Error>(self.machine.device.synchronize()?)
                });
                result?;
                if run > 0 {
                    times.seconds.push(profile.total().as_secs_f64());
                    times.profile.add(&profile);
                }
            }
            self.events.on(Event::Progress { phase, done: run + 1 })?;
        }
        self.events.on(Event::End { phase, seconds: start.elapsed().as_secs_f64() })?;
        Ok(times)
    }
}
