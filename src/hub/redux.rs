//! [`ReduxFiles`]: FLUX.1 Redux, a folder in diffusers' layout.

use std::path::PathBuf;
use std::sync::Arc;

use super::layout::{read_if_there, weight_file, WHOLE};
use super::resolve::find;
use crate::nn::ParamSource;
use crate::weights::names::{siglip, Renamed};
use crate::{weights, Error, Result};

/// Its parts.
const ENCODER: &str = "image_encoder";
const EMBEDDER: &str = "image_embedder";

/// The files of a Redux model.
#[derive(Debug, Clone)]
pub struct ReduxFiles {
    folder: PathBuf,
}

impl ReduxFiles {
    /// Finds what is named: a folder, or a short name or repository that is in the cache.
    ///
    /// # Errors
    /// [`Error::Model`] when there is no such thing, or it is no Redux model.
    pub fn find(name: &str) -> Result<Self> {
        let folder = find(name)?;
        let is_whole = [ENCODER, EMBEDDER].iter().all(|part| folder.join(part).is_dir());
        if !is_whole {
            return Err(Error::model(
                format!("`{}` is no Redux model: it has not both `{ENCODER}` and `{EMBEDDER}`", folder.display()),
                "give a folder in diffusers' layout; `sdgen download flux-redux` fetches one",
            ));
        }
        Ok(ReduxFiles { folder })
    }

    /// The text of the `config.json` of what looks at pictures, SigLIP.
    ///
    /// # Errors
    /// [`Error::Model`] when it is not there.
    pub fn encoder_config(&self) -> Result<String> {
        self.config(ENCODER)
    }

    /// The same of what makes states of that.
    ///
    /// # Errors
    /// [`Error::Model`] when it is not there.
    pub fn embedder_config(&self) -> Result<String> {
        self.config(EMBEDDER)
    }

    /// The weights of SigLIP's vision encoder, without the head that Redux has no use for.
    ///
    /// # Errors
    /// [`Error::Model`] when they are not there, [`Error::Weights`] when they are damaged.
    pub fn encoder(&self) -> Result<Arc<dyn ParamSource>> {
        Ok(Arc::new(Renamed::from_names(self.weights(ENCODER)?, siglip::rename)))
    }

    /// The weights of the embedder.
    ///
    /// # Errors
    /// As [`Self::encoder`].
    pub fn embedder(&self) -> Result<Arc<dyn ParamSource>> {
        self.weights(EMBEDDER)
    }

    fn config(&self, part: &str) -> Result<String> {
        let path = self.folder.join(part).join("config.json");
        let bytes = read_if_there(&path)?.ok_or_else(|| missing(&path.display().to_string()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn weights(&self, part: &str) -> Result<Arc<dyn ParamSource>> {
        let folder = self.folder.join(part);
        let file = weight_file(&folder).ok_or_else(|| missing(&format!("weights in {}", folder.display())))?;
        Ok(weights::open(&file)?)
    }
}

fn missing(what: &str) -> Error {
    Error::model(format!("the Redux model has a part missing: there is no {what}"), WHOLE)
}
