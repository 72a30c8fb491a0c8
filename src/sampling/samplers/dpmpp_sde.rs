//! The stochastic form of DPM-Solver++ single-step; diffusers' `DPMSolverSinglestepScheduler` with `sde-dpmsolver++`.
//!
//! Steps go in pairs: one of first order, then one of second order from where the pair began. This is not k-diffusion's
//! sampler of the same name, which draws its noise from a Brownian tree.

use candle_core::Tensor;

use super::dpmpp_2m::Update;
use crate::sampling::run::Run;
use crate::sampling::schedule::{Level, Schedule};
use crate::Result;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    // Where the pair began: latents, level and predicted picture.
    let mut start: Option<(Tensor, Level, Tensor)> = None;
    for call in schedule.calls() {
        let level = Level::of_sigma(schedule.sigma(call));
        let to = Level::of_sigma(schedule.sigma(call + 1));
        let output = run.predict(&latents, call)?;
        let denoised = run.denoise(&output, &latents, level.alpha, level.sigma)?;
        let noise = run.draw(&latents)?;
        latents = match start.take() {
            Some((from, from_level, first)) if is_second_order(schedule, call) => {
                let update = second_order(schedule, from_level, level, to);
                update.apply(&from, &[first, denoised.clone()], Some(&noise))?
            }
            _ => {
                let update = Update::first_order(level, to, true);
                let next = update.apply(&latents, std::slice::from_ref(&denoised), Some(&noise))?;
                start = Some((latents, level, denoised.clone()));
                next
            }
        };
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}

/// Whether a call ends a pair. The last call never does where the run ends without noise or the pairs do not come out even.
fn is_second_order(schedule: &Schedule, call: usize) -> bool {
    let (solver, calls) = (&schedule.settings.solver, schedule.calls().end);
    let last_alone = solver.lower_order_final || calls % 2 == 1 || !schedule.settings.ends_at_sigma_min;
    solver.order == 2 && call % 2 == 1 && !(last_alone && call + 1 == calls)
}

/// The step over a whole pair, with the pictures predicted at its start and half way.
fn second_order(schedule: &Schedule, start: Level, middle: Level, to: Level) -> Update {
    let h = to.lambda - start.lambda;
    let ratio = (middle.lambda - start.lambda) / h;
    let update = Update::first_order(start, to, true);
    let factor = update.second_order_factor(h, to, schedule.settings.solver.second_form, true);
    update.with_difference(-factor / ratio)
}
