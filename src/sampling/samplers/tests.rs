//! Every sampler against diffusers: same model outputs, same noise, same latents after every call.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::sampling::{noise_source, parse_scheduler, sample, Denoiser, Rng, Schedule, SchedulerConfig, Step};
use crate::Result;

/// A run of the reference.
#[derive(Deserialize)]
struct Entry {
    key: String,
    model: String,
    scheduler: String,
    steps: usize,
    overrides: Map<String, Value>,
    init_noise_sigma: f64,
    noise_seed: u64,
    add_noise_at: usize,
}

#[derive(Deserialize)]
struct Entries {
    models: HashMap<String, Value>,
    entries: Vec<Entry>,
}

fn fixture(name: &str) -> std::path::PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures", name].iter().collect()
}

fn load(name: &str) -> (Entries, HashMap<String, Tensor>) {
    let entries = std::fs::read_to_string(fixture(&format!("{name}.json"))).unwrap();
    let tensors = candle_core::safetensors::load(fixture(&format!("{name}.safetensors")), &Device::Cpu).unwrap();
    (serde_json::from_str(&entries).unwrap(), tensors)
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The greatest difference, relative to values above 1.
fn difference(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter()
        .zip(theirs)
        .map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() / b.abs().max(1.0) })
        .fold(0.0, f64::max)
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

fn plan(entry: &Entry, models: &HashMap<String, Value>) -> Schedule {
    let mut file = models[&entry.model].as_object().unwrap().clone();
    file.extend(entry.overrides.clone());
    let config = SchedulerConfig::from_value(file.into()).unwrap();
    let (sampler, sigmas) = parse_scheduler(&entry.scheduler).unwrap();
    Schedule::plan(&config, Some(sampler), sigmas, entry.steps, 0.0).unwrap()
}

/// The greatest difference of timesteps, sigmas, model inputs and latents.
fn compare(entry: &Entry, schedule: &Schedule, tensors: &HashMap<String, Tensor>) -> f64 {
    let stored = |part: &str| tensors.get(&format!("{}.{part}", entry.key));
    let mut worst = difference(&[schedule.init_noise_sigma()], &[entry.init_noise_sigma]);
    worst = worst.max(difference(schedule.timesteps(), &values(stored("timesteps").unwrap())));
    if let Some(sigmas) = stored("sigmas") {
        worst = worst.max(difference(schedule.sigmas(), &values(sigmas)));
    }
    let outputs = &tensors["outputs"];
    let mut denoiser = Recording { outputs, inputs: Vec::new() };
    let mut noise = noise_source(Rng::Torch, entry.noise_seed);
    let mut latents = Vec::new();
    let mut keep = |step: &Step<'_>| {
        latents.push(step.latents.clone());
        Ok(None)
    };
    let init = stored("init").unwrap().clone();
    sample(schedule, &mut denoiser, noise.as_mut(), init, &mut keep).unwrap();
    let inputs = Tensor::stack(&denoiser.inputs, 0).unwrap();
    worst = worst.max(difference(&values(&inputs), &values(stored("scaled_inputs").unwrap())));
    let latents = Tensor::stack(&latents, 0).unwrap();
    worst = worst.max(difference(&values(&latents), &values(stored("samples").unwrap())));
    let (picture, added) = (outputs.get(0).unwrap(), outputs.get(1).unwrap());
    let noisy = schedule.add_noise(&picture, &added, entry.add_noise_at).unwrap();
    worst.max(difference(&values(&noisy), &values(stored("add_noise").unwrap())))
}

#[test]
fn samplers_follow_the_reference() {
    let (entries, tensors) = load("schedulers");
    for entry in &entries.entries {
        let worst = compare(entry, &plan(entry, &entries.models), &tensors);
        assert!(worst <= 5e-6, "{}: {worst:e}", entry.key);
    }
}
