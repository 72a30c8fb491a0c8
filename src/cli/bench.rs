//! `sdgen bench`: how fast a model runs here.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::compute::ComputeArgs;
use super::general::GeneralArgs;
use super::{checks, values};
use crate::hub::Published;
use crate::pipeline::Stages;
use crate::request::{limits, Control, Image, Preprocessing, Prompt, Request, Sampling, BUILT_IN_MODEL};
use crate::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen bench
  sdgen bench --model ./stable-diffusion-v1-5 --dtype bf16
  sdgen bench --family sdxl --random-weights -W 768 -H 768 --steps 1 --only step
  sdgen bench --model sd15 --control ./controlnet=map.png --only step
  sdgen bench --threads 2 --json > bench.json";

/// What is painted: of the length of most prompts, though all of up to 75 tokens take the same time.
const PROMPT: &str = "a photo of a red apple on a wooden table, soft light";

/// Measure how fast this machine runs a model, and on what the time goes.
///
/// Times the encoding of the prompt, a denoising step and decoding, each several times after a run that does not count: median,
/// fastest and slowest run, the share of each kind of layer, and, on the CPU, the operations a second beside what the
/// processor can do at best. A step is one call of the denoiser with guidance, as `generate` makes it. No picture is written.
#[derive(Debug, Clone, Args)]
#[command(
    args_override_self = true,
    disable_help_flag = true,
    after_help = EXAMPLES,
    mut_arg("json", |arg| arg.help("Print the result as one JSON object, on one line, on standard output [default: off]")),
    mut_arg("threads", |arg| arg.long_help(None::<&str>))
)]
pub struct BenchArgs {
    /// A model, as `generate` takes it [default: built-in emoji model].
    #[arg(short, long, value_name = "DIR", help_heading = "Model")]
    pub model: Option<PathBuf>,

    /// A published model's structure, for `--random-weights`.
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Model")]
    pub family: Option<Published>,

    /// Make up the weights of `--family`, in f16: no file is needed [default: off].
    ///
    /// Speed does not depend on the values. The time that `load` takes is then that of making them.
    #[arg(long, help_heading = "Model")]
    pub random_weights: bool,

    /// Width of the picture, a multiple of 8 from 64 to 4096 [default: the model's].
    #[arg(short = 'W', long, value_name = "PX", allow_negative_numbers = true, value_parser = values::side, help_heading = "Work")]
    pub width: Option<usize>,

    /// Its height, likewise [default: the model's].
    #[arg(short = 'H', long, value_name = "PX", allow_negative_numbers = true, value_parser = values::side, help_heading = "Work")]
    pub height: Option<usize>,

    /// Guidance scale, 0 to 20, with FLUX.1 to 100 [default: the model's].
    ///
    /// Above 1 a step works on two samples at once, with the prompt and without it.
    #[arg(short, long, value_name = "X", allow_negative_numbers = true, value_parser = |s: &str| values::decimal(s, limits::GUIDANCE), help_heading = "Work")]
    pub guidance: Option<f64>,

    /// How often each stage is timed, 1 to 150.
    ///
    /// One run more comes before, to warm up.
    #[arg(long, value_name = "N", default_value = "3", allow_negative_numbers = true, value_parser = |s: &str| values::whole(s, limits::STEPS), help_heading = "Work")]
    pub steps: usize,

    /// Time steps with a ControlNet too, as MODEL=IMAGE[:SCALE[:START[:END]]]; may be given several times.
    ///
    /// Each step without is followed by one with, and the times of both are compared. The picture is taken as the map that it is.
    #[arg(long = "control", value_name = "MODEL=IMAGE", value_parser = values::control, help_heading = "Work")]
    pub controls: Vec<Control>,

    /// Time these stages alone, with commas between them [default: all].
    #[arg(long, value_name = "STAGES", value_enum, value_delimiter = ',', help_heading = "Work")]
    pub only: Vec<Stage>,

    /// On what the work is done.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// What the program says.
    #[command(flatten)]
    pub general: GeneralArgs,
}

/// What `--only` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Encoding the prompt.
    Encode,
    /// A denoising step.
    Step,
    /// Decoding a picture.
    Decode,
}

impl BenchArgs {
    /// The structure whose weights are to be made up; `None` for a model that has weights.
    ///
    /// # Errors
    /// [`Error::Usage`] when the options do not say what to measure.
    pub fn random(&self) -> Result<Option<Published>> {
        match (&self.model, self.family, self.random_weights) {
            (None, Some(family), true) => Ok(Some(family)),
            (_, None, false) => Ok(None),
            (Some(_), _, true) => Err(Error::usage(
                "`--model` and `--random-weights` are two models",
                "leave out one of them; `--random-weights` goes with `--family`",
            )),
            (Some(_), Some(_), false) => Err(Error::usage(
                "`--model` and `--family` are two models",
                "leave out `--family`: what a model is comes from its files",
            )),
            (None, Some(family), false) => Err(Error::usage(
                format!("`--family {}` is a structure without weights", family.name()),
                "add `--random-weights`, or give a model with `--model`",
            )),
            (None, None, true) => Err(Error::usage(
                "`--random-weights` needs to know which network they are for",
                "add `--family sd15`, or another name that `sdgen bench --help` lists",
            )),
        }
    }

    /// The picture that is made in part.
    ///
    /// # Errors
    /// [`Error::Usage`] when the model's path is no text, or there is no step for ControlNets to work in.
    pub fn request(&self) -> Result<Request> {
        if !self.controls.is_empty() && !self.stages().step {
            let message = "`--control` has no effect: `--only` leaves out the step";
            return Err(Error::usage(message, "add `step` to `--only`, or leave out `--control`"));
        }
        let as_it_is = |control: &Control| Control { preprocessor: Preprocessing::None, ..control.clone() };
        let model = self.model.as_ref().map(|model| checks::path("model", model)).transpose()?;
        Ok(Request {
            model: model.unwrap_or_else(|| BUILT_IN_MODEL.into()),
            prompt: Prompt { text: PROMPT.into(), ..Prompt::default() },
            sampling: Sampling { guidance: self.guidance, seed: Some(0), ..Sampling::default() },
            controls: self.controls.iter().map(as_it_is).collect(),
            image: Image { width: self.width, height: self.height, ..Image::default() },
            ..Request::default()
        })
    }

    /// What is timed.
    #[must_use]
    pub fn stages(&self) -> Stages {
        let wanted = |stage| self.only.is_empty() || self.only.contains(&stage);
        Stages { encode: wanted(Stage::Encode), step: wanted(Stage::Step), decode: wanted(Stage::Decode) }
    }
}
