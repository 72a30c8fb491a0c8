//! The loop around a sampler: who predicts, who watches, and what samplers need of both.

use candle_core::{DType, Tensor};

use super::noise::Noise;
use super::prediction;
use super::schedule::Schedule;
use super::{samplers, Sampler};
use crate::Result;

/// A network that predicts, guidance included.
pub trait Denoiser {
    /// The network's output for latents that are scaled as it expects them.
    ///
    /// `model_input` is f32 of shape (batch, channels, height, width), the output likewise; what it means is the schedule's
    /// [`Prediction`](super::Prediction). `timestep` is 0 to 999 for usual models and need not be whole. `step` is the step
    /// of the run, from 0; it stays the same where a sampler calls twice in a step.
    ///
    /// # Errors
    /// Whatever the network fails with; the run ends.
    fn predict(&mut self, model_input: &Tensor, timestep: f64, step: usize) -> Result<Tensor>;
}

/// What an [`Observer`] is told after each model call.
pub struct Step<'a> {
    /// The step of this run, from 0.
    pub index: usize,
    /// The steps of this run.
    pub total: usize,
    /// Whether the step is over: false after the first of two calls.
    pub complete: bool,
    /// The model call of this run, from 0.
    pub call: usize,
    /// The timestep of this call.
    pub timestep: f64,
    /// The timestep of the next call, if there is one.
    pub next_timestep: Option<f64>,
    /// The latents after this call, with noise for `next_timestep`; f32.
    pub latents: &'a Tensor,
    /// The final latents as predicted at this call; f32.
    pub denoised: &'a Tensor,
}

/// A watcher of the run, called after each model call as diffusers' pipelines have it. Latents that it returns take the
/// place of those it was shown; an error ends the run.
pub type Observer<'a> = dyn FnMut(&Step<'_>) -> Result<Option<Tensor>> + 'a;

/// Runs the schedule's sampler.
///
/// `latents` are f32, (batch, channels, height, width), on any device, with the noise of the first timestep: from
/// [`Schedule::scale_initial`] or [`Schedule::add_noise`]. Samplers that add noise draw it from `noise`, one tensor of the
/// latents' shape at a time, in the order in which the reference draws. Returns the final latents.
///
/// # Errors
/// Those of the denoiser and of the observer, and failures of the tensor library.
pub fn sample(
    schedule: &Schedule,
    denoiser: &mut dyn Denoiser,
    noise: &mut dyn Noise,
    latents: Tensor,
    observer: &mut Observer<'_>,
) -> Result<Tensor> {
    let run = &mut Run { schedule, denoiser, noise, observer };
    match schedule.sampler() {
        Sampler::Ddim => samplers::ddim::sample(run, latents),
        Sampler::Ddpm => samplers::ddpm::sample(run, latents),
        Sampler::Pndm => samplers::pndm::sample(run, latents),
        Sampler::Euler => samplers::euler::sample(run, latents),
        Sampler::EulerA => samplers::euler_a::sample(run, latents),
        Sampler::Heun => samplers::heun::sample(run, latents),
        Sampler::DpmPp2m => samplers::dpmpp_2m::sample(run, latents),
        Sampler::DpmPp2mSde => samplers::dpmpp_2m::sample_sde(run, latents),
        Sampler::DpmPpSde => samplers::dpmpp_sde::sample(run, latents),
        Sampler::UniPc => samplers::unipc::sample(run, latents),
        Sampler::Lms => samplers::lms::sample(run, latents),
        Sampler::Lcm => samplers::lcm::sample(run, latents),
        Sampler::FlowEuler => samplers::flow_euler::sample(run, latents),
    }
}

/// What a sampler works with. Calls are indices of [`Schedule::calls`].
pub(super) struct Run<'a, 'o> {
    pub schedule: &'a Schedule,
    denoiser: &'a mut dyn Denoiser,
    noise: &'a mut dyn Noise,
    observer: &'a mut Observer<'o>,
}

impl Run<'_, '_> {
    /// The model's output at a call, in f32.
    pub(super) fn predict(&mut self, latents: &Tensor, call: usize) -> Result<Tensor> {
        let schedule = self.schedule;
        let (timestep, step) = (schedule.timestep(call), schedule.step_of(call));
        let output = if schedule.scales_input() {
            let spread = (schedule.sigma(call).powi(2) + 1.0).sqrt();
            self.denoiser.predict(&divide(latents, spread)?, timestep, step)?
        } else {
            self.denoiser.predict(latents, timestep, step)?
        };
        Ok(output.to_dtype(DType::F32)?)
    }

    /// The predicted picture from an output, where `latents = alpha * picture + sigma * noise`, clipped if the model's
    /// configuration asks for it.
    pub(super) fn denoise(&self, output: &Tensor, latents: &Tensor, alpha: f64, sigma: f64) -> Result<Tensor> {
        let denoised = prediction::denoised(self.schedule.prediction(), output, latents, alpha, sigma)?;
        self.clip(denoised)
    }

    /// The predicted picture from an output, where `latents = picture + sigma * noise`, clipped likewise.
    pub(super) fn denoise_unscaled(&self, output: &Tensor, latents: &Tensor, sigma: f64) -> Result<Tensor> {
        let denoised = prediction::denoised_unscaled(self.schedule.prediction(), output, latents, sigma)?;
        self.clip(denoised)
    }

    fn clip(&self, denoised: Tensor) -> Result<Tensor> {
        Ok(match self.schedule.settings.clip {
            Some(range) => denoised.clamp(-range, range)?,
            None => denoised,
        })
    }

    /// Unit noise of the latents' shape, on their device.
    pub(super) fn draw(&mut self, latents: &Tensor) -> Result<Tensor> {
        Ok(self.noise.normal(latents.dims())?.to_device(latents.device())?)
    }

    /// Tells the observer what a call led to; returns the latents to go on with.
    pub(super) fn finish(&mut self, call: usize, latents: Tensor, denoised: &Tensor) -> Result<Tensor> {
        let schedule = self.schedule;
        let (calls, index) = (schedule.calls(), schedule.step_of(call));
        let next = (call + 1 < calls.end).then_some(call + 1);
        let step = Step {
            index,
            total: schedule.steps(),
            complete: next.is_none_or(|next| schedule.step_of(next) != index),
            call: call - calls.start,
            timestep: schedule.timestep(call),
            next_timestep: next.map(|next| schedule.timestep(next)),
            latents: &latents,
            denoised,
        };
        Ok((self.observer)(&step)?.unwrap_or(latents))
    }
}

/// The sum of tensors, each times a factor.
pub(super) fn weighted_sum(terms: &[(f64, &Tensor)]) -> Result<Tensor> {
    let mut terms = terms.iter();
    let Some((factor, first)) = terms.next() else {
        return Err(candle_core::Error::Msg("a sum of no tensors".into()).into());
    };
    let mut sum = (*first * *factor)?;
    for (factor, tensor) in terms {
        sum = (sum + (*tensor * *factor)?)?;
    }
    Ok(sum)
}

/// A true division: the tensor library's own multiplies by the rounded reciprocal, which at a sigma of 4096 is seen.
pub(super) fn divide(tensor: &Tensor, divisor: f64) -> Result<Tensor> {
    let divisor = Tensor::new(divisor as f32, tensor.device())?;
    Ok(tensor.broadcast_div(&divisor)?)
}
