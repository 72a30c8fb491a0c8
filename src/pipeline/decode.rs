//! Latents to pictures, checked: a half-precision failure is repeated in f32, a broken picture is an error.

use std::time::Instant;

use candle_core::Tensor;
use image::RgbImage;

use crate::image::{check_decoded, check_picture, to_pictures};
use crate::kernels::memory::release_unused;
use crate::models::vae::AutoencoderKl;
use crate::nn::Precision;
use crate::pipeline::components::vae_precision;
use crate::pipeline::model::Model;
use crate::pipeline::{memory, Event, Events, Family, Machine, Phase, Plan};
use crate::{Error, Result};

/// Values of a strip where the autoencoder works in strips: 32 MiB in f32.
pub(super) const STRIP: usize = 8 << 20;

/// Decodes latents `[batch, channels, h, w]` into pictures.
///
/// # Errors
/// [`Error::BrokenPicture`] when the latents or the pixels hold no number or one flat colour.
pub fn decode(
    plan: &Plan,
    model: &mut Model,
    machine: &Machine,
    latents: &Tensor,
    events: &mut dyn Events,
) -> Result<Vec<RgbImage>> {
    check_decoded(latents)?;
    release_unused();
    let start = Instant::now();
    let total = latents.dim(0)?;
    events.on(Event::Begin { phase: Phase::Decode, total })?;
    let mut pictures = Vec::with_capacity(total);
    for index in 0..total {
        pictures.extend(decode_checked(plan, model, machine, &latents.narrow(0, index, 1)?, events)?);
        events.on(Event::Progress { phase: Phase::Decode, done: index + 1 })?;
    }
    events.on(Event::End { phase: Phase::Decode, seconds: start.elapsed().as_secs_f64() })?;
    Ok(pictures)
}

fn decode_checked(
    plan: &Plan,
    model: &mut Model,
    machine: &Machine,
    latents: &Tensor,
    events: &mut dyn Events,
) -> Result<Vec<RgbImage>> {
    match pictures(&model.vae, &plan.family, machine, latents) {
        Err(Error::BrokenPicture { what }) if vae_precision(&plan.family, machine) != Precision::F32 => {
            let precision = machine.precision;
            events.on(Event::Warning(&format!("decoding in {precision} failed ({what}): decoding again in f32")))?;
            model.widen_vae(&plan.family, machine, events)?;
            pictures(&model.vae, &plan.family, machine, latents)
        }
        result => result,
    }
}

/// The pixels of latents `[batch, channels, h, w]`, unchecked: `[batch, 3, height, width]`, about -1..1.
///
/// # Errors
/// When the tensor library fails.
pub(super) fn pixels(vae: &AutoencoderKl, family: &Family, machine: &Machine, latents: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = latents.dims4()?;
    let factor = family.vae_scale_factor();
    let latents = family.to_decoder(latents)?;
    Ok(if memory::in_strips(family, (width * factor, height * factor), machine) {
        vae.decode_in_strips(&latents, STRIP)?
    } else {
        vae.decode(&latents)?
    })
}

/// The pictures of latents `[batch, channels, h, w]`.
///
/// # Errors
/// [`Error::BrokenPicture`] when the pixels hold no number or one flat colour.
pub fn pictures(vae: &AutoencoderKl, family: &Family, machine: &Machine, latents: &Tensor) -> Result<Vec<RgbImage>> {
    let pixels = pixels(vae, family, machine, latents)?;
    check_decoded(&pixels)?;
    let pictures = to_pictures(&pixels)?;
    pictures.iter().try_for_each(check_picture)?;
    Ok(pictures)
}
