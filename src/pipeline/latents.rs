//! What sampling begins with: noise, or a picture with noise. All random numbers of a picture come from one source, and what is
//! drawn here is drawn in the order of diffusers' pipelines.

use std::time::Instant;

use candle_core::{DType, Tensor};
use image::RgbImage;

use crate::image::input::{Fill, Mask};
use crate::image::{check_decoded, to_tensor};
use crate::models::vae::Posterior;
use crate::nn::Precision;
use crate::pipeline::canvas::Canvas;
use crate::pipeline::components::vae_precision;
use crate::pipeline::decode::STRIP;
use crate::pipeline::inpaint::{to_latent_mask, to_tensor as mask_to_tensor, Inpainting};
use crate::pipeline::model::Model;
use crate::pipeline::sees::Seen;
use crate::pipeline::{memory, DenoiserConfig, Event, Events, Machine, Phase, Plan, Sees};
use crate::request::Inpaint;
use crate::sampling::{self, Noise};
use crate::{Error, Result};

/// Where sampling begins.
pub struct Start {
    /// f32 `[batch, channels, height / 8, width / 8]`, with the noise of the first timestep.
    pub latents: Tensor,
    /// What is kept of the picture, where only a part is painted.
    pub inpainting: Option<Inpainting>,
    /// What the denoiser is shown beside the latents, as more of their channels.
    pub seen: Option<Seen>,
    /// Latents of the picture that the denoiser sees beside these, f32 `[batch, channels, h, w]`.
    pub reference: Option<Tensor>,
}

impl Start {
    /// From these latents, with nothing beside them.
    fn at(latents: Tensor) -> Self {
        Start { latents, inpainting: None, seen: None, reference: None }
    }
}

/// The source of all noise of a plan.
#[must_use]
pub fn noise(plan: &Plan) -> Box<dyn Noise> {
    let sampling = &plan.request.sampling;
    sampling::noise_source(sampling.rng, sampling.seed.unwrap_or_default())
}

/// The latents of a run that begins with noise alone.
///
/// # Errors
/// When the tensor library fails.
pub fn from_noise(plan: &Plan, noise: &mut dyn Noise, machine: &Machine) -> Result<Tensor> {
    plan.schedule.scale_initial(&noise.normal(&shape(plan))?.to_device(&machine.device)?)
}

/// Batch, channels, height and width of the plan's latents.
fn shape(plan: &Plan) -> [usize; 4] {
    let (width, height) = plan.size();
    let factor = plan.family.vae_scale_factor();
    [plan.batch(), plan.family.vae.latent_channels, height / factor, width / factor]
}

/// Draws the noise of a plan, and encodes its picture and the map that the denoiser itself is shown, as far as it has them.
///
/// # Errors
/// What a watcher cancels with; [`Error::BrokenPicture`] when the encoder gives no numbers; otherwise when the tensor library
/// fails.
pub fn start(
    plan: &Plan,
    model: &mut Model,
    machine: &Machine,
    noise: &mut dyn Noise,
    events: &mut dyn Events,
) -> Result<Start> {
    let (shape, map) = (shape(plan), plan.own_map());
    if plan.canvas.is_none() && plan.reference.is_none() && map.is_none() {
        return Ok(Start::at(from_noise(plan, noise, machine)?));
    }
    let begun = Instant::now();
    events.on(Event::Begin { phase: Phase::EncodePicture, total: 1 })?;
    let mut encoder = Encoder { plan, model, machine, noise, events };
    let seen = map.map(|map| encoder.map(map, &shape)).transpose()?;
    let start = match (&plan.canvas, &plan.request.inpaint) {
        (None, _) => encoder.beside_reference(&shape)?,
        (Some(canvas), None) => encoder.image_to_image(canvas, &shape)?,
        (Some(canvas), Some(inpaint)) => encoder.inpaint(canvas, inpaint, &shape)?,
    };
    let start = Start { seen: seen.or(start.seen), ..start };
    events.on(Event::End { phase: Phase::EncodePicture, seconds: begun.elapsed().as_secs_f64() })?;
    Ok(start)
}

/// What encoding takes.
struct Encoder<'a> {
    plan: &'a Plan,
    model: &'a mut Model,
    machine: &'a Machine,
    noise: &'a mut dyn Noise,
    events: &'a mut dyn Events,
}

