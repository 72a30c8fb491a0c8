//! Every sampler against diffusers: same model outputs, same noise, same latents after every call.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::Value;

use crate::sampling::{noise_source, parse_scheduler, sample, Denoiser, Rng, Sampler, Schedule, SchedulerConfig, Step};
use crate::testing::{fixture, json};
use crate::{Error, Result};

/// A run of the reference.
#[derive(Deserialize)]
struct Entry {
    key: String,
    file: Value,
    scheduler: String,
    steps: usize,
    #[serde(default)]
    skipped: usize,
    #[serde(default)]
    eta: f64,
    init_noise_sigma: f64,
    noise_seed: u64,
    add_noise_at: Option<usize>,
}

#[derive(Deserialize)]
struct Entries {
    entries: Vec<Entry>,
}

fn load() -> (Vec<Entry>, HashMap<String, Tensor>) {
    let entries: Entries = json("schedulers.json");
    let tensors = candle_core::safetensors::load(fixture("schedulers.safetensors"), &Device::Cpu).unwrap();
    (entries.entries, tensors)
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The greatest difference, relative to values above 1; infinite where a value is none.
fn difference(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let one = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { (a - b).abs() / b.abs().max(1.0) };
    ours.iter().zip(theirs).map(one).fold(0.0, |worst, d| if d.is_nan() { f64::INFINITY } else { d.max(worst) })
}

/// Answers with stored outputs, and keeps what it was asked.
struct Recording<'a> {
    outputs: &'a Tensor,
    inputs: Vec<Tensor>,
}

impl Denoiser for Recording<'_> {
    fn predict(&mut self, model_input: &Tensor, _: f64, _: usize) -> Result<Tensor> {
        let output = self.outputs.get(self.inputs.len() % self.outputs.dim(0)?)?;
        self.inputs.push(model_input.clone());
        Ok(output)
    }
}

fn plan(entry: &Entry) -> Schedule {
    let config = SchedulerConfig::from_value(entry.file.clone()).unwrap();
    let (sampler, sigmas) = parse_scheduler(&entry.scheduler).unwrap();
    Schedule::plan(&config, Some(sampler), sigmas, entry.steps, entry.eta).unwrap().starting_at(entry.skipped)
}

/// The greatest difference of timesteps, sigmas, model inputs and latents.
fn compare(entry: &Entry, tensors: &HashMap<String, Tensor>) -> f64 {
    let schedule = &plan(entry);
    let (outputs, mut worst) = (&tensors["outputs"], 0f64);
    let (picture, added) = (outputs.get(0).unwrap(), outputs.get(1).unwrap());
    let mut check = |ours: &[f64], part: &str| {
        if let Some(theirs) = tensors.get(&format!("{}.{part}", entry.key)) {
            worst = worst.max(difference(ours, &values(theirs)));
        }
    };
    check(schedule.timesteps(), "timesteps");
    check(schedule.sigmas(), "sigmas");
    if let Some(call) = entry.add_noise_at {
        check(&values(&schedule.add_noise(&picture, &added, call).unwrap()), "add_noise");
    }
    let init = match entry.skipped {
        0 => schedule.scale_initial(&tensors["noise"]).unwrap(),
        _ => schedule.add_noise(&picture, &added, 0).unwrap(),
    };
    check(&values(&init), "init");

    let mut denoiser = Recording { outputs, inputs: Vec::new() };
    let mut noise = noise_source(Rng::Torch, entry.noise_seed);
    let mut latents = Vec::new();
    let mut keep = |step: &Step<'_>| {
        latents.push(step.latents.clone());
        Ok(None)
    };
    let last = sample(schedule, &mut denoiser, noise.as_mut(), init, &mut keep).unwrap();
    assert_eq!(values(&last), values(&latents[latents.len() - 1]));
    check(&values(&Tensor::stack(&denoiser.inputs, 0).unwrap()), "scaled_inputs");
    check(&values(&Tensor::stack(&latents, 0).unwrap()), "samples");
    worst.max(difference(&[schedule.init_noise_sigma()], &[entry.init_noise_sigma]))
}

