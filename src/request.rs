//! [`Request`]: everything that decides a picture, in one serialisable struct.
//!
//! It is what the command line fills, what `--dry-run` prints and what is written into the picture. Fields that are `None`
//! are decided by the model; [`crate::pipeline`] fills them in before anything runs, so that a stored request is complete.
//! Machine facts (device, threads) are not part of it.

mod control;
mod input;
mod lora;
mod overlay;
mod parts;
mod quantize;
mod redux;
mod skip_layers;

use clap::ValueEnum;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::sampling::{Rng, Sampler, SigmaSpacing};
use crate::{Error, Result};

pub use self::control::{Control, ControlMode, Preprocessing};
pub use self::input::{check_strength, Inpaint, Input, PictureFile, Task};
pub use self::lora::Lora;
pub use self::parts::Parts;
pub use self::quantize::QuantizedType;
pub use self::redux::{Redux, ReduxPicture};
pub use self::skip_layers::SkipLayers;

/// The version of the layout of [`Request`].
pub const SCHEMA: u32 = 1;

/// The name of the model inside the binary.
pub const BUILT_IN_MODEL: &str = "emoji";

/// What the fields of a [`Request`] may be.
pub mod limits {
    use std::ops::RangeInclusive;

    /// Denoising steps.
    pub const STEPS: RangeInclusive<usize> = 1..=150;
    /// Guidance scale; above [`LED_AWAY`] for models that take it as an input.
    pub const GUIDANCE: RangeInclusive<f64> = 0.0..=100.0;
    /// How far one prediction is led away from another.
    pub const LED_AWAY: RangeInclusive<f64> = 0.0..=20.0;
    /// Guidance rescaling, and DDIM's eta.
    pub const FRACTION: RangeInclusive<f64> = 0.0..=1.0;
    /// Places of T5.
    pub const MAX_TOKENS: RangeInclusive<usize> = 1..=512;
    /// Sides of a picture in pixels. Latents are 8 times smaller, and below 8 latents most models have no level left to halve.
    pub const SIDE: RangeInclusive<usize> = 64..=4096;
    /// Sides are multiples of this: the pixels to a latent.
    pub const SIDE_STEP: usize = 8;
    /// How much a ControlNet counts.
    pub const CONTROL_SCALE: RangeInclusive<f64> = 0.0..=5.0;
    /// By what a picture that stands for words, and the text before it, are multiplied.
    pub const REDUX_SCALE: RangeInclusive<f64> = 0.0..=5.0;
    /// Pictures at once.
    pub const BATCH: RangeInclusive<usize> = 1..=64;
    /// Pixels by which a mask grows or shrinks.
    pub const MASK_GROW: RangeInclusive<i32> = -512..=512;
    /// Pixels of a mask's soft border.
    pub const MASK_BLUR: RangeInclusive<f64> = 0.0..=256.0;
    /// Pixels around the masked part that are worked on with it.
    pub const MASK_PAD: RangeInclusive<usize> = 0..=2048;
    /// Pixels of new ground on a side of a picture.
    pub const EXTENSION: RangeInclusive<u32> = 0..=4096;
    /// Scale of a LoRA; beyond it nothing is left of the model.
    pub const LORA_SCALE: RangeInclusive<f64> = -100.0..=100.0;
}

/// Everything that decides a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Version of this layout.
    pub schema: u32,
    /// The model as the user named it: a folder, a file, or the built-in model's name.
    pub model: String,
    /// What of the model is taken from elsewhere, and what its files do not say.
    #[serde(skip_serializing_if = "Parts::is_empty")]
    pub parts: Parts,
    /// What changes its weights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<Lora>,
    /// Folders in which LoRAs are looked for that are named: where a machine has them is no part of a picture.
    #[serde(skip)]
    pub lora_dirs: Vec<String>,
    /// What to paint.
    pub prompt: Prompt,
    /// Pictures in the place of words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redux: Option<Redux>,
    /// How to get there.
    pub sampling: Sampling,
    /// The picture's size and number.
    pub image: Image,
    /// The picture to begin with; absent, it begins with noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// What of that picture is painted anew; absent, all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inpaint: Option<Inpaint>,
    /// ControlNets and what they are shown; what they say is summed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Control>,
}

/// What to paint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prompt {
    /// The prompt.
    pub text: String,
    /// The prompt of the second text encoder; the first one's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_2: Option<String>,
    /// What not to paint. Absent differs from empty: SDXL takes zeros for an absent one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative: Option<String>,
    /// The negative prompt of the second text encoder; the first one's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_2: Option<String>,
    /// As in A1111: 1 skips nothing, 2 the last layer of the text encoder.
    pub clip_skip: Option<usize>,
    /// Files of textual inversion, whose words the prompts may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub embeddings: Vec<String>,
    /// Whether `(word:1.3)` and its kin are a language or plain text.
    pub weighting: Weighting,
    /// What happens to a prompt of more than 75 tokens.
    pub long_prompt: LongPrompt,
    /// Places of T5, for models that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<usize>,
}

