//! Models that are on this machine already: a short name or a repository becomes a place in the cache.

use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::registry::{self, Defaults, Entry};
use super::repo::{RepoId, MAIN};
use super::settings::Settings;
use super::size;
use crate::request::BUILT_IN_MODEL;
use crate::{Error, Result};

/// Files that only a whole folder has: of a model, or of one part.
const MARKS: &[&str] = &["model_index.json", "config.json"];

/// Where a model that the user named lies: a folder or a file in the cache.
///
/// # Errors
/// [`Error::Model`] when it is not there, with what fetches it.
pub fn locate(name: &str, settings: &Settings) -> Result<PathBuf> {
    if let Some(entry) = registry::by_alias(name) {
        let places = cached(entry, settings).ok_or_else(|| not_fetched(entry, name))?;
        // Of several parts that lie apart the denoiser is the first.
        return places.into_iter().next().ok_or_else(|| not_fetched(entry, name));
    }
    match RepoId::parse(name) {
        Ok(id) => in_cache(&id, settings).ok_or_else(|| not_cached(&id, settings)),
        Err(_) => Err(unknown(name)),
    }
}

/// The parts that belong to the denoiser which a short name stands for and that lie apart from it: what they are in the registry, and
/// where they lie. None for models that are one folder or file.
#[must_use]
pub fn apart(name: &str, settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let entry = registry::by_alias(name).filter(|_| Path::new(name).symlink_metadata().is_err());
    let places = entry.and_then(|entry| Some((&entry.files, cached(entry, settings)?)));
    let parts = places.into_iter().flat_map(|(files, places)| files.iter().zip(places));
    parts.skip(1).filter_map(|(file, place)| Some((file.part.as_deref()?, place))).collect()
}

/// The folder or the files of a model that has a short name; `None` unless all are there.
#[must_use]
pub fn cached(entry: &Entry, settings: &Settings) -> Option<Vec<PathBuf>> {
    if entry.files.is_empty() {
        let folders = entry.repos().filter_map(|repo| in_cache(&RepoId::of(repo), settings));
        return folders.map(|folder| vec![folder]).next();
    }
    let place = |file: &registry::KnownFile| {
        let id = RepoId { file: Some(file.path.clone()), ..RepoId::of(file.repo.as_ref().unwrap_or(&entry.repo)) };
        in_cache(&id, settings)
    };
    entry.files.iter().map(place).collect()
}

/// The folder or the file of a repository, if it is in the cache.
#[must_use]
pub fn in_cache(id: &RepoId, settings: &Settings) -> Option<PathBuf> {
    let folder = Cache::new(&settings.cache).repo(&id.name).snapshot(&id.revision)?;
    match &id.file {
        Some(file) => Some(folder.join(file)).filter(|path| path.is_file()),
        // Python leaves a snapshot of the few files that someone asked for.
        None => MARKS.iter().any(|mark| folder.join(mark).is_file()).then_some(folder),
    }
}

/// What the registry says about a model that a request names: by its short name, its repository, or the folder of that in the
/// cache.
#[must_use]
pub fn known_defaults(model: &str) -> Option<&'static Defaults> {
    if model == BUILT_IN_MODEL || Path::new(model).exists() {
        return None;
    }
    let by_repo =
        || RepoId::parse(model).ok().filter(|id| id.file.is_none()).and_then(|id| registry::by_repo(&id.name));
    registry::by_alias(model).or_else(by_repo).map(|entry| &entry.default)
}

/// That a model which has a short name is not here, with what fetches it.
pub(super) fn not_fetched(entry: &Entry, name: &str) -> Error {
    let size = entry.bytes().map(|bytes| format!(" ({})", size(bytes))).unwrap_or_default();
    let unable = if entry.supported { "" } else { "; this version can fetch, but not run it" };
    let token = if entry.gated { "; its licence has to be accepted first" } else { "" };
    Error::model(
        format!("`{name}`, {}, is not on this machine{unable}", entry.title),
        format!("`sdgen download {}` fetches it{size}{token}", entry.alias),
    )
}

fn not_cached(id: &RepoId, settings: &Settings) -> Error {
    let repo = Cache::new(&settings.cache).repo(&id.name);
    let others = repo.revisions();
    if id.revision != MAIN && repo.snapshot(MAIN).is_some() || id.revision == MAIN && !others.is_empty() {
        return Error::model(
            format!("`{id}` is not in the cache, or only in part"),
            format!("`sdgen download {id}` fetches it; in the cache: {}", others.join(", ")),
        );
    }
    let hint = match registry::by_repo(&id.name).filter(|_| id.file.is_none()) {
        Some(entry) => format!("`sdgen download {}` fetches {}", entry.alias, entry.title),
        None => format!("if it is a repository on the hub, `sdgen download {id}` fetches it; if a path, check it"),
    };
    Error::model(format!("no such model: `{id}` is neither here nor in the cache of downloaded models"), hint)
}

fn unknown(name: &str) -> Error {
    let hint = match registry::nearest(name) {
        Some(near) => format!("did you mean `{near}`? `sdgen download --list` shows all short names"),
        None => format!(
            "give a path, a name of `sdgen download --list`, or leave `--model` out for the built-in `{BUILT_IN_MODEL}` model"
        ),
    };
    Error::model(format!("no such model: `{name}` is no file, no folder and no short name"), hint)
}
