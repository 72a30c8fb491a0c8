//! Euler's method for models trained by flow matching, where `latents = (1 - sigma) picture + sigma noise` and the model predicts
//! `noise - picture`; diffusers' `FlowMatchEulerDiscreteScheduler`.

use candle_core::Tensor;

use crate::sampling::run::{weighted_sum, Run};
use crate::Result;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    for call in schedule.calls() {
        let (sigma, next) = (schedule.sigma(call), schedule.sigma(call + 1));
        let velocity = run.predict(&latents, call)?;
        let denoised = weighted_sum(&[(1.0, &latents), (-sigma, &velocity)])?;
        latents = weighted_sum(&[(1.0, &latents), (next - sigma, &velocity)])?;
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}
