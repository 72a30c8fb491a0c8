//! Schedules against stored values, and what they refuse.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Deserialize)]
struct Tables {
    sigma_min: f64,
    sigma_max: f64,
    alphas_cumprod: HashMap<usize, f64>,
    zero_terminal_snr_alphas_cumprod: HashMap<usize, f64>,
    spaced: Vec<(String, usize, Vec<f64>)>,
    diffusers: Vec<(String, String, String, usize, Vec<f64>, Vec<f64>)>,
}

fn tables() -> Tables {
    let path = format!("{}/tests/fixtures/sigmas.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn config(class: &str, extra: serde_json::Value) -> SchedulerConfig {
    let mut file = json!({
        "_class_name": class,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
    });
    file.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    SchedulerConfig::from_value(file).unwrap()
}

fn relative_difference(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| if a == b { 0.0 } else { ((a - b) / b).abs() }).fold(0.0, f64::max)
}

#[test]
fn spaced_sigmas_are_those_of_k_diffusion() {
    let tables = tables();
    let mut worst = 0f64;
    for (kind, steps, expected) in &tables.spaced {
        let spaced = match kind.as_str() {
            "karras" => sigmas::karras,
            "exponential" => sigmas::exponential,
            _ => sigmas::beta,
        };
        let ours = spaced(tables.sigma_min, tables.sigma_max, *steps);
        worst = worst.max(relative_difference(&ours, &expected[..*steps]));
    }
    assert!(worst <= 1e-13, "{worst:e}");
}

#[test]
fn schedules_are_those_of_diffusers() {
    let (mut worst_sigma, mut worst_timestep) = (0f64, 0f64);
    for (sampler, spacing, sigmas, steps, expected_sigmas, expected_timesteps) in &tables().diffusers {
        let offset = usize::from(spacing == "leading");
        let config = config("PNDMScheduler", json!({"timestep_spacing": spacing, "steps_offset": offset}));
        let sigmas = sigmas.parse().unwrap();
        let schedule = Schedule::plan(&config, Some(sampler.parse().unwrap()), Some(sigmas), *steps, 0.0).unwrap();
        worst_sigma = worst_sigma.max(relative_difference(schedule.sigmas(), expected_sigmas));
        if matches!(schedule.sampler(), Sampler::DpmPp2m | Sampler::UniPc) {
            assert_eq!(schedule.timesteps(), expected_timesteps, "{sampler} {spacing} {sigmas} {steps}");
        }
        worst_timestep = expected_timesteps
            .iter()
            .zip(schedule.timesteps())
            .map(|(a, b)| (a - b).abs())
            .fold(worst_timestep, f64::max);
    }
    assert!(worst_sigma <= 2e-7, "{worst_sigma:e}");
    assert!(worst_timestep <= 1e-4, "{worst_timestep:e}");
}

#[test]
fn model_tables() {
    let tables = tables();
    let betas = &super::super::settings::Betas::ScaledLinear { start: 0.00085, end: 0.012 };
    let plain = ModelTable::new(betas, 1000, false, false);
    let rescaled = ModelTable::new(betas, 1000, true, false);
    let mut worst = 0f64;
    for (table, expected) in [(plain, &tables.alphas_cumprod), (rescaled, &tables.zero_terminal_snr_alphas_cumprod)] {
        for (timestep, alpha) in expected {
            worst = worst.max((table.alphas_cumprod[*timestep] - alpha).abs());
        }
    }
    assert!(worst <= 3e-7, "{worst:e}");
}
