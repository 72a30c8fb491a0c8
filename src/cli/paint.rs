//! The options that all commands share which make pictures, and the request they make.

use std::path::PathBuf;

use clap::Args;

use super::checks;
use super::compute::ComputeArgs;
use super::general::GeneralArgs;
use super::image::ImageArgs;
use super::lora::LoraArgs;
use super::model::ModelArgs;
use super::output::OutputArgs;
use super::prompt::PromptArgs;
use super::recipe::RecipeArgs;
use super::redux::ReduxArgs;
use super::sampling::{SamplingArgs, Seed};
use crate::request::{Image, Parts, Prompt, Request, Sampling, BUILT_IN_MODEL};
use crate::Result;

/// What `generate`, `img2img` and `inpaint` know.
#[derive(Debug, Clone, Args)]
pub struct PaintArgs {
    /// Which model paints.
    #[command(flatten)]
    pub model: ModelArgs,
    /// What changes its weights.
    #[command(flatten)]
    pub lora: LoraArgs,
    /// What to paint.
    #[command(flatten)]
    pub prompt: PromptArgs,
    /// Pictures in the place of words.
    #[command(flatten)]
    pub redux: ReduxArgs,
    /// How to get from noise to the picture.
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// The picture's size.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Where pictures go.
    #[command(flatten)]
    pub output: OutputArgs,
    /// On what the work is done.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// What is done with the request itself.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// What the program says.
    #[command(flatten)]
    pub general: GeneralArgs,
}

impl PaintArgs {
    /// Everything among the options that decides the picture. What was not given stays `None`: the model decides it.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] when options contradict each other, also those that are not part of the request.
    pub fn request(&self) -> Result<Request> {
        checks::output(&self.output, &self.general)?;
        checks::seeds(&self.sampling, &self.output)?;
        checks::stream(&self.prompt, &self.output)?;
        Ok(Request {
            model: self.model_name()?,
            parts: self.parts()?,
            loras: self.lora.loras()?,
            lora_dirs: self.lora.lora_dirs.iter().map(|path| checks::path("LoRAs", path)).collect::<Result<_>>()?,
            prompt: self.prompt()?,
            redux: self.redux.redux()?,
            sampling: self.sampling()?,
            image: Image {
                width: self.image.width,
                height: self.image.height,
                batch: Some(self.output.batch),
                original_size: self.image.original_size,
                crop: self.image.crop,
            },
            ..Request::default()
        })
    }

    /// The seed that was given, if one was.
    #[must_use]
    pub fn request_seed(&self) -> Option<u64> {
        match self.sampling.seed {
            Seed::Random => None,
            Seed::Fixed(seed) => Some(seed),
        }
    }

    fn model_name(&self) -> Result<String> {
        // A denoiser without a model is the model.
        match self.model.model.as_ref().or(self.model.unet.as_ref()) {
            Some(model) => checks::path("model", model),
            None => Ok(BUILT_IN_MODEL.into()),
        }
    }

    fn parts(&self) -> Result<Parts> {
        let args = &self.model;
        let path = |what, path: &Option<PathBuf>| path.as_ref().map(|path| checks::path(what, path)).transpose();
        Ok(Parts {
            unet: path("denoiser", &args.model.as_ref().and(args.unet.clone()))?,
            vae: path("autoencoder", &args.vae)?,
            clip_l: path("text encoder", &args.clip_l)?,
            clip_g: path("second text encoder", &args.clip_g)?,
            t5: path("T5 encoder", &args.t5)?,
            no_t5: args.no_t5,
            config: path("config", &args.config)?,
            ema: args.ema,
            prediction: args.prediction.prediction(),
            quantize: args.quantize,
        })
    }

    fn prompt(&self) -> Result<Prompt> {
        let args = &self.prompt;
        let text = checks::prompt(args)?;
        Ok(Prompt {
            // Each prompt of a file is dressed when it is read.
            text: if args.prompt_file.is_some() { text.into() } else { args.dressed(text) },
            text_2: args.prompt_2.clone(),
            negative: args.negative_prompt.clone(),
            negative_2: args.negative_prompt_2.clone(),
            clip_skip: args.clip_skip,
            embeddings: args.embeddings.iter().map(|path| checks::path("embedding", path)).collect::<Result<_>>()?,
            weighting: args.weighting,
            long_prompt: args.long_prompt,
            max_tokens: args.max_tokens,
        })
    }

    fn sampling(&self) -> Result<Sampling> {
        let args = &self.sampling;
        Ok(Sampling {
            steps: args.steps,
            guidance: args.guidance,
            guidance_rescale: args.guidance_rescale,
            true_cfg: args.true_cfg,
            skip_layers: checks::skip_layers(args)?,
            scheduler: args.scheduler.map(|s| s.sampler),
            sigmas: checks::sigmas(args)?,
            eta: args.eta,
            seed: self.request_seed(),
            rng: args.rng,
        })
    }
}
