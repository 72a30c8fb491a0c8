//! Denoising diffusion probabilistic models (Ho et al. 2020, equation 7); diffusers' `DDPMScheduler`.

use candle_core::Tensor;

use crate::sampling::run::{weighted_sum, Run};
use crate::sampling::settings::Variance;
use crate::Result;

/// The least variance of the noise that is added.
const LEAST_VARIANCE: f64 = 1e-20;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    let calls = schedule.calls();
    for call in calls.clone() {
        let timestep = schedule.timestep(call);
        let signal = schedule.alpha_cumprod(timestep);
        let next = if call + 1 < calls.end { schedule.alpha_cumprod(schedule.timestep(call + 1)) } else { 1.0 };
        let (alpha_of_step, beta_of_step) = (signal / next, 1.0 - signal / next);

        let output = run.predict(&latents, call)?;
        let denoised = run.denoise(&output, &latents, signal.sqrt(), (1.0 - signal).sqrt())?;
        let of_denoised = next.sqrt() * beta_of_step / (1.0 - signal);
        let of_latents = alpha_of_step.sqrt() * (1.0 - next) / (1.0 - signal);
        latents = weighted_sum(&[(of_denoised, &denoised), (of_latents, &latents)])?;
        if timestep > 0.0 {
            let variance = match schedule.settings.variance {
                Variance::FixedSmall => ((1.0 - next) / (1.0 - signal) * beta_of_step).max(LEAST_VARIANCE),
                Variance::FixedLarge => beta_of_step,
            };
            latents = weighted_sum(&[(1.0, &latents), (variance.sqrt(), &run.draw(&latents)?)])?;
        }
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}
