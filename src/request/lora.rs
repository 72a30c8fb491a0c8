//! The part of a [`Request`](super::Request) that is about LoRAs.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{limits, within};
use crate::{Error, Result};

/// A file that changes the model's weights, and how strongly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// The file as the user named it.
    pub file: String,
    /// The scale of its change to the denoiser, and to the text encoders where they have none of their own. 1 is as it was
    /// trained, 0 has no effect, and negative ones turn the change round.
    #[serde(default = "one")]
    pub scale: f64,
    /// The scale of its change to the text encoders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_scale: Option<f64>,
    /// What its change is multiplied with in each block of the model: see [`crate::weights::lora::BlockWeights`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<String>,
}

/// What a file of a LoRA may end with: behind one of these there is no scale, whatever the name looks like.
const ENDINGS: [&str; 5] = [".safetensors", ".pt", ".ckpt", ".bin", ".gguf"];

const FORM: &str = "give FILE, FILE:SCALE or FILE:SCALE:TEXT_SCALE, as in `style.safetensors:0.8`";

fn one() -> f64 {
    1.0
}

impl Lora {
    /// The file at full scale.
    #[must_use]
    pub fn new(file: impl Into<String>) -> Self {
        Lora { file: file.into(), scale: 1.0, text_scale: None, blocks: None }
    }

    /// The scale of its change to the text encoders.
    #[must_use]
    pub fn text_scale(&self) -> f64 {
        self.text_scale.unwrap_or(self.scale)
    }

    /// Checks the scales against [`limits`].
    ///
    /// # Errors
    /// [`Error::Usage`] when one is outside.
    pub fn validate(&self) -> Result<()> {
        within("the scale of a LoRA,", Some(self.scale), &limits::LORA_SCALE)?;
        within("the text scale of a LoRA,", self.text_scale, &limits::LORA_SCALE)
    }
}

/// `FILE[:SCALE[:TEXT_SCALE]]`. A colon in front of what is part of a path (`C:\style.safetensors`) separates nothing.
impl FromStr for Lora {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lora = match split(text)? {
            None => Lora::new(text),
            Some((front, last)) => match split(front)? {
                None => Lora { scale: last, ..Lora::new(front) },
                Some((file, scale)) => Lora { scale, text_scale: Some(last), ..Lora::new(file) },
            },
        };
        if lora.file.is_empty() {
            return Err(Error::usage(format!("`{text}` names no file"), FORM));
        }
        lora.validate()?;
        Ok(lora)
    }
}

/// What stands before a scale at the end of the text, and the scale; nothing when the text is a file's name to its end.
fn split(text: &str) -> Result<Option<(&str, f64)>> {
    let Some((front, last)) = text.rsplit_once(':') else { return Ok(None) };
    let lower = text.to_lowercase();
    if last.contains(['/', '\\']) || ENDINGS.iter().any(|ending| lower.ends_with(ending)) {
        return Ok(None);
    }
    match last.trim().parse::<f64>() {
        Ok(scale) if scale.is_finite() => Ok(Some((front, scale))),
        _ => Err(Error::usage(format!("`{last}` is not a scale of a LoRA"), FORM)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, f64, Option<f64>) {
        let lora: Lora = text.parse().unwrap();
        (lora.file, lora.scale, lora.text_scale)
    }

    #[test]
    fn scales_stand_behind_colons() {
        for (text, file, scale, text_scale) in [
            ("style.safetensors", "style.safetensors", 1.0, None),
            ("style:0.8", "style", 0.8, None),
            ("a/b.pt:0.8:0.4", "a/b.pt", 0.8, Some(0.4)),
            ("style:-1:0", "style", -1.0, Some(0.0)),
            (r"C:\loras\style.safetensors:.5", r"C:\loras\style.safetensors", 0.5, None),
            (r"C:\loras\style", r"C:\loras\style", 1.0, None),
            ("C:/loras/style", "C:/loras/style", 1.0, None),
            ("a:b.Safetensors", "a:b.Safetensors", 1.0, None),
            ("a:1.safetensors:2", "a:1.safetensors", 2.0, None),
        ] {
            assert_eq!(parsed(text), (file.into(), scale, text_scale), "{text}");
        }
    }

    #[test]
    fn what_is_no_scale_is_refused_with_the_form() {
        for text in
            ["style.safetensors:abc", "style:", "style:nan", "style:inf", "style:0.5:x", ":0.5", "", "style:0,5"]
        {
            let error = text.parse::<Lora>().unwrap_err();
            assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
            assert!(error.hint().unwrap().contains("FILE:SCALE"), "{text}");
        }
        let error = "style:500".parse::<Lora>().unwrap_err();
        assert!(error.to_string().contains("500") && error.hint().unwrap().contains("-100 to 100"), "{error}");
    }
}
