//! Euler's method (Karras et al. 2022, algorithm 2 without churn); diffusers' `EulerDiscreteScheduler`.

use candle_core::Tensor;

use crate::sampling::run::{divide, weighted_sum, Run};
use crate::Result;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    for call in schedule.calls() {
        let (sigma, next) = (schedule.sigma(call), schedule.sigma(call + 1));
        let output = run.predict(&latents, call)?;
        let denoised = run.denoise_unscaled(&output, &latents, sigma)?;
        let derivative = divide(&(&latents - &denoised)?, sigma)?;
        latents = weighted_sum(&[(1.0, &latents), (next - sigma, &derivative)])?;
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}
