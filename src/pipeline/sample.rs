//! From the first latents to the last: the UNet with classifier-free guidance, handed to a sampler.

use std::time::Instant;

use candle_core::{Device, Tensor};

use crate::models::unet::{guidance_embedding, AddedCond, UNetInput};
use crate::pipeline::decode;
use crate::pipeline::encode::{time_ids, Encoding};
use crate::pipeline::inpaint::Inpainting;
use crate::pipeline::latents::Start;
use crate::pipeline::model::Model;
use crate::pipeline::prepared::PreparedTexts;
use crate::pipeline::{Event, Events, Machine, Phase, Plan};
use crate::sampling::{self, guidance, Denoiser, Noise, Step};
use crate::text::Conditioning;
use crate::{Error, Result};

/// Runs the sampler from `start`, with more noise from `noise` where it takes some; with `every`, the pictures predicted at each
/// so-many-th step are handed to `events`.
///
/// Returns latents f32 `[batch, channels, height / 8, width / 8]`, not yet divided by the scaling factor.
///
/// # Errors
/// What a watcher cancels with; otherwise when the tensor library fails.
pub fn sample(
    plan: &Plan,
    (model, machine): (&Model, &Machine),
    text: &Encoding,
    start: Start,
    noise: &mut dyn Noise,
    every: Option<usize>,
    events: &mut dyn Events,
) -> Result<Tensor> {
    let begun = Instant::now();
    let Start { latents, inpainting } = start;
    let inpainting = inpainting.as_ref();
    let mut denoiser = Guided::new(plan, model, text, inpainting, latents.device())?;
    events.on(Event::Begin { phase: Phase::Sample, total: plan.schedule.steps() })?;
    let mut watch = |step: &Step<'_>| {
        if step.complete {
            let done = step.index + 1;
            events.on(Event::Progress { phase: Phase::Sample, done })?;
            if every.is_some_and(|every| done.is_multiple_of(every) && done < step.total) {
                show((plan, model, machine), step.denoised, done, events)?;
            }
        }
        inpainting.map_or(Ok(None), |inpainting| inpainting.after_call(&plan.schedule, step))
    };
    let latents = sampling::sample(&plan.schedule, &mut denoiser, noise, latents, &mut watch)?;
    events.on(Event::End { phase: Phase::Sample, seconds: begun.elapsed().as_secs_f64() })?;
    Ok(latents)
}

/// Hands on the pictures predicted at a step. An early prediction may be flat: that is no failure of the run.
fn show(
    (plan, model, machine): (&Plan, &Model, &Machine),
    denoised: &Tensor,
    step: usize,
    events: &mut dyn Events,
) -> Result<()> {
    for index in 0..denoised.dim(0)? {
        match decode::pictures(&model.vae, &plan.family, machine, &denoised.narrow(0, index, 1)?) {
            Ok(pictures) => {
                for picture in pictures {
                    let picture = &plan.finish(picture);
                    events.on(Event::Intermediate { index, step, picture })?;
                }
            }
            Err(Error::BrokenPicture { what }) => {
                events.on(Event::Warning(&format!("no picture of step {step}: {what}")))?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The UNet with classifier-free guidance (Ho and Salimans 2022).
pub(super) struct Guided<'a> {
    plan: &'a Plan,
    model: &'a Model,
    text: &'a Encoding,
    inpainting: Option<&'a Inpainting>,
    /// SDXL's sizes, `[1, 6]`.
    time_ids: Tensor,
    prepared: PreparedTexts,
}

impl Denoiser for Guided<'_> {
    fn predict(&mut self, model_input: &Tensor, timestep: f64, step: usize) -> Result<Tensor> {
        let model_input = &self.inpainting.map_or_else(|| Ok(model_input.clone()), |i| i.shown_to_unet(model_input))?;
        // Prompts count their steps from 1.
        let positive = self.text.positive.at_step(step + 1);
        let Some(negative) = self.text.negative.as_ref().map(|n| n.at_step(step + 1)) else {
            return self.unet(model_input, timestep, &[positive]);
        };
        let (uncond, cond) = if negative.hidden.dims() == positive.hidden.dims() {
            // One batch of both, the unconditional half first, as in diffusers: weights are read once.
            let both = self.unet(&Tensor::cat(&[model_input, model_input], 0)?, timestep, &[negative, positive])?;
            let batch = model_input.dim(0)?;
            (both.narrow(0, 0, batch)?, both.narrow(0, batch, batch)?)
        } else {
            // Prompts of different length cannot share a batch; A1111 runs them apart too.
            (self.unet(model_input, timestep, &[negative])?, self.unet(model_input, timestep, &[positive])?)
        };
        let sampling = &self.plan.request.sampling;
        let guided = guidance::classifier_free(&uncond, &cond, sampling.guidance.unwrap_or(1.0))?;
        match sampling.guidance_rescale {
            Some(rescale) if rescale > 0.0 => Ok(guidance::rescale(&guided, &cond, rescale)?),
            _ => Ok(guided),
        }
    }
}

impl<'a> Guided<'a> {
    /// The plan's denoiser for this text, on this device.
    pub(super) fn new(
        plan: &'a Plan,
        model: &'a Model,
        text: &'a Encoding,
        inpainting: Option<&'a Inpainting>,
        device: &Device,
    ) -> Result<Self> {
        let time_ids = time_ids(&plan.request, device)?;
        Ok(Guided { plan, model, text, inpainting, time_ids, prepared: PreparedTexts::default() })
    }

    /// Runs the UNet on an input whose batch the conditionings share evenly.
    fn unet(&mut self, sample: &Tensor, timestep: f64, conditionings: &[&Conditioning]) -> Result<Tensor> {
        let batch = sample.dim(0)?;
        let each = batch / conditionings.len();
        let pooled = conditionings.iter().filter_map(|c| c.pooled.as_ref()).map(|p| p.repeat((each, 1)));
        let pooled = pooled.collect::<Result<Vec<_>, _>>()?;
        let text_embeds = if pooled.is_empty() { None } else { Some(Tensor::cat(&pooled, 0)?) };
        let time_ids = self.time_ids.repeat((batch, 1))?;
        let timestep_cond = self.timestep_cond(sample)?;
        let unet = &self.model.unet;
        Ok(unet.forward(&UNetInput {
            sample,
            timestep,
            text: self.prepared.get(unet, conditionings, each)?,
            added: text_embeds.as_ref().map(|text_embeds| AddedCond { text_embeds, time_ids: &time_ids }),
            timestep_cond: timestep_cond.as_ref(),
            residuals: None,
        })?)
    }

    /// The guidance scale as an input, for models distilled to take it.
    fn timestep_cond(&self, sample: &Tensor) -> Result<Option<Tensor>> {
        let Some(width) = self.plan.family.unet.time_cond_proj_dim else { return Ok(None) };
        let guidance = self.plan.request.sampling.guidance.unwrap_or(1.0);
        Ok(Some(guidance_embedding(guidance, width, sample)?.repeat((sample.dim(0)?, 1))?))
    }
}
