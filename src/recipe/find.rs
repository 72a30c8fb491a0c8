//! Files that a recipe names, by name and content, become files of this machine.

use std::path::{Path, PathBuf};

use super::places::Places;
use super::{Recipe, Taken};
use crate::config::Given;
use crate::hub::cached;
use crate::hub::registry::{self, Entry, Kind};
use crate::hub::settings::Settings;
use crate::image::sha256_file;
use crate::request::{Lora, BUILT_IN_MODEL};
use crate::{Error, Result};

/// Endings of single files of weights.
const ENDINGS: [&str; 3] = ["safetensors", "ckpt", "gguf"];

/// Finds what a recipe names: where it lay when the picture was made, beside the picture, in the current folder.
#[derive(Debug)]
pub struct Finder<'a> {
    recipe: &'a Recipe,
    picture: &'a Path,
    places: Places,
}

impl<'a> Finder<'a> {
    /// For the recipe of a picture's file.
    #[must_use]
    pub fn new(recipe: &'a Recipe, picture: &'a Path) -> Self {
        Finder { recipe, picture, places: Places::of_process() }
    }

    /// A value of the recipe with the files that it names. `None` where none of them are here and the run can go without.
    ///
    /// # Errors
    /// [`Error::Model`] for a model and [`Error::Picture`] for a picture that is not here, or another one than it was.
    pub fn find(&self, given: &Given) -> Result<Option<Given>> {
        let option = given.setting.option;
        let Some(taken) = self.recipe.values.iter().find(|taken| taken.option == option) else {
            return Ok(Some(given.clone()));
        };
        let texts = taken.texts.iter().zip(&taken.hashes).map(|(text, hash)| self.found(taken, text, hash.as_deref()));
        let texts: Vec<String> = texts.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        Ok((!texts.is_empty()).then(|| Given { texts, ..given.clone() }))
    }

    fn found(&self, taken: &Taken, text: &str, hash: Option<&str>) -> Result<Option<String>> {
        Ok(Some(match taken.option {
            "model" => model_here(text, hash, &self.places)?,
            "image" | "mask" => self.picture(text, hash, taken.option)?,
            "control" => self.control(text, hash)?,
            "redux" => {
                let (file, numbers) = before_numbers(text, 2);
                format!("{}{numbers}", self.picture(file, hash, "redux")?)
            }
            "lora" => self.lora(text, hash),
            "lora-dir" => return Ok(self.places.recall("lora", text, hash).and_then(|path| folder_of(&path))),
            "unet" | "vae" | "clip-l" | "clip-g" | "t5" | "config" | "embedding" | "redux-model" => {
                self.part(taken.option, text)
            }
            _ => text.into(),
        }))
    }

    /// A picture by its content.
    fn picture(&self, name: &str, hash: Option<&str>, option: &str) -> Result<String> {
        let beside = self.picture.parent().map(|folder| folder.join(name));
        let here = [Some(PathBuf::from(name)), beside].into_iter().flatten().filter(|path| path.is_file());
        let places = self.places.recall("picture", name, hash).into_iter().chain(here);
        let mut another = None;
        for path in places {
            match hash {
                Some(hash) if sha256_file(&path)? != hash => another = Some(path),
                _ => return text_of(&path),
            }
        }
        let made_from = format!("`{}` was made from `{name}`", self.picture.display());
        Err(match another {
            Some(path) => Error::picture(
                format!("{made_from}, and `{}` has another content now", path.display()),
                format!("give the one it was with `--{option}`; to take this one: `--{option} {}`", path.display()),
            ),
            None => {
                Error::picture(format!("{made_from}, which is not here"), format!("say where it is: `--{option} FILE`"))
            }
        })
    }

    /// `MODEL#KIND=IMAGE:SCALE:START:END`.
    fn control(&self, text: &str, hash: Option<&str>) -> Result<String> {
        let (model, rest) = text.split_once('=').unwrap_or((text, ""));
        let (file, numbers) = before_numbers(rest, 3);
        let (model, kind) = model.split_at(model.find('#').unwrap_or(model.len()));
        let (model, picture) = (self.part("controlnet", model), self.picture(file, hash, "control")?);
        Ok(format!("{model}{kind}={picture}{numbers}"))
    }

    fn lora(&self, text: &str, hash: Option<&str>) -> String {
        let Ok(lora) = text.parse::<Lora>() else { return text.into() };
        let numbers = text.strip_prefix(&lora.file).unwrap_or_default();
        let path = self.places.recall("lora", &lora.file, hash).and_then(|path| text_of(&path).ok());
        format!("{}{numbers}", path.unwrap_or(lora.file))
    }

    /// A part of a model: what is not known stays, and is told when it is looked for.
    fn part(&self, option: &str, name: &str) -> String {
        if Path::new(name).exists() || registry::by_alias(name).is_some() {
            return name.into();
        }
        let published = || registry::file_by_name(name).map(|(entry, _)| entry.alias.clone());
        let known = self.places.recall(option, name, None).and_then(|path| text_of(&path).ok());
        known.or_else(published).unwrap_or_else(|| name.into())
    }
}

/// The model that a picture names, as `--model` takes it: where it lay the last time, by its path or short name, or by the name or hash of a
/// published file. `hash` is the SHA-256 of its main weights, or its first digits.
///
/// # Errors
/// [`Error::Model`] when it is not here.
pub fn model_here(name: &str, hash: Option<&str>, places: &Places) -> Result<String> {
    if name == BUILT_IN_MODEL {
        return Ok(name.into());
    }
    if let Some(path) = places.recall("model", name, hash) {
        return text_of(&path);
    }
    let files = ENDINGS.iter().map(|ending| format!("{name}.{ending}"));
    let here = std::iter::once(name.to_string()).chain(files.clone()).find(|path| Path::new(path).exists());
    if let Some(path) = here {
        return Ok(path);
    }
    let published = registry::by_alias(name)
        .or_else(|| registry::by_repo(name))
        .or_else(|| files.chain([name.to_string()]).find_map(|file| Some(registry::file_by_name(&file)?.0)))
        .or_else(|| hash.and_then(by_hash))
        .or_else(|| registry::all().iter().find(|entry| entry.repo.rsplit('/').next() == Some(name)))
        .filter(|entry| matches!(entry.kind, Kind::Checkpoint | Kind::Inpaint));
    let message = format!("the picture was made with the model `{name}`, which is not here");
    match published {
        Some(entry) if cached(entry, &Settings::from_env()).is_some() => Ok(entry.alias.clone()),
        Some(entry) => {
            let hint = format!("fetch it with `sdgen download {}`, or say where it is: `--model PATH`", entry.alias);
            Err(Error::model(message, hint))
        }
        None => Err(Error::model(message, "say where it is: `--model PATH`")),
    }
}

/// The published model of a file whose hash begins so.
fn by_hash(hash: &str) -> Option<&'static Entry> {
    registry::file_by_short_hash(hash).map(|(entry, _)| entry)
}

/// What stands before so many numbers, each behind a colon, and the rest.
fn before_numbers(text: &str, count: usize) -> (&str, &str) {
    text.split_at(text.rmatch_indices(':').nth(count - 1).map_or(text.len(), |(at, _)| at))
}

fn folder_of(path: &Path) -> Option<String> {
    path.parent()?.to_str().map(Into::into)
}

fn text_of(path: &Path) -> Result<String> {
    path.to_str().map(Into::into).ok_or_else(|| Error::path_is_no_text("file", path))
}
