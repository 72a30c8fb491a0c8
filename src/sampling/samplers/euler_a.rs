//! Euler's method with ancestral noise (k-diffusion); diffusers' `EulerAncestralDiscreteScheduler`. Noise is drawn in every
//! step, in the last one for nothing.

use candle_core::Tensor;

use crate::sampling::run::{divide, weighted_sum, Run};
use crate::Result;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    for call in schedule.calls() {
        let (sigma, next) = (schedule.sigma(call), schedule.sigma(call + 1));
        let up = next * (1.0 - (next / sigma).powi(2)).max(0.0).sqrt();
        let down = (next * next - up * up).max(0.0).sqrt();
        let output = run.predict(&latents, call)?;
        let denoised = run.denoise_unscaled(&output, &latents, sigma)?;
        let derivative = divide(&(&latents - &denoised)?, sigma)?;
        let noise = run.draw(&latents)?;
        latents = weighted_sum(&[(1.0, &latents), (down - sigma, &derivative), (up, &noise)])?;
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}
