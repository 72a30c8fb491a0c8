//! DPM-Solver++ multistep (Lu et al. 2022) and its stochastic form; diffusers' `DPMSolverMultistepScheduler` with
//! `dpmsolver++` and `sde-dpmsolver++`. Second order, unless the model's file says first or third.

use candle_core::Tensor;

use crate::sampling::run::{weighted_sum, Run};
use crate::sampling::schedule::{Level, Schedule};
use crate::Result;

/// Below this number of steps the last ones are of lower order, for stability.
const FEW_STEPS: usize = 15;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, latents: Tensor) -> Result<Tensor> {
    solve(run, latents, false)
}

/// Noise is drawn in every step, in the last one for nothing.
pub(in crate::sampling) fn sample_sde(run: &mut Run<'_, '_>, latents: Tensor) -> Result<Tensor> {
    solve(run, latents, true)
}

fn solve(run: &mut Run<'_, '_>, mut latents: Tensor, stochastic: bool) -> Result<Tensor> {
    let schedule = run.schedule;
    // Predicted pictures, newest first.
    let mut history: Vec<Tensor> = Vec::new();
    for call in schedule.calls() {
        let level = Level::of_sigma(schedule.sigma(call));
        let output = run.predict(&latents, call)?;
        let denoised = run.denoise(&output, &latents, level.alpha, level.sigma)?;
        history.insert(0, denoised.clone());
        history.truncate(schedule.settings.solver.order);

        let order = order_of_step(schedule, call).min(history.len());
        let update = Update::new(schedule, call, order, stochastic);
        let noise = if stochastic { Some(run.draw(&latents)?) } else { None };
        latents = update.apply(&latents, &history, noise.as_ref())?;
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}

/// The order that the settings allow; what has been computed so far may allow less.
fn order_of_step(schedule: &Schedule, call: usize) -> usize {
    let (solver, calls) = (&schedule.settings.solver, schedule.calls().end);
    let lower_at_end = solver.lower_order_final && calls < FEW_STEPS;
    let ends_clean = !schedule.settings.ends_at_sigma_min;
    match calls - call {
        1 if solver.euler_at_final || lower_at_end || ends_clean => 1,
        2 if lower_at_end => solver.order.min(2),
        _ => solver.order,
    }
}

/// The factors of one step: of the latents, of the predicted pictures (newest first), of the noise.
pub(super) struct Update {
    of_latents: f64,
    of_history: Vec<f64>,
    of_noise: f64,
}

impl Update {
    /// The step from call `call` with a method of this order, 1 to 3.
    fn new(schedule: &Schedule, call: usize, order: usize, stochastic: bool) -> Self {
        let level = |back: usize| Level::of_sigma(schedule.sigma(call - back));
        let (from, to) = (level(0), Level::of_sigma(schedule.sigma(call + 1)));
        let step = Self::first_order(from, to, stochastic);
        let h = to.lambda - from.lambda;
        let ratio = |back: usize| (level(back - 1).lambda - level(back).lambda) / h;
        match order {
            1 => step,
            2 => {
                let factor = step.second_order_factor(h, to, schedule.settings.solver.second_form, stochastic);
                step.with_difference(factor / ratio(1))
            }
            _ => step.third_order(h, to, ratio(1), ratio(2), stochastic),
        }
    }

    /// The exact solution while the predicted picture stays the same.
    pub(super) fn first_order(from: Level, to: Level, stochastic: bool) -> Self {
        let h = to.lambda - from.lambda;
        if stochastic {
            Update {
                of_latents: to.sigma / from.sigma * (-h).exp(),
                of_history: vec![-to.alpha * (-2.0 * h).exp_m1()],
                of_noise: to.sigma * (-(-2.0 * h).exp_m1()).sqrt(),
            }
        } else {
            Update { of_latents: to.sigma / from.sigma, of_history: vec![-to.alpha * (-h).exp_m1()], of_noise: 0.0 }
        }
    }

    /// The factor of the picture's first derivative: by the midpoint rule, or exactly for a picture that changes evenly.
    pub(super) fn second_order_factor(&self, h: f64, to: Level, exact: bool, stochastic: bool) -> f64 {
        let h = if stochastic { 2.0 * h } else { h };
        if exact {
            to.alpha * ((-h).exp_m1() / h + 1.0)
        } else {
            0.5 * self.of_history[0]
        }
    }

    /// Adds `factor` times the difference of the first two pictures of the history.
    pub(super) fn with_difference(mut self, factor: f64) -> Self {
        self.of_history[0] += factor;
        self.of_history.push(-factor);
        self
    }

    /// Derivatives from the three newest pictures, which lie `r0` and `r1` steps apart.
    fn third_order(mut self, h: f64, to: Level, r0: f64, r1: f64, stochastic: bool) -> Self {
        let of_first = self.second_order_factor(h, to, true, stochastic);
        let of_second = if stochastic {
            // As the reference has it; the exact factor has exp(-2 h) - 1 + 2 h.
            to.alpha * ((-(-2.0 * h).exp_m1() - 2.0 * h) / (2.0 * h).powi(2) - 0.5)
        } else {
            -to.alpha * (((-h).exp_m1() + h) / (h * h) - 0.5)
        };
        // In terms of the differences newest - second and second - third.
        let newer = (of_first * (1.0 + r0 / (r0 + r1)) + of_second / (r0 + r1)) / r0;
        let older = -(of_first * r0 + of_second) / (r0 + r1) / r1;
        self.of_history[0] += newer;
        self.of_history.extend([older - newer, -older]);
        self
    }

    /// The latents after the step.
    pub(super) fn apply(&self, latents: &Tensor, history: &[Tensor], noise: Option<&Tensor>) -> Result<Tensor> {
        let mut terms = vec![(self.of_latents, latents)];
        terms.extend(self.of_history.iter().copied().zip(history));
        terms.extend(noise.map(|noise| (self.of_noise, noise)));
        weighted_sum(&terms)
    }
}
