//! The part of a [`Request`](super::Request) that is about pictures in the place of words: FLUX.1 Redux.

use serde::{Deserialize, Serialize};

use super::{limits, within, PictureFile};
use crate::{Error, Result};

/// Pictures to paint something like, and what reads them. What they say is summed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redux {
    /// The Redux model as the user named it: a folder, a short name, a repository.
    pub model: String,
    /// The pictures; never empty.
    pub pictures: Vec<ReduxPicture>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReduxPicture {
    /// Its file.
    pub picture: PictureFile,
    /// By what its states and those of the text are multiplied: diffusers' `prompt_embeds_scale`.
    pub scale: f64,
    /// By what the text's pooled vector is multiplied: diffusers' `pooled_prompt_embeds_scale`.
    pub pooled_scale: f64,
}

impl Default for Redux {
    fn default() -> Self {
        Redux { model: Self::MODEL.into(), pictures: Vec::new() }
    }
}

impl Default for ReduxPicture {
    fn default() -> Self {
        ReduxPicture { picture: PictureFile::default(), scale: 1.0, pooled_scale: 1.0 }
    }
}

impl Redux {
    /// The short name of the published model.
    pub const MODEL: &'static str = "flux-redux";

    /// Checks the numbers against [`limits`], and that there is a picture.
    pub(super) fn validate(&self) -> Result<()> {
        if self.pictures.is_empty() {
            return Err(Error::usage("Redux has no picture to read", "give it one: `--redux photo.jpg`"));
        }
        self.pictures.iter().try_for_each(ReduxPicture::validate)
    }
}

impl ReduxPicture {
    /// Checks the numbers against [`limits`].
    ///
    /// # Errors
    /// [`Error::Usage`] naming what is wrong.
    pub fn validate(&self) -> Result<()> {
        within("redux scale", Some(self.scale), &limits::REDUX_SCALE)?;
        within("redux pooled scale", Some(self.pooled_scale), &limits::REDUX_SCALE)
    }
}
