//! From the first latents to the last: the denoiser with guidance, handed to a sampler.

use std::time::Instant;

use candle_core::{Device, Tensor};

use crate::models::unet::{guidance_embedding, UNet2DConditionModel};
use crate::pipeline::batch::Batch;
use crate::pipeline::control::{Guides, Parts};
use crate::pipeline::decode;
use crate::pipeline::encode::{time_ids, Encoding};
use crate::pipeline::latents::Start;
use crate::pipeline::model::Model;
use crate::pipeline::prepared::PreparedTexts;
use crate::pipeline::preview::Previewer;
use crate::pipeline::sees::Seen;
use crate::pipeline::transformed::{Flux, Sd3};
use crate::pipeline::{Denoiser as Network, Event, Events, Machine, Phase, Plan};
use crate::sampling::{self, guidance, Denoiser, Noise, Step};
use crate::text::Conditioning;
use crate::{Error, Result};

/// Runs the sampler from `start`, with more noise from `noise` where it takes some; with `every`, the pictures predicted at each
/// so-many-th step are handed to `events`, and with a previewer a guess of them at each other step.
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
    (every, previewer): (Option<usize>, Option<&Previewer>),
    events: &mut dyn Events,
) -> Result<Tensor> {
    let begun = Instant::now();
    let Start { latents, inpainting, seen, reference } = start;
    let mut denoiser = denoiser(plan, model, text, (seen.as_ref(), reference.as_ref()), latents.device())?;
    events.on(Event::Begin { phase: Phase::Sample, total: plan.schedule.steps() })?;
    let mut watch = |step: &Step<'_>| {
        if step.complete {
            let done = step.index + 1;
            events.on(Event::Progress { phase: Phase::Sample, done })?;
            if every.is_some_and(|every| done.is_multiple_of(every) && done < step.total) {
                show((plan, model, machine), step.denoised, done, events)?;
            } else if let Some(previewer) = previewer {
                if let Some(picture) = &previewer.picture((plan, model, machine), &step.denoised.narrow(0, 0, 1)?)? {
                    events.on(Event::Preview { picture })?;
                }
            }
        }
        inpainting.as_ref().map_or(Ok(None), |inpainting| inpainting.after_call(&plan.schedule, step))
    };
    let latents = sampling::sample(&plan.schedule, denoiser.as_mut(), noise, latents, &mut watch)?;
    events.on(Event::End { phase: Phase::Sample, seconds: begun.elapsed().as_secs_f64() })?;
    Ok(latents)
}

/// The plan's denoiser for this text, on this device, with what it sees beside the latents: as more channels, and as a picture.
pub(super) fn denoiser<'a>(
    plan: &'a Plan,
    model: &'a Model,
    text: &'a Encoding,
    (seen, reference): (Option<&'a Seen>, Option<&'a Tensor>),
    device: &Device,
) -> Result<Box<dyn Denoiser + 'a>> {
    Ok(match model.denoiser()? {
        Network::Unet(unet) => Box::new(Guided::new(plan, (model, unet), text, seen, device)?),
        Network::Flux(network) => Box::new(Flux { plan, network, text, seen, reference }),
        Network::Mmdit(network) => Box::new(Sd3 { plan, network, text }),
    })
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

/// The UNet with classifier-free guidance (Ho and Salimans 2022), and ControlNets beside it.
struct Guided<'a> {
    plan: &'a Plan,
    unet: &'a UNet2DConditionModel,
    text: &'a Encoding,
    seen: Option<&'a Seen>,
    guides: Guides<'a>,
    /// SDXL's sizes, `[1, 6]`.
    time_ids: Tensor,
    /// The guidance scale as an input, `[1, width]`, for models distilled to take it.
    timestep_cond: Option<Tensor>,
    prepared: PreparedTexts,
    /// Predictions made so far.
    calls: usize,
}

impl Denoiser for Guided<'_> {
    fn predict(&mut self, model_input: &Tensor, timestep: f64, step: usize) -> Result<Tensor> {
        let model_input = &self.seen.map_or_else(|| Ok(model_input.clone()), |seen| seen.beside(model_input))?;
        let text = self.text;
        // Prompts count their steps from 1.
        let positive = text.positive.at_step(step + 1);
        let negative = text.negative.as_ref().map(|negative| negative.at_step(step + 1));
        let predicted = self.guided(model_input, timestep, positive, negative);
        self.calls += 1;
        predicted
    }
}

impl<'a> Guided<'a> {
    fn new(
        plan: &'a Plan,
        (model, unet): (&'a Model, &'a UNet2DConditionModel),
        text: &'a Encoding,
        seen: Option<&'a Seen>,
        device: &Device,
    ) -> Result<Self> {
        let time_ids = time_ids(&plan.request, device)?;
        let guidance = plan.request.sampling.guidance.unwrap_or(1.0);
        let width = plan.family.denoiser.unet().and_then(|unet| unet.time_cond_proj_dim);
        let timestep_cond = width.map(|width| guidance_embedding(guidance, width, &time_ids)).transpose()?;
        let guides = Guides::new(plan, &model.controls, device)?;
        let prepared = PreparedTexts::default();
        Ok(Guided { plan, unet, text, seen, guides, time_ids, timestep_cond, prepared, calls: 0 })
    }

    fn guided(
        &mut self,
        model_input: &Tensor,
        timestep: f64,
        positive: &Conditioning,
        negative: Option<&Conditioning>,
    ) -> Result<Tensor> {
        let Some(negative) = negative else {
            return self.unet(model_input.clone(), timestep, vec![positive], Parts::Conditional);
        };
        let (uncond, cond) = if negative.hidden.dims() == positive.hidden.dims() {
            // One batch of both, the unconditional half first, as in diffusers: weights are read once.
            let twice = Tensor::cat(&[model_input, model_input], 0)?;
            let both = self.unet(twice, timestep, vec![negative, positive], Parts::Both)?;
            let batch = model_input.dim(0)?;
            (both.narrow(0, 0, batch)?, both.narrow(0, batch, batch)?)
        } else {
            // Prompts of different length cannot share a batch; A1111 runs them apart too.
            let uncond = self.unet(model_input.clone(), timestep, vec![negative], Parts::Unconditional)?;
            (uncond, self.unet(model_input.clone(), timestep, vec![positive], Parts::Conditional)?)
        };
        let sampling = &self.plan.request.sampling;
        let guided = guidance::classifier_free(&uncond, &cond, sampling.guidance.unwrap_or(1.0))?;
        match sampling.guidance_rescale {
            Some(rescale) if rescale > 0.0 => Ok(guidance::rescale(&guided, &cond, rescale)?),
            _ => Ok(guided),
        }
    }

    /// Runs the UNet on an input whose batch the conditionings share evenly.
    fn unet(
        &mut self,
        sample: Tensor,
        timestep: f64,
        conditionings: Vec<&Conditioning>,
        parts: Parts,
    ) -> Result<Tensor> {
        let batch = Batch::new(sample, timestep, conditionings, &self.time_ids, self.timestep_cond.as_ref())?;
        let said = self.guides.ask(&batch, parts, self.calls)?;
        let unet = self.unet;
        let text = self.prepared.get(|text| unet.prepare(text), &batch.conditionings, batch.each()?)?;
        Ok(unet.forward(&batch.input(text, Some(&said)))?)
    }
}
