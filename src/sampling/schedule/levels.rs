//! From settings and a number of steps to the timestep and sigma of each call.

use super::model_table::ModelTable;
use super::{flow, sigmas, timesteps};
use crate::sampling::error::ScheduleError;
use crate::sampling::settings::{Betas, Settings};
use crate::sampling::{Sampler, SigmaSpacing};

/// Model calls of the Runge-Kutta steps that PNDM may begin with: three steps of four calls.
pub(in crate::sampling) const RUNGE_KUTTA_CALLS: usize = 12;

/// Noise over signal, as what DPM-Solver and UniPC compute with.
#[derive(Debug, Clone, Copy)]
pub(in crate::sampling) struct Level {
    /// The signal's factor.
    pub alpha: f64,
    /// The noise's factor.
    pub sigma: f64,
    /// The logarithm of their ratio; infinite without noise.
    pub lambda: f64,
}

impl Level {
    /// In single precision, as the reference: differences of these logarithms keep five digits of it, and a picture after
    /// twenty steps of exact ones is 1e-5 off.
    pub(in crate::sampling) fn of_sigma(sigma: f64) -> Self {
        let sigma = sigma as f32;
        let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
        let sigma = sigma * alpha;
        Level { alpha: alpha.into(), sigma: sigma.into(), lambda: (alpha.ln() - sigma.ln()).into() }
    }
}

/// The lists of a [`super::Schedule`].
pub(super) struct Levels {
    pub steps: usize,
    pub timesteps: Vec<f64>,
    pub sigmas: Vec<f64>,
}

impl Levels {
    pub(super) fn new(sampler: Sampler, settings: &Settings, table: &ModelTable, steps: usize) -> Self {
        let (mut timesteps, mut sigmas) = match sampler {
            Sampler::Ddim | Sampler::Ddpm | Sampler::Pndm | Sampler::Lcm => {
                at_timesteps(whole_timesteps(sampler, settings, steps), settings, table)
            }
            Sampler::Euler | Sampler::EulerA | Sampler::Heun | Sampler::Lms => {
                interpolated(sampler, settings, table, steps)
            }
            Sampler::FlowEuler => flow::levels(settings, steps),
            Sampler::DpmPp2m | Sampler::DpmPp2mSde | Sampler::DpmPpSde | Sampler::UniPc => {
                for_solvers(sampler, settings, table, steps)
            }
        };
        // The reference holds both in single precision.
        for value in timesteps.iter_mut().chain(&mut sigmas) {
            *value = f64::from(*value as f32);
        }
        if sampler == Sampler::Heun {
            timesteps = timesteps.iter().enumerate().flat_map(|(i, t)| vec![*t; if i == 0 { 1 } else { 2 }]).collect();
            let inner = 1..sigmas.len() - 1;
            sigmas =
                sigmas.iter().enumerate().flat_map(|(i, s)| vec![*s; 1 + usize::from(inner.contains(&i))]).collect();
        }
        // PNDM repeats steps, and a bound on the noise may have left out some.
        let steps = if sampler == Sampler::Pndm { steps } else { timesteps.len().min(steps) };
        Levels { steps, timesteps, sigmas }
    }
}

/// Checks the number of steps.
pub(super) fn check_steps(sampler: Sampler, settings: &Settings, steps: usize) -> Result<(), ScheduleError> {
    let train = settings.train_timesteps;
    let (least, most) = match sampler {
        Sampler::Lcm => (1, settings.original_steps),
        Sampler::Pndm if !settings.skip_runge_kutta => (4, train),
        Sampler::DpmPp2m | Sampler::DpmPp2mSde | Sampler::DpmPpSde | Sampler::UniPc => (1, train - 1),
        _ => (1, train),
    };
    if (least..=most).contains(&steps) {
        Ok(())
    } else {
        Err(ScheduleError::StepsOutOfRange { sampler, steps, least, most })
    }
}

fn whole_timesteps(sampler: Sampler, settings: &Settings, steps: usize) -> Vec<f64> {
    let train = settings.train_timesteps;
    if sampler == Sampler::Lcm {
        return timesteps::for_lcm(steps, train, settings.original_steps);
    }
    let spaced = timesteps::evenly_spaced(settings.spacing, steps, train, settings.steps_offset, true);
    match sampler {
        Sampler::Pndm if settings.skip_runge_kutta => with_second_call(&spaced),
        Sampler::Pndm => with_runge_kutta_calls(&spaced, (train / steps / 2) as f64),
        _ => spaced,
    }
}

/// PNDM's linear multistep method calls the model twice in its first step, the second time where that step ends.
fn with_second_call(spaced: &[f64]) -> Vec<f64> {
    let second = spaced.get(1..2).unwrap_or_default();
    let first = &spaced[..spaced.len().min(2)];
    [first, second, spaced.get(2..).unwrap_or_default()].concat()
}

