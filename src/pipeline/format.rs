//! The format of a family's latents: scale and shift between autoencoder and denoiser.

use candle_core::Tensor;

use crate::pipeline::Family;
use crate::request::limits;
use crate::{Error, Result};

impl Family {
    /// How many pixels of the picture lie along a side of one latent: 8 for all published models.
    #[must_use]
    pub fn vae_scale_factor(&self) -> usize {
        1 << self.vae.block_out_channels.len().saturating_sub(1)
    }

    /// What the sides of a picture are multiples of: the pixels to a latent, or to a token.
    #[must_use]
    pub fn side_step(&self) -> usize {
        limits::SIDE_STEP.max(self.vae_scale_factor() * self.denoiser.patch())
    }

    /// Tokens of a picture of this width and height.
    #[must_use]
    pub fn tokens(&self, (width, height): (usize, usize)) -> usize {
        let side = self.vae_scale_factor() * self.denoiser.patch();
        (width / side) * (height / side)
    }

    /// Refuses a picture of this width and height that the denoiser cannot paint.
    ///
    /// # Errors
    /// [`Error::Usage`] with the nearest size that it can.
    pub fn check_size(&self, (width, height): (usize, usize)) -> Result<()> {
        let (step, name) = (self.side_step(), self.name());
        let largest = self.denoiser.largest_side().map_or(usize::MAX, |side| side * self.vae_scale_factor());
        for (what, side) in [("width", width), ("height", height)] {
            if side % step > 0 {
                let nearest = ((side + step / 2) / step * step).max(step);
                return Err(Error::usage(
                    format!("{what} {side} is not a multiple of {step}, as {name} needs it"),
                    format!("the nearest is {nearest}"),
                ));
            }
            if side > largest {
                return Err(Error::usage(
                    format!("{what} {side} is more than the {largest} pixels that this {name} model has places for"),
                    format!("give {largest} or less"),
                ));
            }
        }
        Ok(())
    }

    /// Latents as the encoder gives them -> latents as the denoiser takes them.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn from_encoder(&self, latents: &Tensor) -> Result<Tensor> {
        let (scale, shift) = (self.vae.scaling_factor, self.vae.shift_factor.unwrap_or(0.0));
        match self.normalisation(latents)? {
            Some((mean, std)) => Ok(latents.broadcast_sub(&mean)?.affine(scale, 0.0)?.broadcast_div(&std)?),
            None => Ok(latents.affine(scale, -shift * scale)?),
        }
    }

    /// Latents as the sampler leaves them -> latents as the decoder takes them.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn to_decoder(&self, latents: &Tensor) -> Result<Tensor> {
        let (scale, shift) = (1.0 / self.vae.scaling_factor, self.vae.shift_factor.unwrap_or(0.0));
        match self.normalisation(latents)? {
            Some((mean, std)) => Ok(latents.broadcast_mul(&std)?.affine(scale, 0.0)?.broadcast_add(&mean)?),
            None => Ok(latents.affine(scale, shift)?),
        }
    }

    /// Mean and deviation of each channel, `[1, channels, 1, 1]`: some fine-tunes of SDXL normalise channels by themselves.
    fn normalisation(&self, latents: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
        let each = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            Tensor::new(values, latents.device())?.reshape((1, (), 1, 1))
        };
        match (&self.vae.latents_mean, &self.vae.latents_std) {
            (Some(mean), Some(std)) => Ok(Some((each(mean)?, each(std)?))),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::family::testing::family;

    #[test]
    fn latents_of_the_encoder_are_those_of_the_decoder() {
        let mut family = family("sd15");
        let latents = Tensor::randn(0f32, 3f32, (1, 4, 2, 2), &candle_core::Device::Cpu).unwrap();
        let there_and_back = |family: &Family| {
            let back = family.to_decoder(&family.from_encoder(&latents).unwrap()).unwrap();
            (back - &latents).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
        };
        assert!(there_and_back(&family) < 1e-6);
        family.vae.shift_factor = Some(0.1159);
        assert!(there_and_back(&family) < 1e-6);
        family.vae.latents_mean = Some(vec![1.0, -2.0, 0.5, 0.0]);
        family.vae.latents_std = Some(vec![2.0, 3.0, 0.5, 1.0]);
        assert!(there_and_back(&family) < 2e-6);
    }

    #[test]
    fn sizes_are_whole_tokens() {
        let (sd15, flux, sd35) = (family("sd15"), family("flux-dev"), family("sd35"));
        assert_eq!([&sd15, &flux, &sd35].map(Family::side_step), [8, 16, 16]);
        assert_eq!((flux.tokens((64, 128)), sd35.tokens((64, 128))), (32, 32));
        assert!(sd15.check_size((72, 64)).is_ok() && flux.check_size((1024, 4096)).is_ok());
        let error = flux.check_size((64, 72)).unwrap_err();
        assert_eq!((error.exit_code(), error.hint()), (2, Some("the nearest is 80".to_string())));
        // The tiny model has 24 places of 16 pixels.
        assert!(sd35.check_size((384, 64)).is_ok());
        assert!(sd35.check_size((400, 64)).unwrap_err().to_string().contains("384 pixels"));
    }
}
