//! From what the user named to files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bare::{wanted, Bare};
use super::layout::weight_file;
use super::locate::{apart, locate};
use super::model_files::{ModelFiles, Part, Place};
use super::settings::Settings;
use crate::request::{Parts, BUILT_IN_MODEL};
use crate::{Error, Result};

/// Finds the model a user named (the built-in model's name, a folder, a single file, a name of what is in the cache) and the parts
/// that are to be taken from elsewhere.
///
/// # Errors
/// [`Error::Model`] when there is no such model or part, when it is something else, or not whole; [`Error::Weights`] when a file is
/// damaged.
pub fn resolve(model: &str, parts: &Parts) -> Result<ModelFiles> {
    if parts.no_t5 && parts.t5.is_some() {
        return Err(Error::usage("`--no-t5` and `--t5` contradict each other", "give one of them"));
    }
    let mut files = ModelFiles {
        place: place(model)?,
        parts: Vec::new(),
        config: None,
        prediction: parts.prediction,
        averaged: parts.ema,
        without_t5: parts.no_t5,
    };
    if let Some(folder) = &parts.config {
        if !Path::new(folder).is_dir() {
            return Err(Error::model(
                format!("there is no folder `{folder}` to take configs from"),
                "give a folder in diffusers' layout",
            ));
        }
        files.config = Some(folder.into());
    }
    let pipeline = files.pipeline()?;
    let name = files.name();
    let mut given = Vec::new();
    for (component, option, path) in parts.components() {
        given.push((place_of(component, option, &pipeline, &name)?, option, find(path)?));
    }
    for (part, path) in apart(model, &Settings::from_env()) {
        let known = Parts::OPTIONS.iter().find(|(_, option)| option.trim_start_matches("--") == part);
        let Some((component, option)) = known else { continue };
        let component = place_of(component, option, &pipeline, &name)?;
        if given.iter().all(|(known, ..)| *known != component) {
            given.push((component, option, path));
        }
    }
    for (component, option, path) in given {
        let part = part(component, &pipeline, option, &path)?;
        check_family(&part, component, &pipeline, &name)?;
        files.parts.push((component, part));
    }
    files.check_complete()?;
    check_effect(&files, parts)?;
    Ok(files)
}

/// The component of diffusers' layout that an option gives in a model for this pipeline.
fn place_of(component: &'static str, option: &str, pipeline: &str, name: &str) -> Result<&'static str> {
    let (flux, sd3) = (pipeline.starts_with("Flux"), pipeline.starts_with("StableDiffusion3"));
    match component {
        "unet" if flux || sd3 => Ok("transformer"),
        "t5" if flux => Ok("text_encoder_2"),
        "t5" if sd3 => Ok("text_encoder_3"),
        "t5" => Err(no_place(option, name, "leave it out: T5 is for FLUX and Stable Diffusion 3")),
        "text_encoder_2" if flux => Err(no_place(option, name, "leave it out: FLUX has CLIP-L and T5")),
        component => Ok(component),
    }
}

fn no_place(option: &str, name: &str, hint: &str) -> Error {
    Error::usage(format!("`{option}` has no place in `{name}`"), hint)
}

/// Refuses the transformer of another family.
fn check_family(part: &Part, component: &str, pipeline: &str, name: &str) -> Result<()> {
    let Part::File(file) = part else { return Ok(()) };
    let found = file.detected.edition.filter(|_| component == "transformer");
    match found {
        Some(edition) if edition.is_flux() != pipeline.starts_with("Flux") => Err(Error::model(
            format!("`{}` is no transformer for `{name}`: it is {}", file.label(), edition.title()),
            "give a model of its family with `--model`, or leave `--model` out and give the other parts too",
        )),
        _ => Ok(()),
    }
}

/// Refuses options that would have no effect.
fn check_effect(files: &ModelFiles, parts: &Parts) -> Result<()> {
    if parts.clip_g.is_some() && files.read("text_encoder_2/config.json")?.is_none() {
        let message = format!("`--clip-g` has no place in `{}`, which has one text encoder", files.name());
        return Err(Error::usage(message, "give its text encoder with `--clip-l`"));
    }
    let pipeline = files.pipeline()?;
    if parts.no_t5 && !pipeline.starts_with("StableDiffusion3") {
        let hint = if pipeline.starts_with("Flux") { "FLUX cannot do without T5" } else { "leave it out" };
        return Err(no_place("--no-t5", &files.name(), hint));
    }
    if parts.ema && !files.has_bare("unet") {
        let message = format!("`--ema` has no effect: the denoiser of `{}` is not in a single file", files.name());
        return Err(Error::usage(message, "leave it out: folders hold one kind of weights"));
    }
    Ok(())
}

fn place(model: &str) -> Result<Place> {
    if model == BUILT_IN_MODEL {
        return Ok(Place::BuiltIn);
    }
    let path = find(model)?;
    if path.is_dir() {
        return folder(&path);
    }
    let file = Bare::open(&path)?;
    file.check_model()?;
    Ok(Place::File(Arc::new(file)))
}

/// The path that a name is, or what it stands for in the cache.
pub(super) fn find(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    // A link whose target is gone is a path that was meant.
    if path.symlink_metadata().is_ok() {
        return Ok(path.into());
    }
    locate(name, &Settings::from_env())
}

fn folder(path: &Path) -> Result<Place> {
    if !path.join("model_index.json").is_file() {
        let inside = if path.join("config.json").is_file() { "; it looks like one part of a model" } else { "" };
        return Err(Error::model(
            format!("`{}` is no model folder: it has no model_index.json{inside}", path.display()),
            "a diffusers folder has model_index.json, unet/ or transformer/, vae/, text_encoder/, tokenizer/ and scheduler/",
        ));
    }
    Ok(Place::Folder(path.into()))
}

/// The place of one component of a model for this pipeline: its folder, a model's folder that has one, or a file that holds it.
pub(super) fn part(component: &'static str, pipeline: &str, option: &str, path: &Path) -> Result<Part> {
    let shown = path.display();
    if path.is_dir() {
        let inside = path.join(component);
        let folder = if path.join("model_index.json").is_file() { inside } else { path.to_path_buf() };
        if weight_file(&folder).is_none() || !folder.join("config.json").is_file() {
            return Err(Error::model(
                format!(
                    "`{shown}` holds no {component} for `{option}`: there is no config.json with weights beside it"
                ),
                format!("give a file of weights, or the folder `{component}` of a model in diffusers' layout"),
            ));
        }
        return Ok(Part::Folder(folder));
    }
    let file = Bare::open(path)?;
    let wanted = wanted(component, pipeline);
    if !file.has_as(wanted) {
        let names: Vec<&str> = wanted.iter().map(|wanted| wanted.name()).collect();
        return Err(Error::model(
            format!("`{shown}` is nothing for `{option}`: it is {}", file.detected.title()),
            format!("give a file that holds {}", names.join(" or ")),
        ));
    }
    // A file of a diffusers folder: its config lies beside it.
    match path.parent() {
        Some(folder) if weight_file(folder).as_deref() == Some(path) && folder.join("config.json").is_file() => {
            Ok(Part::Folder(folder.to_path_buf()))
        }
        _ => Ok(Part::File(Arc::new(file))),
    }
}
