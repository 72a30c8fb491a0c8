//! Denoising diffusion implicit models (Song et al. 2020); diffusers' `DDIMScheduler`.

use candle_core::Tensor;

use crate::sampling::prediction;
use crate::sampling::run::{weighted_sum, Run};
use crate::Result;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    let gap = (schedule.settings.train_timesteps / schedule.steps) as f64;
    for call in schedule.calls() {
        let timestep = schedule.timestep(call);
        let (signal, next) = (schedule.alpha_cumprod(timestep), schedule.alpha_cumprod_or_final(timestep - gap));
        let (alpha, sigma) = (signal.sqrt(), (1.0 - signal).sqrt());

        let output = run.predict(&latents, call)?;
        let denoised = run.denoise(&output, &latents, alpha, sigma)?;
        let noise = prediction::noise(schedule.prediction(), &output, &latents, alpha, sigma)?;

        let variance = (1.0 - next) / (1.0 - signal) * (1.0 - signal / next);
        let added = schedule.eta * variance.max(0.0).sqrt();
        let kept = (1.0 - next - added * added).max(0.0).sqrt();
        latents = weighted_sum(&[(next.sqrt(), &denoised), (kept, &noise)])?;
        if schedule.eta > 0.0 {
            latents = weighted_sum(&[(1.0, &latents), (added, &run.draw(&latents)?)])?;
        }
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}
