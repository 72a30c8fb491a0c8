//! The plan of a run: at which timesteps the model is called and how much noise there is. Pure functions of the model's
//! scheduler configuration, in f64.

mod beta_distribution;
mod flow;
mod levels;
mod model_table;
mod sigmas;
#[cfg(test)]
mod tests;
mod timesteps;

use std::ops::Range;

use candle_core::Tensor;

use super::config::SchedulerConfig;
use super::error::ScheduleError;
use super::settings::{Prediction, Settings, TimestepSpacing};
use super::{Sampler, SigmaSpacing};
use crate::Result;
use levels::{check_steps, Levels};
use model_table::ModelTable;

pub(super) use levels::{Level, RUNGE_KUTTA_CALLS};

/// A run that is planned: sampler, timesteps, noise levels.
///
/// A *step* is what the user counts; most samplers call the model once a step, Heun twice (not in the last), PNDM twice in
/// the first. Timesteps and sigmas are listed by call, as diffusers lists them.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub(super) sampler: Sampler,
    pub(super) settings: Settings,
    pub(super) table: ModelTable,
    pub(super) eta: f64,
    /// Steps of the whole schedule.
    pub(super) steps: usize,
    /// Calls that are left out at the start.
    begin: usize,
    timesteps: Vec<f64>,
    sigmas: Vec<f64>,
    notes: Vec<String>,
}

impl Schedule {
    /// Plans a run.
    ///
    /// `sampler` and `sigmas` are the model's when `None`. `steps` is at least 1. `eta`, 0 to 1, is the noise that DDIM adds
    /// and 0 for all others.
    ///
    /// # Errors
    /// When the model's configuration is not understood or not supported, or the options do not fit the sampler.
    pub fn plan(
        config: &SchedulerConfig,
        sampler: Option<Sampler>,
        sigmas: Option<SigmaSpacing>,
        steps: usize,
        eta: f64,
    ) -> Result<Self, ScheduleError> {
        let sampler = sampler.map_or_else(|| config.sampler(), Ok)?;
        let (settings, notes) = config.settings(sampler, sigmas)?;
        if !(0.0..=1.0).contains(&eta) {
            return Err(ScheduleError::EtaOutOfRange { eta });
        }
        if eta != 0.0 && sampler != Sampler::Ddim {
            return Err(ScheduleError::EtaWithoutDdim { sampler });
        }
        check_steps(sampler, &settings, steps)?;
        // The samplers that divide by the signal's share even at the first step.
        let keep_signal = !matches!(sampler, Sampler::Ddim | Sampler::Ddpm | Sampler::Lcm);
        let table = ModelTable::new(&settings.betas, settings.train_timesteps, settings.zero_terminal_snr, keep_signal);
        let possible = |alpha: &f64| *alpha > 0.0 && *alpha <= 1.0 || *alpha == 0.0 && settings.zero_terminal_snr;
        if !table.alphas_cumprod.iter().all(possible) {
            return Err(config.bad("beta_end", "betas between 0 and 1"));
        }
        if table.timesteps_above(settings.lambda_min) < 2 {
            return Err(config.bad("lambda_min_clipped", "a smaller number"));
        }
        let Levels { steps, timesteps, sigmas } = Levels::new(sampler, &settings, &table, steps);
        let beyond = |t: &f64| *t >= settings.train_timesteps as f64;
        // Those of flow matching are noise levels, and the first is all noise.
        if settings.flow.is_none() && timesteps.iter().any(beyond) {
            return Err(config.bad("steps_offset", "a smaller number"));
        }
        let no_signal = || timesteps.iter().any(|t| table.alphas_cumprod[*t as usize] == 0.0);
        if !keep_signal && settings.prediction == Prediction::Epsilon && no_signal() {
            return Err(ScheduleError::NoSignal { sampler });
        }
        Ok(Schedule { sampler, settings, table, eta, steps, begin: 0, timesteps, sigmas, notes })
    }

    /// The sampler that runs.
    #[must_use]
    pub fn sampler(&self) -> Sampler {
        self.sampler
    }

    /// How the sigmas are spaced.
    #[must_use]
    pub fn sigma_spacing(&self) -> SigmaSpacing {
        self.settings.sigmas
    }

    /// What the model predicts.
    #[must_use]
    pub fn prediction(&self) -> Prediction {
        self.settings.prediction
    }

