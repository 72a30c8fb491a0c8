//! [`Defaults`]: what is taken where a request says nothing, told from a model's configs.

use super::denoiser::DenoiserConfig;
use super::family::Family;
use crate::hub::registry;
use crate::models::OneOrMany;
use crate::sampling::{Prediction, Sampler};

/// What is taken where the request says nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f64,
    /// Width and height in pixels.
    pub size: (usize, usize),
}

impl Defaults {
    /// What the registry knows of the model goes before what its configs suggest.
    #[must_use]
    pub fn or_known(self, known: Option<&registry::Defaults>) -> Self {
        let Some(known) = known else { return self };
        Defaults {
            steps: known.steps.unwrap_or(self.steps),
            guidance: known.guidance.unwrap_or(self.guidance),
            size: known.size.map_or(self.size, |side| (side, side)),
        }
    }
}

impl Family {
    /// What is taken where the request says nothing. Turbo models are told by their scheduler: trailing timesteps, a plain or
    /// ancestral Euler sampler and no zero-terminal-SNR rescaling; they were distilled to work unguided in 1 to 4 steps.
    #[must_use]
    pub fn defaults(&self, built_in: bool) -> Defaults {
        let (height, width) = self.latent_size();
        let factor = self.vae_scale_factor();
        let size = (width * factor, height * factor);
        let (steps, guidance) = match () {
            () if !matches!(self.denoiser, DenoiserConfig::Unet(_)) => self.denoiser.defaults(),
            () if built_in => (20, 4.0),
            () if self.scheduler.sampler() == Ok(Sampler::Lcm) => (4, 1.0),
            () if self.is_turbo() => (4, 0.0),
            () if self.two_encoders() => (25, 5.0),
            () => (25, 7.5),
        };
        Defaults { steps, guidance, size }
    }

    /// Height and width of the latents that the model was trained for. Early configs of Stable Diffusion 1.x name half of it,
    /// which diffusers corrects too; where nothing is said it is theirs.
    fn latent_size(&self) -> (usize, usize) {
        const FIRST: usize = 64;
        const FLUX: usize = 128;
        let unet = match &self.denoiser {
            DenoiserConfig::Unet(unet) => unet,
            DenoiserConfig::Flux(_) => return (FLUX, FLUX),
            DenoiserConfig::Mmdit(config) => return (config.sample_size, config.sample_size),
        };
        match &unet.sample_size {
            Some(OneOrMany::Many(sides)) if sides.len() == 2 => (sides[0], sides[1]),
            Some(OneOrMany::One(side)) if *side >= FIRST || self.two_encoders() || !unet.is_before(0, 9) => {
                (*side, *side)
            }
            _ => (FIRST, FIRST),
        }
    }

    /// Whether the model was distilled to work unguided in 1 to 4 steps.
    #[must_use]
    pub fn is_turbo(&self) -> bool {
        let scheduler = &self.scheduler;
        matches!(scheduler.sampler(), Ok(Sampler::Euler | Sampler::EulerA))
            && scheduler.prediction() == Ok(Prediction::Epsilon)
            && scheduler.is_trailing()
            && !scheduler.has_zero_terminal_snr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::family::testing::family;

    fn unet(family: &mut Family) -> &mut crate::models::unet::UNetConfig {
        match &mut family.denoiser {
            DenoiserConfig::Unet(config) => config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_come_from_the_configs() {
        for (model, steps, guidance) in
            [("sd15", 25, 7.5), ("sd21", 25, 7.5), ("sdxl", 25, 5.0), ("sdxl-turbo", 4, 0.0)]
        {
            let family = family(model);
            assert_eq!(family.two_encoders(), model.starts_with("sdxl"), "{model}");
            assert_eq!(family.defaults(false), Defaults { steps, guidance, size: (128, 128) }, "{model}");
        }
    }

    #[test]
    fn early_configs_name_half_the_size() {
        let mut family = family("sd15");
        let size = |family: &Family| family.defaults(false).size;
        family.vae.block_out_channels = vec![1; 4];
        unet(&mut family).sample_size = Some(OneOrMany::One(32));
        assert_eq!(size(&family), (256, 256));
        unet(&mut family).diffusers_version = Some("0.8.1".into());
        assert_eq!(size(&family), (512, 512));
        unet(&mut family).diffusers_version = Some("0.10.0.dev0".into());
        assert_eq!(size(&family), (256, 256));
        unet(&mut family).sample_size = Some(OneOrMany::Many(vec![64, 96]));
        assert_eq!(size(&family), (768, 512));
        unet(&mut family).sample_size = None;
        assert_eq!(size(&family), (512, 512));
    }
}
