//! Pseudo numerical methods (Liu et al. 2022); diffusers' `PNDMScheduler`: the linear multistep part alone where the model's
//! file says `skip_prk_steps`, as those of Stable Diffusion do, else after three steps of the Runge-Kutta part.

use candle_core::Tensor;

use crate::sampling::prediction;
use crate::sampling::run::{weighted_sum, Run};
use crate::sampling::schedule::{Schedule, RUNGE_KUTTA_CALLS};
use crate::Result;

/// Outputs that the multistep formula looks back on.
const ORDER: usize = 4;

pub(in crate::sampling) fn sample(run: &mut Run<'_, '_>, mut latents: Tensor) -> Result<Tensor> {
    let schedule = run.schedule;
    let gap = (schedule.settings.train_timesteps / schedule.steps) as f64;
    let runge_kutta_calls = if schedule.settings.skip_runge_kutta { 0 } else { RUNGE_KUTTA_CALLS };
    // Newest first.
    let mut outputs: Vec<Tensor> = Vec::new();
    // Latents at the start of a step of several calls.
    let mut start = latents.clone();
    let mut mean: Option<Tensor> = None;
    // Counted from where the run begins: a run that begins later starts the method afresh.
    for (counter, call) in schedule.calls().enumerate() {
        let timestep = schedule.timestep(call);
        let output = run.predict(&latents, call)?;
        let signal = schedule.alpha_cumprod(timestep);
        let denoised = run.denoise(&output, &latents, signal.sqrt(), (1.0 - signal).sqrt())?;
        latents = if counter < runge_kutta_calls {
            let stage = counter % 4;
            if stage == 0 {
                outputs.insert(0, output.clone());
                start = latents;
            }
            let slope = runge_kutta_slope(stage, output, &mut mean)?;
            let half = (gap / 2.0).floor();
            let to = if stage % 2 == 0 { timestep - half } else { timestep };
            transfer(schedule, &start, schedule.timestep(counter / 4 * 4), to, &slope)?
        } else if counter == 1 && runge_kutta_calls == 0 {
            // The first step again, with the mean of the outputs at both its ends.
            let slope = weighted_sum(&[(0.5, &output), (0.5, &outputs[0])])?;
            transfer(schedule, &start, timestep + gap, timestep, &slope)?
        } else {
            outputs.insert(0, output);
            outputs.truncate(ORDER);
            transfer(schedule, &latents, timestep, timestep - gap, &multistep_slope(&outputs)?)?
        };
        latents = run.finish(call, latents, &denoised)?;
    }
    Ok(latents)
}

/// The slope for one of the four calls of a Runge-Kutta step; the last is the weighted mean of all.
fn runge_kutta_slope(stage: usize, output: Tensor, mean: &mut Option<Tensor>) -> Result<Tensor> {
    const WEIGHTS: [f64; 4] = [1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0];
    let sum = match mean.take() {
        None => (&output * WEIGHTS[stage])?,
        Some(before) => weighted_sum(&[(1.0, &before), (WEIGHTS[stage], &output)])?,
    };
    if stage == 3 {
        return Ok(sum);
    }
    *mean = Some(sum);
    Ok(output)
}

/// Adams-Bashforth of the order that there are outputs for, newest first.
fn multistep_slope(outputs: &[Tensor]) -> Result<Tensor> {
    let weights: &[f64] = match outputs.len() {
        1 => &[1.0],
        2 => &[3.0 / 2.0, -1.0 / 2.0],
        3 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
        _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
    };
    let terms: Vec<_> = weights.iter().copied().zip(outputs).collect();
    weighted_sum(&terms)
}

/// From one timestep to another along a slope (equation 9 of the paper).
fn transfer(schedule: &Schedule, latents: &Tensor, from: f64, to: f64, slope: &Tensor) -> Result<Tensor> {
    let (signal, next) = (schedule.alpha_cumprod(from), schedule.alpha_cumprod_or_final(to));
    let noise = prediction::noise(schedule.prediction(), slope, latents, signal.sqrt(), (1.0 - signal).sqrt())?;
    let denominator = signal * (1.0 - next).sqrt() + (signal * (1.0 - signal) * next).sqrt();
    weighted_sum(&[((next / signal).sqrt(), latents), (-(next - signal) / denominator, &noise)])
}
