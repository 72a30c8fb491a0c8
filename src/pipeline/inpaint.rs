//! [`Inpainting`]: how what is not masked stays the picture's while the rest is sampled. With any model it is put back after each
//! call, with the noise that belongs there; a denoiser made for inpainting sees mask and picture instead.

use candle_core::{DType, Device, Tensor};

use crate::image::input::Mask;
use crate::sampling::{Schedule, Step};
use crate::Result;

/// Less than a pixel of the least grey in the mean of a latent's pixels: what is above it is masked.
const NOT_MASKED: f64 = 1e-5;

/// What sampling has to keep to.
pub struct Inpainting {
    /// What is painted, `[1, 1, h, w]` f32: 1 from the start, 0 not at all.
    pub mask: Tensor,
    /// Whether what is between is painted later instead of now.
    pub soft: bool,
    /// The picture's latents and the noise on them, `[batch, channels, h, w]`, when they are put back.
    pub kept: Option<(Tensor, Tensor)>,
}

impl Inpainting {
    /// The latents after a call with the picture put back where nothing is painted yet; `None` when the denoiser sees to that.
    ///
    /// With a mask of black and white as diffusers' `StableDiffusionInpaintPipeline`. With a soft one, of a run of `n` calls what
    /// is `m` of 255 is painted in the last `n * m / 255` (Levin and Fried 2023, "Differential Diffusion: Giving Each Pixel
    /// Its Strength", algorithm 1).
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn after_call(&self, schedule: &Schedule, step: &Step<'_>) -> Result<Option<Tensor>> {
        let Some((picture, noise)) = &self.kept else { return Ok(None) };
        let done = step.call + 1;
        let mask = if self.soft {
            let threshold = 1.0 - done as f64 / schedule.model_calls() as f64;
            self.mask.ge(threshold.max(NOT_MASKED))?.to_dtype(DType::F32)?
        } else {
            self.mask.clone()
        };
        let picture = schedule.add_noise(picture, noise, done)?;
        let kept = picture.broadcast_mul(&mask.affine(-1.0, 1.0)?)?;
        Ok(Some((kept + step.latents.broadcast_mul(&mask)?)?))
    }
}

/// A mask of the latents, `[1, 1, height / factor, width / factor]` f32 in 0..1, from one of the pixels. A soft one is the mean of
/// each latent's pixels. Else it is the first of them, as `interpolate` of torch takes it, unless that misses the mask wholly:
/// then a latent is painted where any of its pixels is.
///
/// # Errors
/// When the tensor library fails.
pub fn to_latent_mask(mask: &Mask, factor: usize, soft: bool, device: &Device) -> Result<Tensor> {
    let pixels = to_tensor(mask, device)?;
    let mask = if soft {
        pixels.avg_pool2d(factor)?
    } else {
        let (_, _, height, width) = pixels.dims4()?;
        let first = pixels.upsample_nearest2d(height / factor, width / factor)?;
        match first.max_all()?.to_scalar::<f32>()? {
            most if most > 0.0 => first,
            _ => pixels.max_pool2d(factor)?,
        }
    };
    Ok(mask)
}

/// A mask as a tensor `[1, 1, height, width]` f32 in 0..1.
///
/// # Errors
/// When the tensor library fails.
pub fn to_tensor(mask: &Mask, device: &Device) -> Result<Tensor> {
    let (width, height) = mask.dimensions();
    let values: Vec<f32> = mask.values().as_raw().iter().map(|value| f32::from(*value) / 255.0).collect();
    Ok(Tensor::from_vec(values, (1, 1, height as usize, width as usize), device)?)
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;
    use crate::sampling::{Sampler, SchedulerConfig};

    fn mask(value: impl Fn(u32, u32) -> u8) -> Mask {
        Mask::new(GrayImage::from_fn(24, 16, |x, y| Luma([value(x, y)])))
    }

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn latents(mask: &Mask, soft: bool) -> Vec<f32> {
        let latents = to_latent_mask(mask, 8, soft, &Device::Cpu).unwrap();
        assert_eq!(latents.dims(), [1, 1, 2, 3]);
        values(&latents)
    }

    #[test]
    fn a_latent_is_masked_as_its_first_pixel() {
        let part = mask(|x, y| if x >= 8 && y < 4 { 255 } else { 0 });
        assert_eq!(latents(&part, false), [0., 1., 1., 0., 0., 0.]);
        let late = mask(|x, _| if x >= 9 { 255 } else { 0 });
        assert_eq!(latents(&late, false), [0., 0., 1., 0., 0., 1.]);
    }

    #[test]
    fn a_mask_finer_than_latents_is_not_lost() {
        let line = mask(|x, y| if x == 13 && y < 5 { 255 } else { 0 });
        assert_eq!(latents(&line, false), [0., 1., 0., 0., 0., 0.]);
    }

    #[test]
    fn a_soft_latent_is_the_mean_of_its_pixels() {
        let part = mask(|x, y| if x >= 8 && y < 4 { 255 } else { 0 });
        assert_eq!(latents(&part, true), [0., 0.5, 0.5, 0., 0., 0.]);
    }

    /// What is painted after each call of a run of `calls`, with zeros painted and the picture all ones.
    fn painted(soft: bool, mask: &[f32], calls: usize) -> Vec<Vec<f32>> {
        let file = serde_json::json!({"_class_name": "DDIMScheduler", "steps_offset": 1});
        let config = SchedulerConfig::from_value(file).unwrap();
        let schedule = Schedule::plan(&config, Some(Sampler::Euler), None, calls, 0.0).unwrap();
        let tensor = |values: &[f32]| Tensor::from_slice(values, (1, 1, 1, values.len()), &Device::Cpu).unwrap();
        let picture = tensor(&vec![1.0; mask.len()]);
        let noise = picture.zeros_like().unwrap();
        let inpainting = Inpainting { mask: tensor(mask), soft, kept: Some((picture, noise.clone())) };
        let after = |call| {
            let step = Step {
                index: call,
                total: calls,
                complete: true,
                call,
                timestep: 0.0,
                next_timestep: None,
                latents: &noise,
                denoised: &noise,
            };
            values(&inpainting.after_call(&schedule, &step).unwrap().unwrap())
        };
        (0..calls).map(after).collect()
    }

    #[test]
    fn the_picture_is_put_back_after_each_call() {
        assert_eq!(painted(false, &[0.0, 1.0], 3), [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]);
    }

    #[test]
    fn the_darker_a_soft_mask_the_later_painting_begins() {
        let rows = painted(true, &[0.0, 0.2, 0.5, 1.0], 4);
        assert_eq!(rows, [[1., 1., 1., 0.], [1., 1., 0., 0.], [1., 1., 0., 0.], [1., 0., 0., 0.]]);
    }
}
