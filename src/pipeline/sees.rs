//! What a denoiser sees beside latents and text: [`Sees`] says what its channels are for, [`Seen`] holds what they are given.

use candle_core::Tensor;

use crate::nn::unshuffle;
use crate::pipeline::{DenoiserConfig, Family};
use crate::request::Task;
use crate::{Error, Request, Result};

/// What the channels of a denoiser are for that it takes beside latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// There are none.
    Nothing,
    /// A mask and the masked picture: models for inpainting, FLUX.1 Fill.
    MaskedPicture,
    /// A control map: FLUX.1 Canny and Depth.
    Map,
    /// A picture that is to be edited: InstructPix2Pix.
    Picture,
    /// Nobody here knows.
    Unknown,
}

impl Family {
    /// What its denoiser sees beside latents and text.
    #[must_use]
    pub fn sees(&self) -> Sees {
        let latents = self.vae.latent_channels;
        match &self.denoiser {
            DenoiserConfig::Unet(unet) => match unet.in_channels {
                channels if channels == latents => Sees::Nothing,
                channels if channels == 2 * latents + 1 => Sees::MaskedPicture,
                channels if channels == 2 * latents => Sees::Picture,
                _ => Sees::Unknown,
            },
            DenoiserConfig::Flux(config) => {
                let pixels = self.vae_scale_factor() * self.vae_scale_factor();
                // Packed in twos.
                match config.in_channels {
                    values if values == config.outputs() => Sees::Nothing,
                    values if values == 4 * (2 * latents) => Sees::Map,
                    values if values == 4 * (2 * latents + pixels) => Sees::MaskedPicture,
                    _ => Sees::Unknown,
                }
            }
            DenoiserConfig::Mmdit(_) => Sees::Nothing,
        }
    }

    /// Refuses models that want more than the request has for them. `name` is the model's.
    ///
    /// # Errors
    /// [`Error::Model`] saying what the model is and what it is for.
    pub fn check_task(&self, request: &Request, name: &str) -> Result<()> {
        let (task, sees) = (request.task(), self.sees());
        if self.appends_picture && task == Task::Inpaint {
            return Err(Error::model(
                format!("`{name}` is {}, which edits pictures as it is told and knows no masks", self.name()),
                "say what is to change: `sdgen img2img -i photo.png \"make it night\"`",
            ));
        }
        match sees {
            Sees::Nothing => return Ok(()),
            Sees::MaskedPicture if task == Task::Inpaint => return Ok(()),
            Sees::Map if !request.controls.is_empty() => return Ok(()),
            _ => {}
        }
        let (network, has, takes) = match &self.denoiser {
            DenoiserConfig::Unet(unet) => ("UNet", unet.in_channels, self.vae.latent_channels),
            DenoiserConfig::Flux(config) => ("transformer", config.in_channels, config.outputs()),
            DenoiserConfig::Mmdit(config) => ("transformer", config.in_channels, self.vae.latent_channels),
        };
        let with_map = if task == Task::TextToImage { "controlnet" } else { task.command() };
        let plain = format!("`{}` runs models whose {network} takes {takes} channels", task.command());
        let (what, hint) = match sees {
            Sees::MaskedPicture => (
                format!("an inpainting model: its {network} also wants a mask and a masked picture"),
                "paint a part of a picture with it: `sdgen inpaint -i photo.png --mask mask.png`".into(),
            ),
            Sees::Map => (
                format!("a model that paints after a control map: its {network} also wants one"),
                format!("show it a picture, with the kind of map: `sdgen {with_map} --control canny=photo.png`"),
            ),
            Sees::Picture => (
                format!("a model that edits pictures as it is told, such as InstructPix2Pix: its {network} also wants a picture"),
                plain,
            ),
            Sees::Nothing | Sees::Unknown => ("of no known kind".into(), plain),
        };
        Err(Error::model(format!("`{name}` is {what} ({has} input channels)"), hint))
    }
}

/// What a denoiser is shown at each step beside the latents, `[1 or batch, channels, h, w]` f32.
#[derive(Debug, Clone)]
pub struct Seen(Tensor);

impl Seen {
    /// A control map's latents, `[1 or batch, channels, h, w]`.
    #[must_use]
    pub fn map(latents: Tensor) -> Self {
        Seen(latents)
    }

