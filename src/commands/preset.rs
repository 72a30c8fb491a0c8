//! `sdgen preset`: lists presets, shows one, writes one.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::preset::{ListArgs, PresetAction, SaveArgs, ShowArgs};
use crate::cli::PresetArgs;
use crate::config::preset::{self, Place};
use crate::config::setting::Kind;
use crate::config::{to_toml, Given, Surroundings};
use crate::image::{write_atomic, Collision};
use crate::request::Lora;
use crate::ui::Ui;
use crate::{Error, Result};

/// Does what the arguments ask for.
///
/// # Errors
/// [`Error::Usage`] for a preset that is not there or wrong, [`Error::Io`] for one that cannot be read or written.
pub fn preset(args: &PresetArgs, ui: &mut Ui) -> Result<()> {
    let surroundings = Surroundings::of_process();
    match &args.action {
        PresetAction::List(args) => list(args, &surroundings, ui),
        PresetAction::Show(args) => show(args, &surroundings, ui),
        PresetAction::Save(args) => save(args, &surroundings, ui),
    }
}

/// A line each: the name, what it is for, and its file where it has one.
fn list(args: &ListArgs, surroundings: &Surroundings, ui: &mut Ui) -> Result<()> {
    let presets = preset::all(surroundings)?;
    let widest = presets.iter().map(|preset| preset.name.chars().count()).max().unwrap_or(0);
    for preset in &presets {
        let file = preset.read(surroundings)?;
        let description = file.description.unwrap_or_default();
        let place = match &preset.place {
            Place::BuiltIn => None,
            Place::File(path) => Some(path.display().to_string()),
        };
        if args.general.json {
            let fields = json!({ "name": preset.name, "description": description, "file": place });
            ui.event("preset", fields);
        } else {
            let place = place.map(|path| format!(" ({path})")).unwrap_or_default();
            ui.data(format!("{:widest$}  {description}{place}", preset.name).trim_end());
        }
    }
    Ok(())
}

/// What it sets, and the line of which file does.
fn show(args: &ShowArgs, surroundings: &Surroundings, ui: &mut Ui) -> Result<()> {
    let layer = preset::layer(&args.name, surroundings)?;
    if args.general.json {
        let value = |given: &Given| json!({ "name": given.setting.name(), "value": crate::config::value(given) });
        ui.event("preset", json!({ "name": args.name, "settings": layer.given.iter().map(value).collect::<Vec<_>>() }));
    } else {
        to_toml(&layer.given, true).lines().for_each(|line| ui.data(line));
    }
    Ok(())
}

fn save(args: &SaveArgs, surroundings: &Surroundings, ui: &mut Ui) -> Result<()> {
    args.options.check()?;
    if args.options.paint.recipe.from.is_some() {
        let hint = "write its settings into a file: `sdgen config --from PICTURE > mine.toml`";
        return Err(Error::usage("a preset is made of options, not of a recipe", hint));
    }
    let extends = args.options.paint.recipe.preset.as_deref();
    if let Some(name) = extends {
        preset::layer(name, surroundings)?;
    }
    let given: Vec<Given> = args.options.given.iter().map(with_whole_paths).collect();
    if let Some(local) = given.iter().find(|given| given.setting.local) {
        let message = format!("`--{}` is about this machine, and presets are for any", local.setting.option);
        return Err(Error::usage(message, "leave it out here, and write it into sdgen.toml or give it each time"));
    }
    if given.is_empty() && extends.is_none() {
        let hint = "give the options that it is to set: `sdgen preset save mine --steps 40`";
        return Err(Error::usage("there is nothing to save", hint));
    }
    let path = path_of(&args.name, surroundings)?;
    let mut text = String::new();
    for (key, value) in [("description", args.description.as_deref()), ("extends", extends)] {
        if let Some(value) = value {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{key} = {}", toml::Value::from(value));
        }
    }
    text += &to_toml(&given, false);
    let name = path.display().to_string();
    if path.exists() && !args.replace {
        let message = format!("there is a preset `{name}` already");
        return Err(Error::usage(message, "give another name, or `--replace`"));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    write_atomic(&path, text.as_bytes(), Collision::Replace)?;
    ui.data(&name);
    Ok(())
}

/// A path where it looks like one, else a file in the user's folder.
fn path_of(name: &str, surroundings: &Surroundings) -> Result<PathBuf> {
    if let Some(path) = preset::as_path(name) {
        return Ok(path);
    }
    let user = surroundings
        .user
        .as_ref()
        .ok_or_else(|| Error::usage("there is no folder for a user's settings", "give a file: `presets/mine.toml`"))?;
    Ok(user.join(preset::FOLDER).join(format!("{name}.toml")))
}

/// Paths that were typed are of the current folder, which the file does not know.
fn with_whole_paths(given: &Given) -> Given {
    let whole = |path: &str| match std::path::absolute(path) {
        Ok(whole) if Path::new(path).exists() => whole.to_string_lossy().into_owned(),
        _ => path.to_string(),
    };
    let texts = given.texts.iter().map(|text| match given.setting.kind {
        Kind::Path | Kind::Paths => whole(text),
        Kind::Loras => match text.parse::<Lora>() {
            Ok(lora) => format!("{}{}", whole(&lora.file), text.strip_prefix(&lora.file).unwrap_or_default()),
            Err(_) => text.clone(),
        },
        _ => text.clone(),
    });
    Given { texts: texts.collect(), ..given.clone() }
}