#[test]
fn samplers_follow_the_reference() {
    let (entries, tensors) = load();
    assert!(entries.len() > 120);
    for entry in &entries {
        // Where sigmas crowd (beta), the reference's own single precision is that coarse.
        let bound = if entry.add_noise_at.is_some() { 5e-6 } else { 4e-5 };
        let worst = compare(entry, &tensors);
        assert!(worst <= bound, "{}: {worst:e}", entry.key);
    }
}

/// Says nothing of the picture, and notes for which step it was asked.
#[derive(Default)]
struct Zero {
    steps: Vec<usize>,
}

impl Denoiser for Zero {
    fn predict(&mut self, model_input: &Tensor, _: f64, step: usize) -> Result<Tensor> {
        self.steps.push(step);
        Ok(model_input.zeros_like()?)
    }
}

fn schedule(sampler: Sampler, steps: usize) -> Schedule {
    let class = if sampler == Sampler::FlowEuler { "FlowMatchEulerDiscreteScheduler" } else { "PNDMScheduler" };
    let file = serde_json::json!({"_class_name": class, "skip_prk_steps": true, "steps_offset": 1});
    let config = SchedulerConfig::from_value(file).unwrap();
    Schedule::plan(&config, Some(sampler), None, steps, 0.0).unwrap()
}

/// Runs with nothing to denoise; what the observer was told, as (step, complete).
fn watch(schedule: &Schedule, denoiser: &mut Zero) -> Vec<(usize, bool)> {
    let mut seen = Vec::new();
    let mut keep = |step: &Step<'_>| {
        assert_eq!(step.total, schedule.steps());
        assert_eq!(step.timestep, schedule.timesteps()[step.call]);
        assert_eq!(step.next_timestep, schedule.timesteps().get(step.call + 1).copied());
        seen.push((step.index, step.complete));
        Ok(None)
    };
    let latents = Tensor::zeros((1, 4, 2, 2), DType::F32, &Device::Cpu).unwrap();
    sample(schedule, denoiser, noise_source(Rng::Torch, 0).as_mut(), latents, &mut keep).unwrap();
    assert_eq!(seen.len(), schedule.model_calls());
    seen
}

#[test]
fn calls_belong_to_steps() {
    for sampler in Sampler::ALL {
        for skipped in [0, 2] {
            let schedule = schedule(*sampler, 5).starting_at(skipped);
            let mut denoiser = Zero::default();
            let seen = watch(&schedule, &mut denoiser);
            let expected: &[usize] = match (sampler, skipped) {
                (Sampler::Heun, 0) => &[0, 0, 1, 1, 2, 2, 3, 3, 4],
                (Sampler::Heun, _) => &[0, 0, 1, 1, 2],
                (Sampler::Pndm, 0) => &[0, 0, 1, 2, 3, 4],
                (Sampler::Pndm, _) => &[0, 0, 1, 2],
                (_, 0) => &[0, 1, 2, 3, 4],
                _ => &[0, 1, 2],
            };
            assert_eq!(denoiser.steps, expected, "{sampler}");
            assert_eq!(schedule.steps(), 5 - skipped, "{sampler}");
            let complete: Vec<usize> = seen.iter().filter(|s| s.1).map(|s| s.0).collect();
            assert_eq!(complete, (0..5 - skipped).collect::<Vec<_>>(), "{sampler}");
        }
    }
}

#[test]
fn an_observer_replaces_latents_and_ends_runs() {
    let schedule = schedule(Sampler::Euler, 4);
    let latents = Tensor::ones((1, 4, 2, 2), DType::F32, &Device::Cpu).unwrap();
    let mut noise = noise_source(Rng::Torch, 0);
    let mut replace =
        |step: &Step<'_>| Ok(step.next_timestep.is_none().then(|| step.latents.affine(0.0, 7.0).unwrap()));
    let last = sample(&schedule, &mut Zero::default(), noise.as_mut(), latents.clone(), &mut replace).unwrap();
    assert!(values(&last).iter().all(|v| *v == 7.0));

    let mut denoiser = Zero::default();
    let mut stop = |step: &Step<'_>| if step.index == 1 { Err(Error::Interrupted) } else { Ok(None) };
    let stopped = sample(&schedule, &mut denoiser, noise.as_mut(), latents, &mut stop);
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert_eq!(denoiser.steps, [0, 1]);
}
