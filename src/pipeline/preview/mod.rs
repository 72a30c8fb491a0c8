//! Pictures of steps for showing while the work goes on: a guess of what the latents hold, for a fraction of the time that decoding takes.

mod latent_rgb;
mod projection;
mod tiny;

use std::cell::OnceCell;
use std::path::PathBuf;

use candle_core::Tensor;
use image::imageops::FilterType;
use image::RgbImage;

use self::projection::Projection;
use crate::image::to_pictures;
use crate::models::taesd::TinyDecoder;
use crate::pipeline::model::Model;
use crate::pipeline::{decode, Events, Machine, Plan};
use crate::Result;

/// How the pictures that steps predict are made for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreviewMethod {
    /// Each latent becomes a pixel, by a matrix.
    Projection,
    /// By a tiny autoencoder (TAESD), whose weights lie here.
    Tiny(PathBuf),
    /// By the model's own autoencoder, which takes its time at each step.
    Full,
}

/// A [`PreviewMethod`] with what it needs beside the model.
pub(super) enum Previewer {
    /// Made of the model at the first step.
    Projection(OnceCell<Projection>),
    Tiny(Box<TinyDecoder>),
    Full,
}

impl Previewer {
    /// Opens what the method needs.
    ///
    /// # Errors
    /// As [`tiny::open`].
    pub(super) fn open(
        method: &PreviewMethod,
        plan: &Plan,
        machine: &Machine,
        events: &mut dyn Events,
    ) -> Result<Self> {
        Ok(match method {
            PreviewMethod::Projection => Previewer::Projection(OnceCell::new()),
            PreviewMethod::Tiny(path) => Previewer::Tiny(Box::new(tiny::open(path, &plan.family, machine, events)?)),
            PreviewMethod::Full => Previewer::Full,
        })
    }

    /// The picture that a step predicts, `[1, channels, h, w]`, at the size of the result.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub(super) fn picture(
        &self,
        (plan, model, machine): (&Plan, &Model, &Machine),
        denoised: &Tensor,
    ) -> Result<Option<RgbImage>> {
        let pixels = match self {
            Previewer::Projection(cell) => {
                if cell.get().is_none() {
                    let _ = cell.set(Projection::of(plan, &model.vae, &machine.device)?);
                }
                cell.get().map(|projection| projection.project(denoised)).transpose()?
            }
            Previewer::Tiny(decoder) => Some(decoder.decode(denoised)?),
            Previewer::Full => Some(decode::pixels(&model.vae, &plan.family, machine, denoised)?),
        };
        let Some(picture) = pixels.map(|pixels| to_pictures(&pixels)).transpose()?.and_then(|mut all| all.pop()) else {
            return Ok(None);
        };
        let (width, height) = plan.size();
        let size = (width as u32, height as u32);
        let whole = if picture.dimensions() == size {
            picture
        } else {
            image::imageops::resize(&picture, size.0, size.1, FilterType::Triangle)
        };
        Ok(Some(plan.finish(whole)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{run, ComputeOptions, Engine, Event, Watch};
    use crate::request::{Image, Prompt, Sampling};
    use crate::testing::fixture;
    use crate::{Error, Request};

    /// The pictures of steps, and the finished one.
    #[derive(Default)]
    struct Seen(Vec<RgbImage>, Option<RgbImage>);

    impl Events for Seen {
        fn on(&mut self, event: Event<'_>) -> Result<()> {
            match event {
                Event::Preview { picture } => self.0.push(picture.clone()),
                Event::Picture { picture, .. } => self.1 = Some(picture.clone()),
                _ => {}
            }
            Ok(())
        }
    }

    fn seen(method: &PreviewMethod) -> Result<(Vec<RgbImage>, RgbImage)> {
        seen_of(Request::default(), method)
    }

    fn seen_of(request: Request, method: &PreviewMethod) -> Result<(Vec<RgbImage>, RgbImage)> {
        let request = Request {
            prompt: Prompt { text: "a red apple".into(), ..Prompt::default() },
            sampling: Sampling { steps: Some(6), seed: Some(7), ..Sampling::default() },
            image: Image { width: Some(128), height: Some(128), ..Image::default() },
            ..request
        };
        let mut engine = Engine::new(Machine::new(ComputeOptions::default())?);
        let mut seen = Seen::default();
        run(&Plan::new(&request)?, &mut engine, Watch { every: None, preview: Some(method) }, &mut seen)?;
        let Seen(steps, finished) = seen;
        Ok((steps, finished.unwrap()))
    }

    /// Mean absolute difference, in 8-bit steps, of two pictures at an eighth of their size.
    fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
        assert_eq!(a.dimensions(), b.dimensions());
        let [a, b] =
            [a, b].map(|of| image::imageops::resize(of, of.width() / 8, of.height() / 8, FilterType::Triangle));
        let sum: f64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        sum / a.as_raw().len() as f64
    }

    /// Measured: 67 of 255 at the first step, 30.4 at the last: a matrix tells colours and places.
    #[test]
    fn a_projection_shows_what_the_picture_becomes() {
        let (steps, finished) = seen(&PreviewMethod::Projection).unwrap();
        assert_eq!(steps.len(), 6);
        let [first, last] = [&steps[0], &steps[5]].map(|step| difference(step, &finished));
        assert!(last < 32.0 && last < first / 2.0, "{first} {last}");
    }

    #[test]
    fn latents_that_nobody_knows_are_asked_what_they_mean() {
        let model = fixture("models/sd15").to_string_lossy().into_owned();
        let (steps, _) = seen_of(Request { model, ..Request::default() }, &PreviewMethod::Projection).unwrap();
        assert_eq!(steps.len(), 6);
        assert!(steps[0] != steps[5] && crate::image::check_picture(&steps[5]).is_ok());
    }

    /// Measured: 0.85; the last step's prediction is not quite what the sampler makes of it.
    #[test]
    fn the_models_own_decoder_shows_the_picture() {
        let (steps, finished) = seen(&PreviewMethod::Full).unwrap();
        let difference = difference(&steps[5], &finished);
        assert!(difference < 1.1, "{difference}");
    }

    #[test]
    fn a_tiny_autoencoder_is_for_its_latents_and_nothing_else() {
        let tiny = |name: &str| seen(&PreviewMethod::Tiny(fixture(name)));
        assert_eq!(tiny("taesd.safetensors").unwrap().0.len(), 6);
        let refused = |name: &str| match tiny(name) {
            Err(Error::Model { message, .. }) => message,
            other => panic!("{:?}", other.map(|_| ())),
        };
        assert!(refused("missing.safetensors").contains("no tiny autoencoder"));
        assert!(refused("vae.safetensors").contains("no decoder of TAESD"));
    }
}
