//! Presets: those of the project, of the user and of the program, and what they extend.

use std::path::{Path, PathBuf};

use super::file::{read_file, FileKind, SettingsFile};
use super::given::Layer;
use super::merge::merge;
use super::places::Surroundings;
use super::value::Base;
use crate::files::read_up_to;
use crate::{suggest, Error, Result};

/// The folder of presets, in the current folder and in that of the user's settings.
pub const FOLDER: &str = "presets";
/// What their files end with.
const ENDING: &str = "toml";
/// Bytes of a file of settings; all that anyone writes by hand are smaller.
const LARGEST: u64 = 1 << 20;

/// The presets inside the program, by their names.
static BUILT_IN: &[(&str, &str)] = &[
    ("anime", include_str!("../../presets/anime.toml")),
    ("emoji", include_str!("../../presets/emoji.toml")),
    ("fast-cpu", include_str!("../../presets/fast-cpu.toml")),
    ("flux-dev", include_str!("../../presets/flux-dev.toml")),
    ("flux-schnell", include_str!("../../presets/flux-schnell.toml")),
    ("lcm", include_str!("../../presets/lcm.toml")),
    ("lcm-sdxl", include_str!("../../presets/lcm-sdxl.toml")),
    ("low-memory", include_str!("../../presets/low-memory.toml")),
    ("photo", include_str!("../../presets/photo.toml")),
    ("pixel-art", include_str!("../../presets/pixel-art.toml")),
    ("sd-turbo", include_str!("../../presets/sd-turbo.toml")),
    ("sd15", include_str!("../../presets/sd15.toml")),
    ("sd21", include_str!("../../presets/sd21.toml")),
    ("sd35-medium", include_str!("../../presets/sd35-medium.toml")),
    ("sdxl", include_str!("../../presets/sdxl.toml")),
    ("sdxl-turbo", include_str!("../../presets/sdxl-turbo.toml")),
    ("watercolor", include_str!("../../presets/watercolor.toml")),
];

/// Where a preset lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Inside the program.
    BuiltIn,
    /// A file.
    File(PathBuf),
}

/// A preset that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub place: Place,
    /// Its text.
    pub text: String,
}

impl Preset {
    /// What lines of it are called by.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.place {
            Place::BuiltIn => format!("preset {}", self.name),
            Place::File(path) => path.display().to_string(),
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// As [`read_file`].
    pub fn read(&self, surroundings: &Surroundings) -> Result<SettingsFile> {
        let folder = match &self.place {
            Place::BuiltIn => None,
            Place::File(path) => path.parent(),
        };
        let base = Base { folder, home: surroundings.home.as_deref() };
        read_file(&self.text, &self.label(), &base, FileKind::Preset)
    }
}

/// The preset of a name: a file where it looks like a path, else the first of the project's, the user's and the program's.
///
/// # Errors
/// [`Error::Usage`] when there is none, with what is near; [`Error::Io`] when it cannot be read.
pub fn find(name: &str, surroundings: &Surroundings) -> Result<Preset> {
    if let Some(path) = as_path(name) {
        return from_file(&path);
    }
    for folder in folders(surroundings) {
        let path = folder.join(format!("{name}.{ENDING}"));
        if path.is_file() {
            return from_file(&path);
        }
    }
    built_in().find(|preset| preset.name == name).ok_or_else(|| unknown(name, surroundings))
}

/// The file that is meant, where it is one and no name.
#[must_use]
pub fn as_path(name: &str) -> Option<PathBuf> {
    let is_path = name.contains(['/', '\\']) || Path::new(name).extension().is_some_and(|ending| ending == ENDING);
    is_path.then(|| name.into())
}

/// All presets that can be named, by their names. Those that hide others come instead of them.
///
/// # Errors
/// [`Error::Io`] when one cannot be read.
pub fn all(surroundings: &Surroundings) -> Result<Vec<Preset>> {
    let mut presets: Vec<Preset> = Vec::new();
    for folder in folders(surroundings) {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in entries.filter(|path| path.extension().is_some_and(|e| e == ENDING) && path.is_file()) {
            presets.push(from_file(&path)?);
        }
    }
    presets.extend(built_in());
    // Stable: of equal names the nearest stays first.
    presets.sort_by(|a, b| a.name.cmp(&b.name));
    presets.dedup_by(|later, first| later.name == first.name);
    Ok(presets)
}

/// What a preset gives, with what it extends.
///
/// # Errors
/// As [`find`] and [`read_file`], and when presets extend each other in a circle.
pub fn layer(name: &str, surroundings: &Surroundings) -> Result<Layer> {
    let preset = find(name, surroundings)?;
    let file = preset.read(surroundings)?;
    let given = with_extended(file, &preset.label(), surroundings)?.given;
    Ok(Layer { name: format!("the preset `{name}`"), given, called: true })
}

/// A file with what it extends: its own values first.
///
/// # Errors
/// As [`layer`].
pub fn with_extended(file: SettingsFile, label: &str, surroundings: &Surroundings) -> Result<Layer> {
    let mut chain = vec![Layer { given: file.given, ..Layer::default() }];
    let (mut seen, mut extends) = (vec![label.to_string()], file.extends);
    while let Some((name, line)) = extends {
        let preset = find(&name, surroundings).map_err(|e| at_line(&seen, line, &e))?;
        if seen.contains(&preset.label()) {
            let (last, circle) = (seen.last().map_or("", String::as_str), [&seen[..], &[preset.label()]].concat());
            return Err(Error::usage(
                format!("{last}:{line}: presets extend each other in a circle: {}", circle.join(" -> ")),
                "let one of them extend nothing",
            ));
        }
        let next = preset.read(surroundings)?;
        seen.push(preset.label());
        chain.push(Layer { given: next.given, ..Layer::default() });
        extends = next.extends;
    }
    let given = merge(&std::collections::BTreeSet::new(), &chain).winners;
    Ok(Layer { given, ..Layer::default() })
}

fn at_line(seen: &[String], line: usize, e: &Error) -> Error {
    let file = seen.last().map_or("", String::as_str);
    Error::Usage { message: format!("{file}:{line}: {e}"), hint: e.hint() }
}

fn built_in() -> impl Iterator<Item = Preset> {
    let preset =
        |(name, text): &(&str, &str)| Preset { name: (*name).into(), place: Place::BuiltIn, text: (*text).into() };
    BUILT_IN.iter().map(preset)
}

/// The folders in which presets are looked for by name, the nearest first.
fn folders(surroundings: &Surroundings) -> Vec<PathBuf> {
    let here = surroundings.here.then(|| PathBuf::from(FOLDER));
    here.into_iter().chain(surroundings.user.iter().map(|user| user.join(FOLDER))).collect()
}

fn from_file(path: &Path) -> Result<Preset> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Preset { name, place: Place::File(path.into()), text: read_text(path)? })
}

/// The text of a file of settings.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, or is no text.
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = read_up_to(path, LARGEST).map_err(Error::io("read", path))?;
    let text = String::from_utf8(bytes);
    text.map_err(|e| Error::io("read", path)(std::io::Error::new(std::io::ErrorKind::InvalidData, e.utf8_error())))
}

fn unknown(name: &str, surroundings: &Surroundings) -> Error {
    let names = all(surroundings).unwrap_or_default();
    let hint = match suggest::nearest(name, names.iter().map(|preset| preset.name.as_str())) {
        Some(near) => format!("did you mean `{near}`? `sdgen preset list` shows all"),
        None => "`sdgen preset list` shows all; a file is named by its path, as `./mine.toml`".into(),
    };
    Error::usage(format!("there is no preset `{name}`"), hint)
}
