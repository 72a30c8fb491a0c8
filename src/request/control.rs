//! The part of a [`Request`](super::Request) that is about ControlNets and the pictures that they are shown.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{limits, within, PictureFile};
use crate::control::Preprocessor;
use crate::image::input::Resize;
use crate::{Error, Result};

/// A ControlNet and the picture that it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// The ControlNet as the user named it: a path, a short name, a repository, or a kind ("canny"). For models that are shown the map
    /// themselves it is the kind.
    pub model: String,
    /// Which kind of map it is shown ("canny"); absent where the net's name tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The picture.
    pub picture: PictureFile,
    /// What makes the map of it.
    pub preprocessor: Preprocessing,
    /// How the picture gets the size of the one that is made; absent, as the picture to begin with, or stretched without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// How much it counts, 0 to 5.
    pub scale: f64,
    /// The part of the steps after which it begins, 0 to 1.
    pub start: f64,
    /// The part of the steps after which it ends, 0 to 1.
    pub end: f64,
    /// What counts more, the prompt or the picture.
    pub mode: ControlMode,
}

/// What counts more, the prompt or the control picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ControlMode {
    /// Both alike
    #[default]
    Balanced,
    /// The prompt: the net counts less the finer what it says
    Prompt,
    /// The picture: so too, and the prediction without the prompt does not see it
    Control,
    /// diffusers' guess mode, for an empty prompt
    #[value(skip)]
    Guess,
}

/// What makes a control map of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Preprocessing {
    /// What the ControlNet's kind asks for.
    #[default]
    Auto,
    /// Nothing: the picture is the map.
    None,
    /// This one.
    By(Preprocessor),
}

impl Preprocessing {
    /// `auto`, `none`, or a preprocessor's name.
    ///
    /// # Errors
    /// As [`Preprocessor::parse`].
    pub fn parse(name: &str) -> Result<Self> {
        match name.trim().to_lowercase().as_str() {
            "auto" => Ok(Preprocessing::Auto),
            "none" => Ok(Preprocessing::None),
            _ => Preprocessor::parse(name).map(Preprocessing::By),
        }
    }
}

impl TryFrom<String> for Preprocessing {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::parse(&name)
    }
}

impl From<Preprocessing> for String {
    fn from(preprocessing: Preprocessing) -> Self {
        match preprocessing {
            Preprocessing::Auto => "auto".into(),
            Preprocessing::None => "none".into(),
            Preprocessing::By(preprocessor) => preprocessor.name(),
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Control {
            model: String::new(),
            kind: None,
            picture: PictureFile::default(),
            preprocessor: Preprocessing::Auto,
            resize: None,
            scale: 1.0,
            start: 0.0,
            end: 1.0,
            mode: ControlMode::Balanced,
        }
    }
}

impl Control {
    /// Checks the numbers against [`limits`].
    ///
    /// # Errors
    /// [`Error::Usage`] naming what is wrong.
    pub fn validate(&self) -> Result<()> {
        within("control scale", Some(self.scale), &limits::CONTROL_SCALE)?;
        within("control start", Some(self.start), &limits::FRACTION)?;
        within("control end", Some(self.end), &limits::FRACTION)?;
        if self.start >= self.end {
            return Err(Error::usage(
                format!("the control starts at {} and ends at {}", self.start, self.end),
                "give a start below the end, both parts of the steps from 0 to 1: `canny=edges.png:1:0:0.6`",
            ));
        }
        Ok(())
    }

    /// Whether it works at call `call` of `calls`: as in diffusers, those that lie wholly between start and end.
    #[must_use]
    pub fn works_at(&self, call: usize, calls: usize) -> bool {
        let part = |call: usize| call as f64 / calls as f64;
        self.scale != 0.0 && part(call) >= self.start && part(call + 1) <= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_works_within_its_part_of_the_calls() {
        let works = |start, end, calls: usize| {
            let control = Control { start, end, ..Control::default() };
            (0..calls).filter(|call| control.works_at(*call, calls)).collect::<Vec<_>>()
        };
        assert_eq!(works(0.0, 1.0, 3), [0, 1, 2]);
        assert_eq!(works(0.2, 0.7, 10), [2, 3, 4, 5, 6]);
        assert_eq!(works(0.25, 0.7, 10), [3, 4, 5, 6]);
        assert_eq!(works(0.0, 0.5, 3), [0]);
        assert!(works(0.9, 1.0, 3).is_empty());
        assert!(!Control { scale: 0.0, ..Control::default() }.works_at(0, 1));
    }

    #[test]
    fn preprocessors_are_stored_by_name() {
        for (name, preprocessor) in [
            ("auto", Preprocessing::Auto),
            ("none", Preprocessing::None),
            ("canny", Preprocessing::By(Preprocessor::Canny)),
        ] {
            let control = Control { preprocessor, ..Control::default() };
            let json = serde_json::to_value(&control).unwrap();
            assert_eq!(json["preprocessor"], name);
            assert_eq!(serde_json::from_value::<Control>(json).unwrap(), control);
        }
        assert!(Preprocessing::parse("cany").unwrap_err().hint().unwrap().contains("canny"));
    }

    #[test]
    fn numbers_keep_to_their_ranges() {
        let refused = |control: Control| control.validate().unwrap_err().to_string();
        assert!(refused(Control { scale: -0.1, ..Control::default() }).contains("scale"));
        assert!(refused(Control { scale: f64::NAN, ..Control::default() }).contains("scale"));
        assert!(refused(Control { start: 1.5, ..Control::default() }).contains("start"));
        assert!(refused(Control { end: 1.5, ..Control::default() }).contains("end"));
        assert!(refused(Control { start: 0.5, end: 0.5, ..Control::default() }).contains("starts at 0.5"));
        Control { scale: 2.0, start: 0.1, end: 0.2, ..Control::default() }.validate().unwrap();
    }
}
