//! Latent consistency models (Luo et al. 2023); diffusers' `LCMScheduler`.

use candle_core::Tensor;

use crate::sampling::run::{weighted_sum, Run};
use crate::Result;

/// The spread of latents that the boundary conditions of the distillation assume.
const SIGMA_DATA: f64 = 0.5;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    let calls = schedule.calls();
    for call in calls.clone() {
        let timestep = schedule.timestep(call);
        let signal = schedule.alpha_cumprod(timestep);
        let output = run.predict(&latents, call)?;
        let predicted = run.denoise(&output, &latents, signal.sqrt(), (1.0 - signal).sqrt())?;

        let scaled = timestep * schedule.settings.timestep_scaling;
        let spread = scaled * scaled + SIGMA_DATA * SIGMA_DATA;
        let (skip, out) = (SIGMA_DATA * SIGMA_DATA / spread, scaled / spread.sqrt());
        let denoised = weighted_sum(&[(out, &predicted), (skip, &latents)])?;

        latents = if call + 1 < calls.end {
            let next = schedule.alpha_cumprod(schedule.timestep(call + 1));
            weighted_sum(&[(next.sqrt(), &denoised), ((1.0 - next).sqrt(), &run.draw(&latents)?)])?
        } else {
            denoised.clone()
        };
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}
