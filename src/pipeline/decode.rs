//! Latents to pictures, checked: a half-precision failure is repeated in f32, a broken picture is an error.

use std::time::Instant;

use candle_core::Tensor;
use image::RgbImage;

use crate::image::{check, to_rgb};
use crate::models::vae::AutoencoderKl;
use crate::nn::Precision;
use crate::pipeline::model::{vae_precision, Model};
use crate::pipeline::{Event, Events, Family, Machine, Phase, Plan};
use crate::{Error, Result};

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
    check::latents(latents)?;
    let start = Instant::now();
    let total = latents.dim(0)?;
    events.on(Event::Begin { phase: Phase::Decode, total })?;
    let mut pictures = Vec::with_capacity(total);
    for index in 0..total {
        let pixels = decode_checked(plan, model, machine, &latents.narrow(0, index, 1)?, events)?;
        pictures.push(to_rgb(&pixels)?);
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
) -> Result<Tensor> {
    let decode = |model: &Model| -> Result<Tensor> {
        let pixels = decode_one(&model.vae, &plan.family, latents)?;
        check::pixels(&pixels)?;
        Ok(pixels)
    };
    match decode(model) {
        Err(Error::BrokenPicture { what }) if vae_precision(&plan.family, machine) != Precision::F32 => {
            let precision = machine.precision.name();
            events.on(Event::Warning(&format!("decoding in {precision} failed ({what}): decoding again in f32")))?;
            model.widen_vae(&plan.family, machine, events)?;
            decode(model)
        }
        result => result,
    }
}

/// Pictures of latents `[batch, channels, h, w]` as tensors `[3, height, width]` in -1..1, unchecked.
///
/// # Errors
/// When the tensor library fails.
pub fn pixels(vae: &AutoencoderKl, family: &Family, latents: &Tensor) -> Result<Vec<Tensor>> {
    (0..latents.dim(0)?).map(|i| decode_one(vae, family, &latents.narrow(0, i, 1)?)).collect()
}

fn decode_one(vae: &AutoencoderKl, family: &Family, latents: &Tensor) -> Result<Tensor> {
    let config = &family.vae;
    let scaled = (latents / config.scaling_factor)?;
    let shifted = (scaled + config.shift_factor.unwrap_or(0.0))?;
    Ok(vae.decode(&shifted)?.squeeze(0)?)
}
