//! The part of a [`Request`](super::Request) that is about pictures given to it: one to begin with, and a mask.

use serde::{Deserialize, Serialize};

use super::{limits, within};
use crate::image::input::{Alpha, Fill, Margins, Resize};
use crate::{Error, Result};

/// What a request makes, as told by what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A picture from a text alone.
    TextToImage,
    /// A picture from another one.
    ImageToImage,
    /// A part of a picture anew.
    Inpaint,
}

impl Task {
    /// The subcommand.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Task::TextToImage => "generate",
            Task::ImageToImage => "img2img",
            Task::Inpaint => "inpaint",
        }
    }
}

/// A file with a picture.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureFile {
    /// The path as typed, `-` for standard input. What is written into pictures has the file's name alone.
    pub file: String,
    /// SHA-256 of the file, in lower-case hex; filled in when the file is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// The picture to begin with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its file.
    pub picture: PictureFile,
    /// How much of the way from noise is gone again, above 0 and up to 1; 1 leaves next to nothing of the picture.
    #[serde(default)]
    pub strength: Option<f64>,
    /// How it gets the size of the picture that is made.
    #[serde(default)]
    pub resize: Resize,
    /// What becomes of its transparency.
    #[serde(default)]
    pub alpha: Alpha,
    /// Whether FLUX.1 Kontext sees it at its own size instead of the nearest one of training.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_auto_resize: bool,
}

/// What of the picture is painted anew, and how it becomes part of the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inpaint {
    /// White is painted anew. Absent when the picture's own transparency or its new ground is the mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<PictureFile>,
    /// Black is painted anew instead.
    pub invert: bool,
    /// Pixels by which the mask grows, or shrinks when negative.
    pub grow: i32,
    /// Pixels over which the painted passes into the rest; of a soft mask, the blur of the mask itself.
    pub blur: f64,
    /// Whether grey is painted less strongly: differential diffusion.
    pub soft: bool,
    /// Only the masked part is worked on, with so many pixels around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_masked: Option<usize>,
    /// New ground around the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend: Option<Margins>,
    /// What lies under the mask at the start.
    pub fill: Fill,
    /// Whether what is not masked is the picture's own, pixel for pixel.
    pub paste_back: bool,
}

impl Default for Inpaint {
    fn default() -> Self {
        Inpaint {
            mask: None,
            invert: false,
            grow: 0,
            blur: 0.0,
            soft: false,
            only_masked: None,
            extend: None,
            fill: Fill::Original,
            paste_back: true,
        }
    }
}

/// Checks both against [`limits`].
pub(super) fn validate(input: Option<&Input>, inpaint: Option<&Inpaint>) -> Result<()> {
    if let Some(strength) = input.and_then(|input| input.strength) {
        check_strength(strength)?;
    }
    let of_alpha = input.is_some_and(|input| input.alpha == Alpha::Mask);
    let Some(inpaint) = inpaint else {
        let message = "`--alpha mask` makes a mask, and nothing here has one";
        let hint = "to paint what is transparent: `sdgen inpaint --alpha mask`";
        return if of_alpha { Err(Error::usage(message, hint)) } else { Ok(()) };
    };
    if input.is_none() {
        return Err(Error::usage("there is a mask and no picture", "give `input` its picture"));
    }
    if of_alpha && inpaint.mask.is_some() {
        return Err(Error::usage("there are two masks: a file, and the picture's transparency", "give one of them"));
    }
    within("grow", Some(inpaint.grow), &limits::MASK_GROW)?;
    within("blur", Some(inpaint.blur), &limits::MASK_BLUR)?;
    if let Some(Margins { left, top, right, bottom }) = inpaint.extend {
        [left, top, right, bottom].into_iter().try_for_each(|side| within("extend", Some(side), &limits::EXTENSION))?;
    }
    within("only_masked", inpaint.only_masked, &limits::MASK_PAD)
}

/// Strengths are above 0 and up to 1.
///
/// # Errors
/// [`Error::Usage`] for any other.
pub fn check_strength(strength: f64) -> Result<()> {
    let message = match strength {
        s if s > 0.0 && s <= 1.0 => return Ok(()),
        s if s > 1.0 => format!("strength {s} is above 1, which paints all anew already"),
        0.0 => "strength 0 would leave the picture as it is".into(),
        s if s < 0.0 => format!("strength {s} is below 0"),
        s => format!("strength {s} is no number"),
    };
    Err(Error::usage(message, "give a number above 0 and up to 1, such as 0.6"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    #[test]
    fn what_is_given_says_what_is_made() {
        let mut request = Request::default();
        assert_eq!(request.task(), Task::TextToImage);
        request.input = Some(Input::default());
        assert_eq!(request.task(), Task::ImageToImage);
        request.inpaint = Some(Inpaint::default());
        assert_eq!(request.task(), Task::Inpaint);
        request.validate().unwrap();
        request.input = None;
        assert!(request.validate().unwrap_err().to_string().contains("no picture"));
    }

    #[test]
    fn transparency_that_is_to_be_a_mask_is_not_passed_over() {
        let input = Input { alpha: Alpha::Mask, ..Input::default() };
        let mut request = Request { input: Some(input), ..Request::default() };
        let refused = request.validate().unwrap_err();
        assert!(refused.hint().unwrap().contains("sdgen inpaint --alpha mask"), "{refused}");
        request.inpaint = Some(Inpaint::default());
        request.validate().unwrap();
        request.inpaint = Some(Inpaint { mask: Some(PictureFile::default()), ..Inpaint::default() });
        assert!(request.validate().unwrap_err().to_string().contains("two masks"));
    }

    #[test]
    fn a_request_from_a_file_keeps_to_the_limits_too() {
        let given = |inpaint: Inpaint, strength| Request {
            input: Some(Input { strength, ..Input::default() }),
            inpaint: Some(inpaint),
            ..Request::default()
        };
        given(Inpaint::default(), Some(1.0)).validate().unwrap();
        let far = Margins { bottom: u32::MAX, ..Margins::default() };
        for (inpaint, strength, word) in [
            (Inpaint::default(), Some(0.0), "strength 0"),
            (Inpaint::default(), Some(1.5), "strength 1.5"),
            (Inpaint { blur: -1.0, ..Inpaint::default() }, None, "blur"),
            (Inpaint { grow: 9999, ..Inpaint::default() }, None, "grow"),
            (Inpaint { only_masked: Some(9999), ..Inpaint::default() }, None, "only_masked"),
            (Inpaint { extend: Some(far), ..Inpaint::default() }, None, "extend"),
        ] {
            let message = given(inpaint, strength).validate().unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}
