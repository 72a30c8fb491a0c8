//! Heun's second-order method (Karras et al. 2022, algorithm 1 without churn); diffusers' `HeunDiscreteScheduler`.
//!
//! Each step is an Euler step that is then repeated with the mean of the slopes at both ends; the last is an Euler step.

use candle_core::Tensor;

use crate::sampling::run::{divide, weighted_sum, Run};
use crate::Result;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    // Latents at the start of a step and the slope there, between its two calls.
    let mut start: Option<(Tensor, Tensor)> = None;
    for call in schedule.calls() {
        let sigma = schedule.sigma(call);
        let output = run.predict(&latents, call)?;
        let denoised = run.denoise_unscaled(&output, &latents, sigma)?;
        let slope = divide(&(&latents - &denoised)?, sigma)?;
        latents = match start.take() {
            None => {
                let ahead = weighted_sum(&[(1.0, &latents), (schedule.sigma(call + 1) - sigma, &slope)])?;
                start = Some((latents, slope));
                ahead
            }
            Some((from, first_slope)) => {
                let half = (sigma - schedule.sigma(call - 1)) / 2.0;
                weighted_sum(&[(1.0, &from), (half, &first_slope), (half, &slope)])?
            }
        };
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}
