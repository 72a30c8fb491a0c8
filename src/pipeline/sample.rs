//! Noise to latents: the denoiser with its guidance, handed to a sampler.

use std::time::Instant;

use candle_core::Tensor;

use crate::models::unet::{AddedCond, UNet2DConditionModel, UNetInput};
use crate::pipeline::decode;
use crate::pipeline::encode::{added_cond, Encoding};
use crate::pipeline::model::Model;
use crate::pipeline::{Event, Events, Machine, Phase, Plan};
use crate::sampling::{self, guidance, Denoiser, Observer, Step};
use crate::text::{Conditioning, Encoded};
use crate::{Error, Request, Result};

/// Draws the noise of the plan's seed and runs the sampler over it.
///
/// Returns latents `[batch, channels, height / 8, width / 8]`, f32, not yet divided by the scaling factor.
///
/// # Errors
/// [`crate::Error::Interrupted`] when the watcher cancels; otherwise when the tensor library fails.
pub fn sample(
    plan: &Plan,
    model: &Model,
    text: &Encoding,
    machine: &Machine,
    every: Option<usize>,
    events: &mut dyn Events,
) -> Result<Tensor> {
    let start = Instant::now();
    let request = &plan.request;
    let (width, height) = plan.size();
    let factor = plan.family.vae_scale_factor();
    let shape = [plan.batch(), plan.family.vae.latent_channels, height / factor, width / factor];

    let mut noise = sampling::noise_source(request.sampling.rng, request.sampling.seed.unwrap_or_default());
    let latents = plan.schedule.scale_noise(&noise.normal(&shape)?.to_device(&machine.device)?)?;
    let mut denoiser = Guided {
        unet: &model.unet,
        text,
        request,
        guidance: request.sampling.guidance.unwrap_or(1.0),
        rescale: request.sampling.guidance_rescale.unwrap_or(0.0),
    };
    events.on(Event::Begin { phase: Phase::Sample, total: plan.schedule.steps() })?;
    let mut watcher = Watcher { plan, model, every, events };
    let latents = sampling::sample(&plan.schedule, &mut denoiser, noise.as_mut(), latents, &mut watcher)?;
    events.on(Event::End { phase: Phase::Sample, seconds: start.elapsed().as_secs_f64() })?;
    Ok(latents)
}

/// The UNet with classifier-free guidance.
struct Guided<'a> {
    unet: &'a UNet2DConditionModel,
    text: &'a Encoding,
    request: &'a Request,
    guidance: f64,
    rescale: f64,
}

impl Denoiser for Guided<'_> {
    fn predict(&mut self, model_input: &Tensor, timestep: f64, step: usize) -> Result<Tensor> {
        let positive = at_step(&self.text.positive, step);
        let Some(negative) = self.text.negative.as_ref().map(|n| at_step(n, step)) else {
            return self.unet(model_input, timestep, &[positive]);
        };
        let (uncond, cond) = if negative.hidden.dims() == positive.hidden.dims() {
            // One batch of both, the unconditional half first, as in diffusers: weights are read once.
            let both = self.unet(&Tensor::cat(&[model_input, model_input], 0)?, timestep, &[negative, positive])?;
            let batch = model_input.dim(0)?;
            (both.narrow(0, 0, batch)?, both.narrow(0, batch, batch)?)
        } else {
            // Prompts of different length cannot share a batch.
            (self.unet(model_input, timestep, &[negative])?, self.unet(model_input, timestep, &[positive])?)
        };
        let guided = guidance::guide(&uncond, &cond, self.guidance)?;
        if self.rescale > 0.0 {
            return guidance::rescale(&guided, &cond, self.rescale);
        }
        Ok(guided)
    }
}

impl Guided<'_> {
    /// Runs the UNet on an input whose batch is shared evenly by the conditionings.
    fn unet(&self, sample: &Tensor, timestep: f64, conditionings: &[&Conditioning]) -> Result<Tensor> {
        let each = sample.dim(0)? / conditionings.len();
        let mut hidden = Vec::new();
        let (mut text_embeds, mut time_ids) = (Vec::new(), Vec::new());
        for conditioning in conditionings {
            hidden.push(conditioning.hidden.repeat((each, 1, 1))?);
            if let Some(added) = added_cond(self.request, conditioning)? {
                text_embeds.push(added.text_embeds.repeat((each, 1))?);
                time_ids.push(added.time_ids.repeat((each, 1))?);
            }
        }
        let added = if text_embeds.is_empty() {
            None
        } else {
            Some(AddedCond { text_embeds: Tensor::cat(&text_embeds, 0)?, time_ids: Tensor::cat(&time_ids, 0)? })
        };
        let encoder_hidden_states = Tensor::cat(&hidden, 0)?;
        let input = UNetInput {
            sample,
            timestep,
            encoder_hidden_states: &encoder_hidden_states,
            added: added.as_ref(),
            residuals: None,
        };
        Ok(self.unet.forward(&input)?)
    }
}

/// The conditioning in force at a step, counted from 0.
fn at_step(encoded: &Encoded, step: usize) -> &Conditioning {
    let (last, earlier) = encoded.split_last();
    earlier.iter().find(|(last_step, _)| step < *last_step).map_or(last, |(_, conditioning)| conditioning)
}

/// Passes progress on, and decodes the predicted picture of each `every`-th step.
struct Watcher<'a> {
    plan: &'a Plan,
    model: &'a Model,
    every: Option<usize>,
    events: &'a mut dyn Events,
}

impl Observer for Watcher<'_> {
    fn after_step(&mut self, step: &Step<'_>) -> Result<Option<Tensor>> {
        let done = step.index + 1;
        self.events.on(Event::Progress { phase: Phase::Sample, done })?;
        if self.every.is_some_and(|every| done % every == 0 && done < step.total) {
            self.show(step.denoised, done)?;
        }
        Ok(None)
    }
}

impl Watcher<'_> {
    /// Hands on the picture predicted at a step. An early prediction may be flat: that is no failure of the run.
    fn show(&mut self, denoised: &Tensor, step: usize) -> Result<()> {
        for index in 0..denoised.dim(0)? {
            match decode::pictures(&self.model.vae, &self.plan.family, &denoised.narrow(0, index, 1)?) {
                Ok(pictures) => {
                    for picture in &pictures {
                        self.events.on(Event::Intermediate { index, step, picture })?;
                    }
                }
                Err(Error::BrokenPicture { what }) => {
                    self.events.on(Event::Warning(&format!("no picture of step {step}: {what}")))?;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