    /// Values of the model's configuration that have no effect with this sampler, in words; mostly empty.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The steps that will be made.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.step_of(self.timesteps.len() - 1) + 1
    }

    /// The number of times the model will be called.
    #[must_use]
    pub fn model_calls(&self) -> usize {
        self.timesteps.len() - self.begin
    }

    /// The timestep of each call, 0 to 999 for usual models, noisiest first.
    #[must_use]
    pub fn timesteps(&self) -> &[f64] {
        &self.timesteps[self.begin..]
    }

    /// The noise level (noise over signal) at each call, and after the last one.
    #[must_use]
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas[self.begin..]
    }

    /// The factor that makes unit noise the first latents.
    #[must_use]
    pub fn init_noise_sigma(&self) -> f64 {
        if !self.scales_input() {
            return 1.0;
        }
        let greatest = self.sigmas.iter().copied().fold(0.0, f64::max);
        match self.settings.spacing {
            TimestepSpacing::Leading => (greatest * greatest + 1.0).sqrt(),
            TimestepSpacing::Linspace | TimestepSpacing::Trailing => greatest,
        }
    }

    /// Unit noise (f32, any shape) as the latents that a run from pure noise begins with.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn scale_initial(&self, noise: &Tensor) -> Result<Tensor> {
        Ok((noise * self.init_noise_sigma())?)
    }

    /// Latents with as much noise as they have before call number `call` of this run; after the last call, none.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn add_noise(&self, latents: &Tensor, noise: &Tensor, call: usize) -> Result<Tensor> {
        let i = self.begin + call;
        if i >= self.timesteps.len() {
            return Ok(latents.clone());
        }
        let (signal, spread) = match self.sampler {
            Sampler::Euler | Sampler::EulerA | Sampler::Heun | Sampler::Lms => (1.0, self.sigmas[i]),
            Sampler::DpmPp2m | Sampler::DpmPp2mSde | Sampler::DpmPpSde | Sampler::UniPc => {
                let level = Level::of_sigma(self.sigmas[i]);
                (level.alpha, level.sigma)
            }
            Sampler::FlowEuler => (1.0 - self.sigmas[i], self.sigmas[i]),
            Sampler::Ddim | Sampler::Ddpm | Sampler::Pndm | Sampler::Lcm => {
                let signal = self.alpha_cumprod(self.timesteps[i]);
                (signal.sqrt(), (1.0 - signal).sqrt())
            }
        };
        Ok(((latents * signal)? + (noise * spread)?)?)
    }

    /// This schedule without its first steps, for a run that begins with a picture: of `n` steps the last
    /// `floor(n * strength)` are made, as in diffusers' Stable Diffusion pipelines; with flow matching the first
    /// `floor(n - n * strength)` are not, as in those of FLUX and Stable Diffusion 3.
    ///
    /// # Errors
    /// When the strength is not between 0 and 1, or so low that no step is left.
    pub fn with_strength(self, strength: f64) -> Result<Self, ScheduleError> {
        let steps = self.steps as f64;
        let kept = match self.sampler {
            Sampler::FlowEuler => self.steps.saturating_sub((steps - steps * strength) as usize),
            _ => (steps * strength) as usize,
        };
        if kept == 0 || !(0.0..=1.0).contains(&strength) {
            return Err(ScheduleError::NothingToDo { strength, steps: self.steps });
        }
        let skipped = self.steps - kept;
        Ok(self.starting_at(skipped))
    }

    /// This schedule without its first `skipped` steps; at least one is left.
    #[must_use]
    pub fn starting_at(mut self, skipped: usize) -> Self {
        let order = if self.sampler == Sampler::Heun { 2 } else { 1 };
        self.begin = (skipped * order).min(self.timesteps.len() - 1);
        self
    }

    /// The step of this run, from 0, to which a call belongs.
    pub(super) fn step_of(&self, call: usize) -> usize {
        let i = call - self.begin;
        match self.sampler {
            Sampler::Heun => i / 2,
            Sampler::Pndm if self.settings.skip_runge_kutta => i.saturating_sub(1),
            Sampler::Pndm if i < RUNGE_KUTTA_CALLS => i / 4,
            Sampler::Pndm => i - RUNGE_KUTTA_CALLS / 4 * 3,
            _ => i,
        }
    }

    /// Indices of the calls of this run, in the lists of the whole schedule.
    pub(super) fn calls(&self) -> Range<usize> {
        self.begin..self.timesteps.len()
    }

    /// The timestep at an index of [`Self::calls`].
    pub(super) fn timestep(&self, call: usize) -> f64 {
        self.timesteps[call]
    }

    /// The sigma at an index of [`Self::calls`], or after the last.
    pub(super) fn sigma(&self, call: usize) -> f64 {
        self.sigmas[call]
    }

    /// The signal's share of the variance at a whole timestep.
    pub(super) fn alpha_cumprod(&self, timestep: f64) -> f64 {
        self.table.alphas_cumprod[(timestep as usize).min(self.table.alphas_cumprod.len() - 1)]
    }

    /// The signal's share at a timestep, or after the last step where the timestep is below zero.
    pub(super) fn alpha_cumprod_or_final(&self, timestep: f64) -> f64 {
        match timestep {
            t if t >= 0.0 => self.alpha_cumprod(t),
            _ if self.settings.final_alpha_one => 1.0,
            _ => self.table.alphas_cumprod[0],
        }
    }

    /// Whether latents are divided by their spread before the model sees them.
    pub(super) fn scales_input(&self) -> bool {
        matches!(self.sampler, Sampler::Euler | Sampler::EulerA | Sampler::Heun | Sampler::Lms)
    }
}
