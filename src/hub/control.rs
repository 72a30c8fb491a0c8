//! [`ControlFiles`]: a ControlNet, found by what the user named: a folder, a file, a short name, a repository, or the kind of map that
//! it is shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::bare::{CONTROLNET, CONTROLS};
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
use crate::weights::detect::Family;
use crate::weights::Difference;
use crate::{weights, Error, Result};

/// What the registry calls the kind of ControlNets that are for several kinds of maps.
const UNION: &str = "union";
/// The class of T2I-Adapters in diffusers.
const ADAPTER: &str = "T2IAdapter";

/// A ControlNet's files.
#[derive(Debug, Clone)]
pub struct ControlFiles {
    part: Part,
    place: PathBuf,
    entry: Option<&'static Entry>,
    /// The kind that was named, where a net for several kinds stands in for the one of that kind.
    stands_for: Option<String>,
}

impl ControlFiles {
    /// Finds what is named; `family` is that of the model, for which a kind stands for the common ControlNet.
    ///
    /// # Errors
    /// [`Error::Model`] when there is no such ControlNet, when it is something else, or not whole; [`Error::Weights`] when a file is
    /// damaged.
    pub fn find(name: &str, family: Family) -> Result<Self> {
        let (mut entry, settings) = (entry(name, family)?, Settings::from_env());
        let place = match (Path::new(name), entry) {
            // A link whose target is gone is a path that was meant.
            (path, _) if path.symlink_metadata().is_ok() => path.into(),
            (_, Some(known)) => match (locate(&known.alias, &settings), union(known, name, family)) {
                (Ok(place), _) => place,
                (Err(e), union) => {
                    let there = union.and_then(|union| Some((union, locate(&union.alias, &settings).ok()?)));
                    let (union, place) = there.ok_or(e)?;
                    entry = Some(union);
                    place
                }
            },
            (_, None) if RepoId::parse(name).is_ok() => locate(name, &settings)?,
            (_, None) => return Err(unknown(name)),
        };
        let is_union = |entry: &&Entry| entry.control.as_deref() == Some(UNION) && by_kind(name);
        let stands_for = entry.filter(is_union).map(|_| name.to_lowercase()).filter(|kind| kind != UNION);
        Ok(ControlFiles { part: part(CONTROLNET, "", "--control", &place)?, place, entry, stands_for })
    }

    /// Whether it is a T2I-Adapter.
    ///
    /// # Errors
    /// [`Error::Model`] when a folder has no config.
    pub fn is_adapter(&self) -> Result<bool> {
        match &self.part {
            Part::File(file) => Ok(file.is_adapter()),
            Part::Folder(folder) => {
                // What is damaged is told by whoever reads it whole.
                let config: Value = serde_json::from_str(&text(folder)?.1).unwrap_or_default();
                Ok(config["_class_name"] == ADAPTER)
            }
        }
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

    /// What the user should know: what was found in a file without a folder ("canny.pth: a ControlNet, f16"), and what stands in for
    /// what.
    #[must_use]
    pub fn found(&self) -> Option<String> {
        if let (Some(kind), Some(entry)) = (&self.stands_for, self.entry) {
            return Some(format!(
                "{} (`{}`) is here, and is shown the map of the kind `{kind}`",
                entry.title, entry.alias
            ));
        }
        match &self.part {
            Part::Folder(_) => None,
            Part::File(file) => {
                let added = if self.is_difference() {
                    "; it holds differences, which are added to the model's UNet"
                } else {
                    ""
                };
                Some(format!("{}: {}{added}", file.file_name(), file.detected))
            }
        }
    }

    /// The kind of map that it is shown ("canny"), as far as its short name or its own name tells.
    #[must_use]
    pub fn kind(&self) -> Option<String> {
        let known = self.stands_for.clone().or_else(|| self.entry.and_then(|entry| entry.control.clone()));
        let told = known.or_else(|| {
            let name = self.name().to_lowercase().replace(['_', '-'], "");
            registry::control_kinds().into_iter().find(|kind| name.contains(&kind.replace('-', ""))).map(Into::into)
        });
        told.filter(|kind| kind != UNION)
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
            Part::Folder(folder) => text(folder)?,
            Part::File(file) => (file.label(), configs::with_fields(unet, file.fields(CONTROLS))),
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
            Part::File(file) => file.weights(CONTROLS, None, false)?.ok_or_else(missing),
        }
    }
}

impl ControlFiles {
    /// As [`ControlFiles::weights`], but of a file that holds differences to a UNet they are added to those of `unet`.
    ///
    /// # Errors
    /// As [`ControlFiles::weights`], and what `unet` fails with.
    pub fn weights_beside(&self, unet: impl FnOnce() -> Result<Arc<dyn ParamSource>>) -> Result<Arc<dyn ParamSource>> {
        let own = self.weights()?;
        Ok(if self.is_difference() { Arc::new(Difference::new(own, unet()?)) } else { own })
    }

    fn is_difference(&self) -> bool {
        matches!(&self.part, Part::File(file) if file.is_difference())
    }
}

/// Where the `config.json` of a folder lies, and what it says.
fn text(folder: &Path) -> Result<(String, String)> {
    let file = folder.join("config.json");
    let label = file.display().to_string();
    let missing = || Error::model(format!("`{label}` is not there"), WHOLE);
    let bytes = read_if_there(&file)?.ok_or_else(missing)?;
    Ok((label, String::from_utf8_lossy(&bytes).into_owned()))
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
    if !by_kind(name) {
        return Ok(registry::by_repo(name));
    }
    let of_kind = |kind| registry::by_control(kind, short(family));
    of_kind(name).or_else(|| of_kind(UNION)).map(Some).ok_or_else(|| {
        let mut have = registry::control_kinds();
        have.retain(|kind| registry::by_control(kind, short(family)).is_some());
        have.sort_unstable();
        Error::model(
            format!("no ControlNet for {family} and `{name}` has a short name"),
            format!("give a path or a repository; kinds for {family}: {}", have.join(", ")),
        )
    })
}

/// The ControlNet for several kinds of maps that can stand in for that of one kind.
fn union(known: &Entry, name: &str, family: Family) -> Option<&'static Entry> {
    registry::by_control(UNION, short(family)).filter(|union| by_kind(name) && union.alias != known.alias)
}

/// Whether a name that is no path is that of a kind of maps.
fn by_kind(name: &str) -> bool {
    registry::control_kinds().iter().any(|kind| kind.eq_ignore_ascii_case(name))
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