/// Three steps of four calls, two of them half way, before the multistep method takes over.
fn with_runge_kutta_calls(spaced: &[f64], half: f64) -> Vec<f64> {
    let mut calls: Vec<f64> = spaced.windows(2).take(3).flat_map(|w| [w[0], w[1] + half, w[1] + half, w[1]]).collect();
    calls.extend(&spaced[3..]);
    calls
}

/// Samplers on the model's own timesteps: the sigmas are told, not used.
fn at_timesteps(timesteps: Vec<f64>, settings: &Settings, table: &ModelTable) -> (Vec<f64>, Vec<f64>) {
    let mut sigmas: Vec<f64> = timesteps.iter().map(|t| table.sigma_at(*t)).collect();
    sigmas.push(if settings.final_alpha_one { 0.0 } else { table.sigmas[0] });
    (timesteps, sigmas)
}

/// Samplers of k-diffusion: sigmas at timesteps, or spaced between the ends of those.
fn interpolated(sampler: Sampler, settings: &Settings, table: &ModelTable, steps: usize) -> (Vec<f64>, Vec<f64>) {
    let train = settings.train_timesteps;
    let mut timesteps = timesteps::evenly_spaced(settings.spacing, steps, train, settings.steps_offset, false);
    let mut levels: Vec<f64> = timesteps.iter().map(|t| table.sigma_at(*t)).collect();
    if settings.log_linear {
        levels = sigmas::exponential(table.sigmas[0], table.sigmas[train - 1], steps + 1);
    }
    // The class behind LMS takes the ends of Karras sigmas from its levels alone.
    let fixed_ends = sampler != Sampler::Lms || settings.sigmas != SigmaSpacing::Karras;
    if let Some(spaced) = respaced(settings, &levels, fixed_ends, steps) {
        levels = spaced;
        timesteps = levels.iter().map(|s| table.timestep_of(*s)).collect();
    }
    if levels.len() == steps {
        levels.push(if settings.ends_at_sigma_min { table.sigmas[0] } else { 0.0 });
    }
    if settings.continuous_timesteps {
        timesteps = levels[..steps].iter().map(|s| 0.25 * s.ln()).collect();
    }
    (timesteps, levels)
}

/// DPM-Solver and UniPC: sigmas at whole timesteps, or spaced between the ends of the model's table.
fn for_solvers(sampler: Sampler, settings: &Settings, table: &ModelTable, steps: usize) -> (Vec<f64>, Vec<f64>) {
    let usable = table.timesteps_above(settings.lambda_min);
    let greatest_first: Vec<f64> = table.sigmas.iter().rev().copied().collect();
    let Some(mut levels) = respaced(settings, &greatest_first, true, steps) else {
        let (spacing, offset) = (settings.spacing, settings.steps_offset);
        let timesteps = timesteps::for_solvers(spacing, steps, settings.train_timesteps, usable, offset);
        let mut levels: Vec<f64> = timesteps.iter().map(|t| table.sigma_at(*t)).collect();
        levels.push(if settings.ends_at_sigma_min { table.sigmas[0] } else { 0.0 });
        return (timesteps, levels);
    };
    let multistep_cosine = settings.betas == Betas::SquaredCosine && sampler != Sampler::UniPc;
    let rounds = settings.sigmas == SigmaSpacing::Karras && (!multistep_cosine || sampler == Sampler::DpmPpSde);
    let whole = |t: f64| if rounds { t.round_ties_even() } else { t.trunc() };
    let timesteps = levels.iter().map(|s| whole(table.timestep_of(*s))).collect();
    let least = if sampler == Sampler::UniPc { levels[levels.len() - 1] } else { table.sigmas[0] };
    levels.push(if settings.ends_at_sigma_min { least } else { 0.0 });
    (timesteps, levels)
}

/// Sigmas spaced as the settings ask, between the ends of `levels` or those the model's file fixes; `None` for the levels as
/// they are.
fn respaced(settings: &Settings, levels: &[f64], fixed_ends: bool, steps: usize) -> Option<Vec<f64>> {
    let (least, greatest) = if fixed_ends { settings.sigma_ends } else { (None, None) };
    let (least, greatest) = (least.unwrap_or(levels[levels.len() - 1]), greatest.unwrap_or(levels[0]));
    match settings.sigmas {
        SigmaSpacing::Normal => None,
        SigmaSpacing::Karras => Some(sigmas::karras(least, greatest, steps)),
        SigmaSpacing::Exponential => Some(sigmas::exponential(least, greatest, steps)),
        SigmaSpacing::Beta => Some(sigmas::beta(least, greatest, steps)),
    }
}
