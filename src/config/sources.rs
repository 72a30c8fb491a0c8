//! The layers of a run: what is read, in which order.

use std::path::{Path, PathBuf};

use super::file::{read_file, FileKind};
use super::given::Layer;
use super::places::{Surroundings, FILE_NAME};
use super::preset;
use super::value::Base;
use super::variables::read_variables;
use crate::Result;

/// What the command line says about where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A preset.
    pub preset: Option<String>,
    /// Neither that, nor one that a variable or a file names: the command has nothing that presets are about, and may be the one that
    /// lists them.
    pub no_preset: bool,
    /// A file instead of the project's and the user's.
    pub file: Option<PathBuf>,
    /// Neither of those.
    pub no_files: bool,
}

/// All that a run takes settings from besides the command line, nearest first, and warnings.
///
/// # Errors
/// [`crate::Error::Usage`] for what is wrong in one of them, [`crate::Error::Io`] for a file that cannot be read.
pub fn gather(
    sources: &Sources,
    recipe: Option<Layer>,
    surroundings: &Surroundings,
) -> Result<(Vec<Layer>, Vec<String>)> {
    let (variables, warnings) = read_variables(&surroundings.variables)?;
    let mut layers = vec![variables];
    layers.extend(recipe);
    let named = || surroundings.variable("SDGEN_PRESET").map(|name| name.to_string_lossy().into_owned());
    let preset = sources.preset.clone().or_else(named).filter(|_| !sources.no_preset);
    if let Some(name) = preset {
        layers.push(preset::layer(&name, surroundings)?);
    }
    for (path, name) in files(sources, surroundings) {
        let folder = path.parent();
        let base = Base { folder, home: surroundings.home.as_deref() };
        let file = read_file(&preset::read_text(&path)?, &name, &base, FileKind::Settings)?;
        let layer = if sources.no_preset {
            Layer { given: file.given, ..Layer::default() }
        } else {
            preset::with_extended(file, &name, surroundings)?
        };
        layers.push(Layer { name, called: sources.file.is_some(), ..layer });
    }
    Ok((layers, warnings))
}

/// The files of settings that count, with what they are called.
fn files(sources: &Sources, surroundings: &Surroundings) -> Vec<(PathBuf, String)> {
    if sources.no_files {
        return Vec::new();
    }
    let named = sources.file.clone().or_else(|| surroundings.variable("SDGEN_CONFIG_FILE").map(PathBuf::from));
    let usual = || {
        let here = surroundings.here.then(|| Path::new(FILE_NAME).to_path_buf());
        let user = surroundings.user.as_ref().map(|user| user.join(FILE_NAME));
        // A link whose target is gone is a file that was meant.
        here.into_iter().chain(user).filter(|path| path.symlink_metadata().is_ok()).collect()
    };
    let paths: Vec<PathBuf> = named.map_or_else(usual, |path| vec![path]);
    let called = |path: PathBuf| {
        let name = path.display().to_string();
        (path, name)
    };
    paths.into_iter().map(called).collect()
}
