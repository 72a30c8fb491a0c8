//! The checks of what was named: a model, a part of one, a file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::check::{check, check_source, said, Network};
use super::published;
use super::report::{FileReport, ModelReport};
use crate::commands::inspect::{component_files, components, Component, Part};
use crate::files::read_small;
use crate::hub::ModelFiles;
use crate::pipeline;
use crate::weights::lora::Family;
use crate::weights::{Container, WeightFile};
use crate::{Error, Result};

/// What a check of a model's files tells; `each` is called with the report of each file when it is done.
pub fn check_model(name: &str, files: &ModelFiles, each: &mut dyn FnMut(&FileReport)) -> ModelReport {
    let mut report = ModelReport { target: name.into(), ..ModelReport::default() };
    let parts = match components(files) {
        Ok(parts) => parts,
        Err(e) => {
            report.problems.push(said(&e));
            return report;
        }
    };
    let mut reports = Vec::new();
    for part in &parts {
        let config = files.text(&format!("{}/config.json", part.name)).ok();
        let network = config.as_ref().map(|config| Network { config, class: Some(&part.class) });
        let checked = match files.folder() {
            Some(folder) => check_folder(name, &folder.join(&part.name), &part.name, network),
            None => built_in_part(name, files, part, network),
        };
        if checked.is_empty() && is_needed(part) {
            report.problems.push(format!("the {} has no weights: `{}` has none", part.name, files.label(&part.name)));
        }
        for file in checked {
            if let Some(kind) = file.kind.filter(|kind| matches!(kind.part, Part::Unet | Part::Transformer)) {
                report.family = kind.family;
                report.variant = kind.variant.map(Into::into);
            }
            each(&file);
            reports.push(file);
        }
    }
    report.licence = published::licence_of_model(files, &reports);
    published::check_small_files(&mut report, files);
    describe(&mut report, files);
    report
}

/// Parts without which no picture can be made.
fn is_needed(part: &Component) -> bool {
    ["unet", "transformer", "vae"].contains(&part.name.as_str()) || part.name.starts_with("text_encoder")
}

/// The files of a part that was named by itself.
///
/// # Errors
/// [`Error::Model`] when it has none, or its config is no text.
pub fn check_part(target: &str, folder: &Path) -> Result<Vec<FileReport>> {
    let config = folder.join("config.json");
    let bytes = read_small(&config).map_err(Error::io("read", &config))?;
    let network = Network { config: &String::from_utf8_lossy(&bytes), class: None };
    let files = check_folder(target, folder, "", Some(network));
    if files.is_empty() {
        return Err(Error::model(format!("`{target}` has a config and no weights"), "fetch the folder again, whole"));
    }
    Ok(files)
}

/// The files of weights in the folder of a part.
fn check_folder(target: &str, folder: &Path, part: &str, network: Option<Network>) -> Vec<FileReport> {
    // A folder that cannot be read has no files: that is what is said.
    let files = component_files(folder).unwrap_or_default();
    let name = |path: &Path| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if part.is_empty() {
            file.into_owned()
        } else {
            format!("{part}/{file}")
        }
    };
    files.iter().map(|path| check(target, &name(path), path, network)).collect()
}

fn built_in_part(target: &str, files: &ModelFiles, part: &Component, network: Option<Network>) -> Vec<FileReport> {
    let Some((network, (file, content))) = network.zip(files.content(&part.name)) else { return Vec::new() };
    let mut report = match files.weights(&part.name) {
        Ok(source) => {
            let (container, metadata) = (Container::Safetensors, BTreeMap::new());
            check_source(target, &file, &WeightFile { source, container, metadata }, network)
        }
        Err(e) => FileReport { target: target.into(), file, problems: vec![said(&e)], ..FileReport::default() },
    };
    report.sha256 = content.sha256().ok();
    vec![report]
}

/// What the scheduler's config adds to what the tensors tell.
pub fn describe(report: &mut ModelReport, files: &ModelFiles) {
    if files.pipeline().is_ok_and(|pipeline| pipeline == "FluxPriorReduxPipeline") {
        (report.family, report.variant) = (Some(Family::Flux), Some("redux".into()));
        return report.notes.push("it reads pictures for a model of FLUX.1: `--redux-model`".into());
    }
    let scheduler = match files.text("scheduler/scheduler_config.json") {
        Ok(text) => text,
        // A file that does not say what it predicts is sound all the same.
        Err(e) if files.is_bare() => return report.notes.push(said(&e)),
        Err(e) => return report.problems.push(said(&e)),
    };
    let Ok(scheduler) = serde_json::from_str::<Value>(&scheduler) else {
        return report.problems.push("scheduler/scheduler_config.json is damaged".into());
    };
    let text = |field: &str| scheduler.get(field).and_then(Value::as_str);
    let is_flow = text("_class_name").is_some_and(|class| class.starts_with("FlowMatch"));
    report.prediction = Some(if is_flow { "flow" } else { text("prediction_type").unwrap_or("epsilon") }.into());
    match pipeline::Family::detect(files) {
        Ok(family) => {
            report.runs = Some(true);
            if family.is_turbo() {
                report.variant = Some("turbo".into());
            }
            if family.appends_picture {
                report.variant = Some("kontext".into());
            }
        }
        // What cannot be told from the tensors is no fault of the file.
        Err(e) if files.is_bare() => report.notes.push(said(&e)),
        // A model of another family or for another task is sound all the same.
        Err(e) if !is_for_text_to_image(report) => {
            report.runs = Some(false);
            report.notes.push(format!("this version does not paint with it: {e}"));
        }
        Err(e) => report.problems.push(said(&e)),
    }
}

/// Whether it is a model that `generate` runs when nothing is wrong with it.
fn is_for_text_to_image(report: &ModelReport) -> bool {
    let family = matches!(report.family, None | Some(Family::Sd1 | Family::Sd2 | Family::Sdxl));
    family && matches!(report.variant.as_deref(), None | Some("text-to-image"))
}

/// A single file with the config beside it, when there is one.
pub fn check_file(target: &str, path: &Path) -> FileReport {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let config = config_beside(path);
    check(target, &name, path, config.as_ref().map(|config| Network { config, class: None }))
}

fn config_beside(path: &Path) -> Option<String> {
    let config = path.with_file_name("config.json");
    read_small(&config).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// The error for a picture where a model is meant, and the reverse.
pub fn mixed_up(name: &str, is_picture: bool) -> Error {
    if is_picture {
        return Error::usage(format!("`{name}` is a picture, which has nothing to smoke-test"), "leave out `--smoke`");
    }
    Error::usage(
        format!("`{name}` is no picture: `--reproduce` makes pictures again"),
        "leave out `--reproduce`, or name a picture",
    )
}
