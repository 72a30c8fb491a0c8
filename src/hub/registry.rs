//! The models that have a short name: `assets/registry.toml`, embedded in the binary.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::suggest;

/// A model that has a short name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The short name.
    pub alias: String,
    /// Other spellings of it.
    #[serde(default)]
    pub also: Vec<String>,
    /// What people call it.
    pub title: String,
    /// What it is.
    pub kind: Kind,
    /// Of a ControlNet, what kind of map it is shown. Of those of a family, the first is the common one.
    pub control: Option<String>,
    /// What it belongs to: `sd1`, `sd2`, `sdxl`, `sd3`, `sd35`, `flux`; `any` for annotators.
    pub family: String,
    /// Its repository on the hub.
    pub repo: String,
    /// Repositories with the same files.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// Repositories that are gone, and may lie in a cache.
    #[serde(default)]
    pub former: Vec<String>,
    /// The licence, as published. Not every model states one.
    pub licence: Option<String>,
    /// Whether a token and an accepted licence are needed.
    #[serde(default)]
    pub gated: bool,
    /// Whether this version can run it.
    #[serde(default)]
    pub supported: bool,
    /// About what a download takes, in bytes.
    bytes: Option<u64>,
    /// What is taken where a request says nothing.
    #[serde(default)]
    pub default: Defaults,
    /// What public sources say about the repository's files.
    #[serde(default)]
    pub known: Vec<KnownFile>,
    /// Exactly what is fetched; empty for what the hub lists of a folder in diffusers' layout.
    #[serde(default)]
    pub files: Vec<KnownFile>,
    /// What a user should know.
    pub note: Option<String>,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A whole model: text to image.
    Checkpoint,
    /// A whole model that also wants a mask.
    Inpaint,
    /// An autoencoder alone.
    Vae,
    /// A ControlNet.
    ControlNet,
    /// Low-rank changes to a checkpoint.
    Lora,
    /// A network that makes control maps.
    Annotator,
    /// What makes words for FLUX.1 of pictures.
    Redux,
}

impl Kind {
    /// Its name in the registry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Checkpoint => "checkpoint",
            Kind::Inpaint => "inpaint",
            Kind::Vae => "vae",
            Kind::ControlNet => "controlnet",
            Kind::Lora => "lora",
            Kind::Annotator => "annotator",
            Kind::Redux => "redux",
        }
    }
}

/// What is taken where a request says nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Width and height in pixels.
    pub size: Option<usize>,
    /// Denoising steps.
    pub steps: Option<usize>,
    /// Guidance scale.
    pub guidance: Option<f64>,
    /// The sampler that the model's own config names.
    pub scheduler: Option<String>,
}

/// A file, and what is known of it before the hub is asked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownFile {
    /// Its repository, where it is not the entry's.
    pub repo: Option<String>,
    /// Its path inside the repository.
    pub path: String,
    /// Which part of a model it is, for models whose parts lie apart: `unet`, `vae`, `clip-l`, `clip-g`, `t5`.
    pub part: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// SHA-256, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
}

/// All entries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    model: Vec<Entry>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    // The file is part of the program, and a test reads it.
    toml::from_str(include_str!("../../assets/registry.toml")).unwrap_or(Registry { model: Vec::new() })
});

/// All models that have a short name.
#[must_use]
pub fn all() -> &'static [Entry] {
    &REGISTRY.model
}

/// The model of a short name, in any spelling.
#[must_use]
pub fn by_alias(name: &str) -> Option<&'static Entry> {
    all().iter().find(|entry| entry.names().any(|alias| alias.eq_ignore_ascii_case(name)))
}

/// The model whose repository, or a mirror or former one of it, has this name. Repositories of single files hold several models.
#[must_use]
pub fn by_repo(repo: &str) -> Option<&'static Entry> {
    all().iter().find(|entry| entry.files.is_empty() && entry.repos().any(|name| name.eq_ignore_ascii_case(repo)))
}

/// What is known of a file of a repository.
#[must_use]
pub fn file_of_repo(repo: &str, path: &str) -> Option<(&'static Entry, &'static KnownFile)> {
    let lies_there = |(entry, file): &(&'static Entry, &'static KnownFile)| {
        let here = match &file.repo {
            Some(own) => own.eq_ignore_ascii_case(repo),
            None => entry.repos().any(|name| name.eq_ignore_ascii_case(repo)),
        };
        here && file.path == path
    };
    files().find(lies_there)
}

/// The file that has this content.
#[must_use]
pub fn file_by_hash(sha256: &str) -> Option<(&'static Entry, &'static KnownFile)> {
    files().find(|(_, file)| file.sha256.as_deref() == Some(sha256))
}

/// The file whose hash begins with these digits, as A1111 writes them: at least 8.
#[must_use]
pub fn file_by_short_hash(digits: &str) -> Option<(&'static Entry, &'static KnownFile)> {
    let begins = |file: &KnownFile| file.sha256.as_deref().is_some_and(|hash| hash.starts_with(digits));
    files().filter(|_| digits.len() >= 8).find(|(_, file)| begins(file))
}

/// The one content that is known under the name of a file that was published by itself; `None` for names that several contents have.
#[must_use]
pub fn file_by_name(name: &str) -> Option<(&'static Entry, &'static KnownFile)> {
    let is_called = |file: &KnownFile| file.path.rsplit('/').next() == Some(name);
    let mut found = all().iter().flat_map(|entry| entry.files.iter().map(move |file| (entry, file)));
    let first = found.find(|(_, file)| is_called(file))?;
    let same = found.filter(|(_, file)| is_called(file)).all(|(_, file)| file.sha256 == first.1.sha256);
    same.then_some(first)
}

fn files() -> impl Iterator<Item = (&'static Entry, &'static KnownFile)> {
    all().iter().flat_map(|entry| entry.known.iter().chain(&entry.files).map(move |file| (entry, file)))
}

/// Where the first file of a model whose parts lie apart is that is such a part: `org/name/file`.
#[must_use]
pub fn place_of_part(part: &str) -> Option<String> {
    let mut files = all().iter().flat_map(|entry| entry.files.iter().map(move |file| (entry, file)));
    let (entry, file) = files.find(|(_, file)| file.part.as_deref() == Some(part))?;
    Some(format!("{}/{}", file.repo.as_ref().unwrap_or(&entry.repo), file.path))
}

/// The common ControlNet of a family for a kind of map.
#[must_use]
pub fn by_control(kind: &str, family: &str) -> Option<&'static Entry> {
    let is_kind = |entry: &&Entry| entry.control.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(kind));
    all().iter().filter(|entry| entry.family == family).find(is_kind)
}

/// The kinds of maps that ControlNets are shown, longer names before those that they begin with.
#[must_use]
pub fn control_kinds() -> Vec<&'static str> {
    let mut kinds: Vec<&str> = all().iter().filter_map(|entry| entry.control.as_deref()).collect();
    kinds.sort_unstable_by(|a, b| b.cmp(a));
    kinds.dedup();
    kinds
}

/// The short name that looks most like this one.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    suggest::nearest(name, all().iter().flat_map(Entry::names))
}

impl Entry {
    /// Its short name and the other spellings of it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.alias).chain(&self.also).map(String::as_str)
    }

    /// Where it lies or lay: its repository, the mirrors, the former ones.
    pub fn repos(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.repo).chain(&self.mirrors).chain(&self.former).map(String::as_str)
    }

    /// About how many bytes a download takes, where that is known.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let total = || self.files.iter().map(|file| file.size).sum::<Option<u64>>().filter(|total| *total > 0);
        self.bytes.or_else(total)
    }
}

#[cfg(test)]
mod tests;
