//! The configs and vocabularies of a model, wherever they lie: read from its files, or its family's own with what its tensors and the
//! user say.

use std::borrow::Cow;

use super::bare::{wanted, Bare};
use super::configs;
use super::layout::read_if_there;
use super::model_files::{built_in_file, ModelFiles, Part, Place};
use crate::sampling::Prediction;
use crate::weights::detect::{Component, Family};
use crate::{Error, Result};

const INDEX: &str = "model_index.json";

impl ModelFiles {
    /// The pipeline of diffusers that the model is for, as its `model_index.json` names it; empty when it does not.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn pipeline(&self) -> Result<String> {
        let index = self.read(INDEX)?.unwrap_or_default();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap_or_default();
        Ok(index["_class_name"].as_str().unwrap_or_default().into())
    }

    /// The bytes of a small file, or `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is there and cannot be read, [`Error::Weights`] when it is a stand-in: a Git LFS pointer, a
    /// web page.
    pub fn read(&self, path: &str) -> Result<Option<Cow<'static, [u8]>>> {
        let bytes = self.read_stored(path)?;
        let transformer = match (self.part("transformer"), &self.place) {
            (Some(Part::File(file)), _) | (None, Place::File(file)) if path == INDEX => file,
            _ => return Ok(bytes),
        };
        let fields = configs::index_fields(&transformer.detected);
        if fields.is_empty() {
            return Ok(bytes);
        }
        Ok(bytes.map(|text| configs::with_fields(&String::from_utf8_lossy(&text), fields).into_bytes().into()))
    }

    /// The same without what a transformer says of the pipeline that it is for.
    fn read_stored(&self, path: &str) -> Result<Option<Cow<'static, [u8]>>> {
        if let Some(bytes) = self.in_config(path).map(|file| read_if_there(&file)).transpose()?.flatten() {
            return Ok(Some(bytes));
        }
        let (component, rest) = path.split_once('/').unwrap_or((path, ""));
        match (self.part(component), self.flux_file()) {
            (Some(Part::Folder(folder)), _) if rest == "config.json" => read_if_there(&folder.join(rest)),
            (Some(Part::File(file)), _) if rest == "config.json" => {
                let Some(text) = self.read_place(path)? else { return Ok(None) };
                let text = String::from_utf8_lossy(&text).into_owned();
                let fields = file.fields(self.wanted(component)?);
                Ok(Some(Cow::Owned(configs::with_fields(&text, fields).into_bytes())))
            }
            (_, Some(file)) if component == "scheduler" => {
                Ok(self.config_of(file, path)?.map(|text| Cow::Owned(text.into_bytes())))
            }
            _ => self.read_place(path),
        }
    }

    /// The file of a FLUX transformer that is not the model's own. Its noise levels are those that it was trained on: schnell and
    /// dev differ in them, and Kontext in its pipeline.
    fn flux_file(&self) -> Option<&Bare> {
        match self.part("transformer") {
            Some(Part::File(file)) if file.detected.family == Some(Family::Flux) => Some(file),
            _ => None,
        }
    }

    /// What files without a folder may have for a component.
    pub(super) fn wanted(&self, component: &str) -> Result<&'static [Component]> {
        Ok(wanted(component, &self.pipeline()?))
    }

    fn read_place(&self, path: &str) -> Result<Option<Cow<'static, [u8]>>> {
        match &self.place {
            Place::BuiltIn => Ok(built_in_file(path).map(Cow::Borrowed)),
            Place::Folder(folder) => read_if_there(&folder.join(path)),
            Place::File(file) => Ok(self.config_of(file, path)?.map(|text| Cow::Owned(text.into_bytes()))),
            Place::Random(published) => Ok(published.config(path).map(|text| Cow::Owned(text.into_bytes()))),
        }
    }

    /// A config of a bare file: the family's, with what the tensors and the user say.
    fn config_of(&self, file: &Bare, path: &str) -> Result<Option<String>> {
        let Some(text) = file.check_model().map(|family| configs::published(family, path))? else { return Ok(None) };
        let (component, rest) = path.split_once('/').unwrap_or((path, ""));
        if component == "scheduler" {
            let fields = configs::scheduler_fields(&file.detected, self.velocity_of(file)?);
            return Ok(Some(configs::with_fields(&text, fields)));
        }
        if rest != "config.json" {
            return Ok(Some(text));
        }
        let mut fields = file.fields(self.wanted(component)?);
        let told = component == "unet" && (self.config.is_none() || file.velocity(None).is_ok());
        if let Some(side) = told
            .then(|| self.velocity_of(file))
            .transpose()?
            .and_then(|velocity| configs::sample_size(&file.detected, velocity))
        {
            fields.insert("sample_size".into(), side.into());
        }
        Ok(Some(configs::with_fields(&text, fields)))
    }

    fn velocity_of(&self, file: &Bare) -> Result<bool> {
        file.velocity(self.prediction.map(|prediction| prediction == Prediction::Velocity))
    }

    /// A text file that the model cannot do without.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is not there or no text; otherwise as [`Self::read`].
    pub fn text(&self, path: &str) -> Result<String> {
        let bytes = self.read(path)?.ok_or_else(|| self.part_missing(path))?;
        String::from_utf8(bytes.into_owned())
            .map_err(|_| Error::model(format!("`{}` is no text", self.label(path)), "fetch the model's folder again"))
    }

    /// A component's `config.json`, read by `parse`.
    ///
    /// # Errors
    /// As [`Self::text`]; what `parse` refuses is told with the file.
    pub fn config<T>(&self, component: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let path = format!("{component}/config.json");
        parse(&self.text(&path)?).map_err(|e| match e {
            // Nobody wrote that config: the family's sizes do not fit, and the tensors do not tell others.
            Error::Model { message, .. } if self.is_bare() => Error::model(
                format!("the sizes of `{}` cannot be told from its tensors: {message}", self.name()),
                "give the model's config files with `--config DIR`",
            ),
            Error::Model { message, hint } => {
                Error::Model { message: format!("`{}`: {message}", self.label(&path)), hint }
            }
            e => e,
        })
    }
}
