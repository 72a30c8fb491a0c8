//! Linear multistep of fourth order (k-diffusion); diffusers' `LMSDiscreteScheduler`.

use candle_core::Tensor;

use crate::sampling::run::{divide, weighted_sum, Run};
use crate::sampling::schedule::Schedule;
use crate::Result;

const ORDER: usize = 4;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    // Newest first.
    let mut slopes: Vec<Tensor> = Vec::new();
    for call in schedule.calls() {
        let sigma = schedule.sigma(call);
        let output = run.predict(&latents, call)?;
        let denoised = run.denoise_unscaled(&output, &latents, sigma)?;
        slopes.insert(0, divide(&(&latents - &denoised)?, sigma)?);
        slopes.truncate(ORDER);
        // The order counts the steps of the whole schedule, so a run that begins later has fewer slopes than coefficients at
        // first; the reference leaves the surplus coefficients out.
        let order = ORDER.min(call + 1);
        let mut terms = vec![(1.0, &latents)];
        terms.extend(
            slopes.iter().enumerate().take(order).map(|(k, slope)| (coefficient(schedule, order, call, k), slope)),
        );
        latents = weighted_sum(&terms)?;
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}

/// The integral over the step of the Lagrange polynomial that is 1 at the `k`-th sigma back and 0 at the others: exact, by
/// Gauss's two-point rule, as its degree is at most 3.
fn coefficient(schedule: &Schedule, order: usize, call: usize, k: usize) -> f64 {
    let sigma = |back: usize| schedule.sigma(call - back);
    let basis =
        |x: f64| (0..order).filter(|i| *i != k).map(|i| (x - sigma(i)) / (sigma(k) - sigma(i))).product::<f64>();
    let (from, to) = (schedule.sigma(call), schedule.sigma(call + 1));
    let (middle, half) = ((from + to) / 2.0, (to - from) / 2.0);
    let node = half / 3f64.sqrt();
    half * (basis(middle - node) + basis(middle + node))
}