    /// For a UNet: which latents are masked, `[1, 1, h, w]` of 0 and 1, and the masked picture's latents, `[1, channels, h, w]`; as
    /// `StableDiffusionInpaintPipeline`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn masked_latents(mask: &Tensor, picture: &Tensor) -> Result<Self> {
        Ok(Seen(Tensor::cat(&[mask, picture], 1)?))
    }

    /// For FLUX.1 Fill: the masked picture's latents, `[1, channels, h, w]`, and which pixels are masked, `[1, 1, height, width]` of 0 and
    /// 1, those of a latent as its channels; as `FluxFillPipeline`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn masked_pixels(mask: &Tensor, picture: &Tensor) -> Result<Self> {
        let factor = mask.dim(2)? / picture.dim(2)?;
        Ok(Seen(Tensor::cat(&[picture, &unshuffle(mask, factor)?], 1)?))
    }

    /// The denoiser's input: latents `[n batch, channels, h, w]` with what it is shown.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn beside(&self, latents: &Tensor) -> Result<Tensor> {
        let times = latents.dim(0)? / self.0.dim(0)?;
        let seen = self.0.to_dtype(latents.dtype())?.repeat((times, 1, 1, 1))?;
        Ok(Tensor::cat(&[latents, &seen], 1)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::pipeline::family::testing::family;
    use crate::request::{Control, Inpaint, Input};

    fn requests() -> [Request; 4] {
        let text = Request::default();
        let picture = Request { input: Some(Input::default()), ..text.clone() };
        let part = Request { inpaint: Some(Inpaint::default()), ..picture.clone() };
        let mapped = Request { controls: vec![Control::default()], ..text.clone() };
        [text, picture, part, mapped]
    }

    fn refused(family: &Family) -> [Option<String>; 4] {
        requests().map(|request| family.check_task(&request, "x").err().map(|e| format!("{e} {}", e.hint().unwrap())))
    }

    #[test]
    fn unets_are_for_requests_that_have_what_they_want() {
        let with = |channels: usize| {
            let mut family = family("sd15");
            match &mut family.denoiser {
                DenoiserConfig::Unet(config) => config.in_channels = channels,
                other => panic!("{other:?}"),
            }
            refused(&family)
        };
        assert_eq!(with(4), [const { None }; 4]);
        let [generate, img2img, inpaint, controlnet] = with(9);
        for refused in [generate, img2img, controlnet] {
            assert!(refused.unwrap().contains("sdgen inpaint"));
        }
        assert_eq!(inpaint, None);
        for refused in with(8) {
            let message = refused.unwrap();
            assert!(message.contains("InstructPix2Pix") && message.contains("8 input channels"), "{message}");
        }
        assert!(with(5)[0].as_ref().unwrap().contains("no known kind"));
    }

    #[test]
    fn transformers_are_for_requests_that_have_what_they_want() {
        let with = |values: usize| {
            let mut family = family("flux-dev");
            match &mut family.denoiser {
                DenoiserConfig::Flux(config) => (config.in_channels, config.out_channels) = (values, Some(64)),
                other => panic!("{other:?}"),
            }
            refused(&family)
        };
        assert_eq!(with(64), [const { None }; 4]);
        let [generate, img2img, inpaint, controlnet] = with(384);
        for refused in [generate, img2img, controlnet] {
            assert!(refused.unwrap().contains("sdgen inpaint"));
        }
        assert_eq!(inpaint, None);
        let [generate, img2img, inpaint, controlnet] = with(128);
        for refused in [generate, img2img, inpaint] {
            assert!(refused.unwrap().contains("--control canny=photo.png"));
        }
        assert_eq!(controlnet, None);
        let message = with(96)[2].clone().unwrap();
        assert!(message.contains("96 input channels") && message.contains("64 channels"), "{message}");
    }

    #[test]
    fn what_is_seen_lies_beside_each_of_the_batch() {
        let of = |batch: usize, channels: usize, value: f32| {
            Tensor::full(value, (batch, channels, 2, 2), &Device::Cpu).unwrap()
        };
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let seen = Seen::masked_latents(&of(1, 1, 1.0), &of(1, 4, 7.0)).unwrap();
        let input = seen.beside(&of(2, 4, 3.0)).unwrap();
        assert_eq!(input.dims(), [2, 9, 2, 2]);
        let last = values(&input.narrow(0, 1, 1).unwrap());
        assert_eq!((last[15], last[16], last[20]), (3.0, 1.0, 7.0));
        // A map for each picture, and guidance doubles them all.
        let maps = Seen::map(Tensor::cat(&[of(1, 4, 1.0), of(1, 4, 2.0)], 0).unwrap());
        let input = maps.beside(&of(4, 4, 3.0)).unwrap();
        assert_eq!(
            values(&input.narrow(1, 7, 1).unwrap().narrow(2, 0, 1).unwrap().narrow(3, 0, 1).unwrap()),
            [1., 2., 1., 2.]
        );
    }

    #[test]
    fn the_pixels_of_a_latent_are_its_channels() {
        let pixels = Tensor::arange(0f32, 64.0, &Device::Cpu).unwrap().reshape((1, 1, 4, 16)).unwrap();
        let picture = Tensor::zeros((1, 3, 2, 8), DType::F32, &Device::Cpu).unwrap();
        let Seen(seen) = Seen::masked_pixels(&pixels, &picture).unwrap();
        assert_eq!(seen.dims(), [1, 7, 2, 8]);
        let of_latent = seen.narrow(2, 1, 1).unwrap().narrow(3, 2, 1).unwrap().flatten_all().unwrap().to_vec1::<f32>();
        assert_eq!(of_latent.unwrap(), [0., 0., 0., 36., 37., 52., 53.]);
    }
}