impl Encoder<'_> {
    /// Noise, and the most likely latents of the picture that is seen; as `FluxKontextPipeline`.
    fn beside_reference(&mut self, shape: &[usize; 4]) -> Result<Start> {
        let latents = from_noise(self.plan, self.noise, self.machine)?;
        let Some(picture) = &self.plan.reference else { return Ok(Start::at(latents)) };
        let seen = self.posterior(&to_tensor(picture, &self.machine.device)?)?;
        let seen = self.plan.family.from_encoder(seen.mode())?.repeat((shape[0], 1, 1, 1))?;
        Ok(Start { reference: Some(seen), ..Start::at(latents) })
    }

    /// A control map, drawn for each picture of the batch; as `FluxControlPipeline`, and `FluxControlInpaintPipeline`, which encodes the
    /// masked picture before.
    fn map(&mut self, map: &RgbImage, shape: &[usize; 4]) -> Result<Seen> {
        if self.plan.request.inpaint.is_some() {
            self.pass_over(shape)?;
        }
        Ok(Seen::map(self.encode(&to_tensor(map, &self.machine.device)?, shape[0])?))
    }

    /// The picture, sampled from what the encoder says of it, then noise; as `StableDiffusionImg2ImgPipeline`.
    fn image_to_image(&mut self, canvas: &Canvas, shape: &[usize; 4]) -> Result<Start> {
        let picture =
            self.encode(&to_tensor(&canvas.picture, &self.machine.device)?, 1)?.repeat((shape[0], 1, 1, 1))?;
        let noise = self.draw(shape)?;
        Ok(Start::at(self.plan.schedule.add_noise(&picture, &noise, 0)?))
    }

    /// As `StableDiffusionInpaintPipeline`: the picture where it takes part, noise, the masked picture. At full strength what is
    /// painted begins with noise alone; but a soft mask goes by how much of the picture is left (Levin and Fried 2023).
    /// `FluxFillPipeline` encodes the picture whether it takes part or not.
    fn inpaint(&mut self, canvas: &Canvas, inpaint: &Inpaint, shape: &[usize; 4]) -> Result<Start> {
        let Some(mask) = &canvas.mask else { return self.image_to_image(canvas, shape) };
        let (plan, device) = (self.plan, self.machine.device.clone());
        let blends = plan.family.sees() != Sees::MaskedPicture || inpaint.soft;
        let from_noise = plan.strength() >= 1.0 && !inpaint.soft;
        let pixels = to_tensor(&canvas.picture, &device)?;

        let picture = if blends || !from_noise {
            Some(self.encode(&pixels, 1)?.repeat((shape[0], 1, 1, 1))?)
        } else {
            if matches!(plan.family.denoiser, DenoiserConfig::Flux(_)) {
                self.pass_over(shape)?;
            }
            None
        };
        let noise = self.draw(shape)?;
        let latent_mask = to_latent_mask(mask, plan.family.vae_scale_factor(), inpaint.soft, &device)?;
        let seen = self.masked(&pixels, (mask, &latent_mask), shape)?;
        let latents = match &picture {
            Some(picture) if !from_noise => {
                let begin = if inpaint.fill == Fill::Noise {
                    let hidden = self.draw(shape)?.broadcast_mul(&latent_mask)?;
                    (picture.broadcast_mul(&latent_mask.affine(-1.0, 1.0)?)? + hidden)?
                } else {
                    picture.clone()
                };
                plan.schedule.add_noise(&begin, &noise, 0)?
            }
            _ => plan.schedule.scale_initial(&noise)?,
        };
        let kept = picture.filter(|_| blends).map(|picture| (picture, noise));
        let inpainting = Inpainting { mask: latent_mask, soft: inpaint.soft, kept };
        Ok(Start { inpainting: Some(inpainting), seen, ..Start::at(latents) })
    }

    /// The masked picture and the mask, of the pixels and of the latents, for a denoiser that sees them.
    fn masked(
        &mut self,
        pixels: &Tensor,
        (mask, latent_mask): (&Mask, &Tensor),
        shape: &[usize; 4],
    ) -> Result<Option<Seen>> {
        let family = &self.plan.family;
        match family.sees() {
            Sees::MaskedPicture => {}
            // Before the map.
            Sees::Map => return Ok(None),
            Sees::Nothing | Sees::Picture | Sees::Unknown => {
                self.pass_over(shape)?;
                return Ok(None);
            }
        }
        let masked = mask_to_tensor(mask, &self.machine.device)?.gt(0.0)?.to_dtype(DType::F32)?;
        let picture = self.encode(&pixels.broadcast_mul(&masked.affine(-1.0, 1.0)?)?, 1)?;
        let seen = match family.denoiser {
            DenoiserConfig::Flux(_) => Seen::masked_pixels(&masked, &picture)?,
            _ => Seen::masked_latents(&latent_mask.gt(0.0)?.to_dtype(DType::F32)?, &picture)?,
        };
        Ok(Some(seen))
    }

    /// Draws what the reference draws for the latents of a picture that it encodes for nothing: what is drawn later depends on that.
    fn pass_over(&mut self, shape: &[usize; 4]) -> Result<()> {
        self.draw(&[1, shape[1], shape[2], shape[3]]).map(drop)
    }

    /// Standard normal numbers, on the device.
    fn draw(&mut self, shape: &[usize]) -> Result<Tensor> {
        Ok(self.noise.normal(shape)?.to_device(&self.machine.device)?)
    }

    /// The encoder's distribution of latents of pictures `[b, 3, height, width]` in -1..1, as its precision gives it.
    fn encoded(&self, pixels: &Tensor) -> Result<Posterior> {
        let (_, _, height, width) = pixels.dims4()?;
        let vae = &self.model.vae;
        Ok(if memory::in_strips(&self.plan.family, (width, height), self.machine) {
            vae.encode_in_strips(pixels, STRIP)?
        } else {
            vae.encode(pixels)?
        })
    }

    /// The same, in f32 where another precision fails.
    fn posterior(&mut self, pixels: &Tensor) -> Result<Posterior> {
        let mut posterior = self.encoded(pixels)?;
        if let Err(Error::BrokenPicture { what }) = check_decoded(&posterior.mean) {
            let (family, machine) = (&self.plan.family, self.machine);
            if vae_precision(family, machine) == Precision::F32 {
                return Err(Error::BrokenPicture { what });
            }
            let precision = machine.precision;
            let warning = format!("encoding in {precision} failed ({what}): encoding again in f32");
            self.events.on(Event::Warning(&warning))?;
            self.model.widen_vae(family, machine, self.events)?;
            posterior = self.encoded(pixels)?;
            check_decoded(&posterior.mean)?;
        }
        Ok(posterior)
    }

    /// Latents of a picture `[1, 3, height, width]` in -1..1, drawn from the encoder's distribution so many times, as the denoiser takes
    /// them.
    fn encode(&mut self, pixels: &Tensor, times: usize) -> Result<Tensor> {
        let posterior = self.posterior(pixels)?;
        let (_, channels, height, width) = posterior.mean.dims4()?;
        let noise = self.draw(&[times, channels, height, width])?;
        self.plan.family.from_encoder(&posterior.sample(&noise)?)
    }
}
