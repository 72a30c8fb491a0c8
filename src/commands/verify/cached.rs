//! `sdgen verify --all`: everything in the cache of downloaded models.

use std::fs;
use std::path::{Path, PathBuf};

use super::published::files_below;
use super::Named;
use crate::commands::inspect::{is_shard, is_weights, Target};
use crate::hub::cache::Cache;
use crate::hub::settings::Settings;
use crate::hub::{self, RepoId};
use crate::request::Parts;
use crate::{weights, Error, Result};

/// All that is to be checked: models and parts as wholes, and files of weights that belong to none.
///
/// # Errors
/// [`Error::Model`] when there is nothing.
pub fn all(settings: &Settings) -> Result<Vec<Named>> {
    let cache = Cache::new(&settings.cache);
    let mut found = Vec::new();
    for repo in cache.repos() {
        for (revision, folder) in cache.repo(&repo).snapshots() {
            found.extend(in_snapshot(&repo, &revision, &folder)?);
        }
    }
    if found.is_empty() {
        return Err(Error::model(
            format!("no model is in the cache `{}`", settings.cache.display()),
            "`sdgen download sd15` fetches one; HF_HOME or HF_HUB_CACHE say where the cache is",
        ));
    }
    Ok(found)
}

fn in_snapshot(repo: &str, revision: &str, folder: &Path) -> Result<Vec<Named>> {
    let mut files = files_below(folder);
    files.retain(|path| is_weights(path));
    // Python leaves a snapshot of the few configs that someone asked for.
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let whole = if folder.join("model_index.json").is_file() {
        let place = text(folder)?;
        Some(Target::Model(hub::resolve(&place, &Parts::default())?))
    } else {
        // A config whose weights are all further down is that of the repository, not of a part.
        let has_own = files.iter().any(|path| path.parent() == Some(folder));
        (has_own && folder.join("config.json").is_file()).then(|| Target::Part(folder.into()))
    };
    if let Some(target) = whole {
        files.retain(|path| !belongs_to(path, folder, &target));
        found.push(Named { name: name(repo, revision, None), place: text(folder)?, target });
    }
    let indexed: Vec<&Path> = files.iter().filter(|path| is_index(path)).filter_map(|path| path.parent()).collect();
    let is_covered =
        |path: &PathBuf| is_shard(&path.to_string_lossy()) && indexed.iter().any(|at| path.parent() == Some(at));
    for path in files.iter().filter(|path| !is_covered(path)) {
        let file = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
        found.push(Named {
            name: name(repo, revision, Some(&file)),
            place: text(path)?,
            target: Target::File(path.clone()),
        });
    }
    Ok(found)
}

fn is_index(path: &Path) -> bool {
    weights::is_index(&path.to_string_lossy())
}

/// Whether a file is checked with the model: in the folder of a part that the model's index names, or beside a part's config.
fn belongs_to(path: &Path, folder: &Path, whole: &Target) -> bool {
    let Some(inside) = path.parent() else { return false };
    match whole {
        Target::Part(_) => inside == folder,
        _ => inside.parent() == Some(folder) && fs::symlink_metadata(inside.join("config.json")).is_ok(),
    }
}

/// As a user would name it.
fn name(repo: &str, revision: &str, file: Option<&str>) -> String {
    RepoId { name: repo.into(), revision: revision.into(), file: file.map(Into::into) }.to_string()
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(Into::into).ok_or_else(|| {
        Error::model(format!("the path `{}` is not valid UTF-8", path.display()), "move the cache to another folder")
    })
}