/// Whether brackets in a prompt are a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// A1111's: `(word:1.3)`, `[word]`, `BREAK`, `[a:b:0.5]`, `[a|b]`.
    #[default]
    A1111,
    /// The text as it is.
    None,
}

/// What happens to a prompt of more than 75 tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LongPrompt {
    /// Encoded in chunks of 75 tokens, one after the other.
    #[default]
    Chunk,
    /// Cut, as diffusers does; what is cut is said.
    Truncate,
}

/// How to get from noise to the picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Denoising steps, 1 to 150.
    pub steps: Option<usize>,
    /// Guidance scale, 0 to 20, and to 100 for models that take it as an input; at 1 and below the negative prompt has no effect.
    pub guidance: Option<f64>,
    /// Rescaling of the guided prediction (Lin et al. 2023), 0 to 1; 0 is off.
    pub guidance_rescale: Option<f64>,
    /// Guidance of FLUX by a second prediction, 0 to 20; at 1 and below, and without a negative prompt, there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub true_cfg: Option<f64>,
    /// Guidance of Stable Diffusion 3.5 by a prediction without some of its layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_layers: Option<SkipLayers>,
    /// The sampler.
    pub scheduler: Option<Sampler>,
    /// How noise levels are spaced.
    pub sigmas: Option<SigmaSpacing>,
    /// Noise added by DDIM at each step, 0 to 1.
    pub eta: Option<f64>,
    /// The seed; of torch's generator only the low 32 bits count.
    pub seed: Option<u64>,
    /// Whose random numbers.
    pub rng: Rng,
}

/// The picture's size and number.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Image {
    /// Pixels, a multiple of 8.
    pub width: Option<usize>,
    /// Pixels, a multiple of 8.
    pub height: Option<usize>,
    /// Pictures made at once from one draw of one seed, as diffusers' `num_images_per_prompt`.
    pub batch: Option<usize>,
    /// The size that SDXL is told the picture was cropped from, (width, height); the picture's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_size: Option<(usize, usize)>,
    /// The corner of that crop that SDXL is told, (left, top); (0, 0) when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<(usize, usize)>,
}

impl Request {
    /// What is made.
    #[must_use]
    pub fn task(&self) -> Task {
        match (&self.input, &self.inpaint) {
            (_, Some(_)) => Task::Inpaint,
            (Some(_), None) => Task::ImageToImage,
            (None, None) => Task::TextToImage,
        }
    }

    /// Checks the values that are given against [`limits`].
    ///
    /// # Errors
    /// [`Error::Usage`] naming the first field that is outside, and what it may be.
    pub fn validate(&self) -> Result<()> {
        let (sampling, image) = (&self.sampling, &self.image);
        input::validate(self.input.as_ref(), self.inpaint.as_ref())?;
        self.loras.iter().try_for_each(Lora::validate)?;
        self.controls.iter().try_for_each(Control::validate)?;
        self.redux.as_ref().map_or(Ok(()), Redux::validate)?;
        within("steps", sampling.steps, &limits::STEPS)?;
        within("guidance", sampling.guidance, &limits::GUIDANCE)?;
        within("true_cfg", sampling.true_cfg, &limits::LED_AWAY)?;
        sampling.skip_layers.as_ref().map_or(Ok(()), SkipLayers::validate)?;
        within("max_tokens", self.prompt.max_tokens, &limits::MAX_TOKENS)?;
        within("guidance_rescale", sampling.guidance_rescale, &limits::FRACTION)?;
        within("eta", sampling.eta, &limits::FRACTION)?;
        within("batch", image.batch, &limits::BATCH)?;
        for (name, side) in [("width", image.width), ("height", image.height)] {
            within(name, side, &limits::SIDE)?;
            if let Some(side) = side.filter(|side| side % limits::SIDE_STEP != 0) {
                let nearest = (side + limits::SIDE_STEP / 2) / limits::SIDE_STEP * limits::SIDE_STEP;
                return Err(Error::usage(
                    format!("{name} {side} is not a multiple of {}", limits::SIDE_STEP),
                    format!("the nearest is {nearest}"),
                ));
            }
        }
        Ok(())
    }
}

fn within<T: PartialOrd + Display>(name: &str, value: Option<T>, range: &RangeInclusive<T>) -> Result<()> {
    match value {
        Some(value) if !range.contains(&value) => {
            let message = format!("{name} {value} is outside its range");
            Err(Error::usage(message, format!("give {} to {}", range.start(), range.end())))
        }
        _ => Ok(()),
    }
}

impl Default for Request {
    fn default() -> Self {
        Request {
            schema: SCHEMA,
            model: BUILT_IN_MODEL.into(),
            parts: Parts::default(),
            loras: Vec::new(),
            lora_dirs: Vec::new(),
            prompt: Prompt::default(),
            redux: None,
            sampling: Sampling::default(),
            image: Image::default(),
            input: None,
            inpaint: None,
            controls: Vec::new(),
        }
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            steps: None,
            guidance: None,
            guidance_rescale: None,
            true_cfg: None,
            skip_layers: None,
            scheduler: None,
            sigmas: None,
            eta: None,
            seed: None,
            rng: Rng::Torch,
        }
    }
}
