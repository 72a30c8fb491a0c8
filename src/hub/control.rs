//! [`ControlFiles`]: a ControlNet, found by what the user named: a folder, a file, a short name, a repository, or the kind of map that
//! it is shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bare::CONTROLNET;
use super::cache::name_of_snapshot;
use super::layout::{read_if_there, weight_file, WHOLE};
use super::locate::locate;
use super::model_files::Part;
use super::registry::{self, Entry, Kind};
use super::resolve::part;
use super::settings::Settings;
use super::{configs, RepoId};
use crate::nn::ParamSource;
use crate::suggest;
use crate::weights::detect::{Component, Family};
use crate::{weights, Error, Result};

/// A ControlNet's files.
#[derive(Debug, Clone)]
pub struct ControlFiles {
    part: Part,
    place: PathBuf,
    entry: Option<&'static Entry>,
}

impl ControlFiles {
    /// Finds what is named; `family` is that of the model, for which a kind stands for the common ControlNet.
    ///
    /// # Errors
    /// [`Error::Model`] when there is no such ControlNet, when it is something else, or not whole; [`Error::Weights`] when a file is
    /// damaged.
    pub fn find(name: &str, family: Family) -> Result<Self> {
        let entry = entry(name, family)?;
        let place = match (Path::new(name), entry) {
            // A link whose target is gone is a path that was meant.
            (path, _) if path.symlink_metadata().is_ok() => path.into(),
            (_, Some(entry)) => locate(&entry.alias, &Settings::from_env())?,
            (_, None) if RepoId::parse(name).is_ok() => locate(name, &Settings::from_env())?,
            (_, None) => return Err(unknown(name)),
        };
        Ok(ControlFiles { part: part(CONTROLNET, "", "--control", &place)?, place, entry })
    }

    /// The name of its folder, of its repository in the cache, or of its file without the ending. Never a path.
    #[must_use]
    pub fn name(&self) -> String {
        let whole = self.place.canonicalize().unwrap_or_else(|_| self.place.clone());
        let own = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
        let last = || own.map_or_else(|| CONTROLNET.into(), |name| name.to_string_lossy().into_owned());
        name_of_snapshot(&whole).unwrap_or_else(last)
    }

    /// Where it lies, for messages.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.part {
            Part::Folder(folder) => folder.display().to_string(),
            Part::File(file) => file.label(),
        }
    }

    /// What was found in a file without a folder, for a note: "canny.pth: a ControlNet, f16".
    #[must_use]
    pub fn found(&self) -> Option<String> {
        match &self.part {
            Part::Folder(_) => None,
            Part::File(file) => Some(format!("{}: {}", file.file_name(), file.detected)),
        }
    }

    /// The kind of map that it is shown ("canny"), as far as its short name or its own name tells.
    #[must_use]
    pub fn kind(&self) -> Option<String> {
        let known = self.entry.and_then(|entry| entry.control.clone());
        known.or_else(|| {
            let name = self.name().to_lowercase().replace(['_', '-'], "");
            registry::control_kinds().into_iter().find(|kind| name.contains(&kind.replace('-', ""))).map(Into::into)
        })
    }

    /// The family of models that a file without a folder is for, by its tensors.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        match &self.part {
            Part::Folder(_) => None,
            Part::File(file) => file.detected.family,
        }
    }

    /// Its config, read by `parse`. Of a file without a folder it is that of the model's UNet, which is given, with what the tensors tell:
    /// a ControlNet is half of its model's UNet.
    ///
    /// # Errors
    /// [`Error::Model`] when it is not there, and what `parse` refuses, told with the file.
    pub fn config<T>(&self, unet: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let (label, text) = match &self.part {
            Part::Folder(folder) => {
                let file = folder.join("config.json");
                let label = file.display().to_string();
                let missing = || Error::model(format!("`{label}` is not there"), WHOLE);
                let bytes = read_if_there(&file)?.ok_or_else(missing)?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (label, text)
            }
            Part::File(file) => (file.label(), configs::with_fields(unet, file.fields(&[Component::ControlNet]))),
        };
        parse(&text).map_err(|e| match e {
            Error::Model { message, hint } => Error::Model { message: format!("`{label}`: {message}"), hint },
            e => e,
        })
    }

    /// Its weights.
    ///
    /// # Errors
    /// [`Error::Model`] when there are none that this version reads, [`Error::Weights`] when they are damaged.
    pub fn weights(&self) -> Result<Arc<dyn ParamSource>> {
        let missing = || Error::model(format!("`{}` has no weights of a ControlNet", self.label()), WHOLE);
        match &self.part {
            Part::Folder(folder) => Ok(weights::open(&weight_file(folder).ok_or_else(missing)?)?),
            Part::File(file) => file.weights(&[Component::ControlNet], None, false)?.ok_or_else(missing),
        }
    }
}

/// What the registry has for a name: a short name, the repository of one, or a kind.
fn entry(name: &str, family: Family) -> Result<Option<&'static Entry>> {
    if Path::new(name).symlink_metadata().is_ok() {
        return Ok(None);
    }
    if let Some(entry) = registry::by_alias(name) {
        return match entry.kind {
            Kind::ControlNet => Ok(Some(entry)),
            _ => Err(Error::model(
                format!("`{name}` is {}, no ControlNet", entry.title),
                format!("models go to `--model`; ControlNets are {}", kinds()),
            )),
        };
    }
    if !registry::control_kinds().iter().any(|kind| kind.eq_ignore_ascii_case(name)) {
        return Ok(registry::by_repo(name));
    }
    registry::by_control(name, short(family)).map(Some).ok_or_else(|| {
        let mut have = registry::control_kinds();
        have.retain(|kind| registry::by_control(kind, short(family)).is_some());
        have.sort_unstable();
        Error::model(
            format!("no ControlNet for {family} and `{name}` has a short name"),
            format!("give a path or a repository; kinds for {family}: {}", have.join(", ")),
        )
    })
}

/// A family's name in the registry.
fn short(family: Family) -> &'static str {
    match family {
        Family::Sd2 => "sd2",
        Family::Sdxl | Family::SdxlRefiner | Family::SdxlEdm => "sdxl",
        Family::Sd3 => "sd3",
        Family::Flux => "flux",
        Family::Sd1 => "sd1",
    }
}

fn kinds() -> String {
    let mut kinds = registry::control_kinds();
    kinds.sort_unstable();
    format!("a path, a repository, a short name of `sdgen download --list`, or a kind: {}", kinds.join(", "))
}

fn unknown(name: &str) -> Error {
    let short = registry::all().iter().filter(|entry| entry.kind == Kind::ControlNet).flat_map(Entry::names);
    let hint = match suggest::nearest(name, registry::control_kinds().into_iter().chain(short)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("give {}", kinds()),
    };
    Error::model(format!("no such ControlNet: `{name}` is no file, no folder, no short name and no kind"), hint)
}
