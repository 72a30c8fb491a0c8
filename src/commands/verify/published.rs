//! What was published of a file: the checksum that its content should have, and its licence. The cache names contents after their
//! checksums, and the registry knows some files by their places, names or contents.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::report::{FileReport, ModelReport};
use crate::commands::inspect::is_weights;
use crate::hub::registry::{self, Entry, KnownFile};
use crate::hub::{licence_of_readme, Digest, ModelFiles, Origin};
use crate::weights::WeightFile;

/// Words of metadata that name a licence: the model specification's, diffusers' and GGUF's.
const LICENCE_WORDS: [&str; 4] = ["modelspec.license", "license", "licence", "general.license"];

/// The comparison of a file with what was published.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The checksum that it should have.
    pub published: Option<String>,
    /// That it has another.
    pub problem: Option<String>,
    /// That the registry knows another content.
    pub note: Option<String>,
}

/// Compares a file, whose SHA-256 is known if it could be read, with what was published.
pub fn compare(path: &Path, sha256: Option<&str>) -> Comparison {
    let origin = Origin::of(path);
    let known = known(path, origin.as_ref());
    let Some((blob, digest)) = origin.as_ref().and_then(|origin| origin.blob.as_ref()) else {
        return with_registry(path, sha256, origin.as_ref(), known);
    };
    let is_other = |file: &KnownFile| file.sha256.as_deref().is_some_and(|known| known != digest.hex());
    let changed = known.filter(|(_, file)| matches!(digest, Digest::Sha256(_)) && is_other(file));
    let note = changed.map(|(entry, _)| format!("`{}` changed since this version was made", entry.repo));
    let published = Some(digest.hex().to_string());
    let found = match (digest, sha256) {
        (Digest::Sha256(_), Some(sha256)) => Some(sha256.to_string()),
        _ => Digest::of_file(path, digest).ok().map(|found| found.hex().to_string()),
    };
    let problem = found.filter(|found| found != digest.hex()).map(|found| {
        let repo = origin.as_ref().map_or("", |origin| &origin.repo);
        let (kind, need, blob) = (digest.kind(), digest.hex(), blob.display());
        format!(
            "wrong content: its {kind} is {found}, the hub's is {need} (delete `{blob}` and `sdgen download {repo}`)"
        )
    });
    Comparison { published, problem, note }
}

fn with_registry(
    path: &Path,
    sha256: Option<&str>,
    origin: Option<&Origin>,
    known: Option<(&Entry, &KnownFile)>,
) -> Comparison {
    let Some(((entry, file), need)) = known.and_then(|known| Some((known, known.1.sha256.as_deref()?))) else {
        return Comparison::default();
    };
    let published = Some(need.to_string());
    let Some(found) = sha256.filter(|found| *found != need) else {
        return Comparison { published, ..Comparison::default() };
    };
    let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    // A name is little evidence: what has another size is another file.
    if origin.is_none() && file.size.is_none_or(|size| size != bytes) {
        let repo = file.repo.as_ref().unwrap_or(&entry.repo);
        let note = format!("it is not the file of this name in `{repo}`, whose SHA-256 is {need}");
        return Comparison { note: Some(note), ..Comparison::default() };
    }
    let alias = &entry.alias;
    let problem = format!("wrong content: its SHA-256 is {found}, the published is {need} (`sdgen download {alias}`)");
    Comparison { published, problem: Some(problem), note: None }
}

/// What the registry knows of a file: by its place in the cache, or by a name that one file alone has.
fn known(path: &Path, origin: Option<&Origin>) -> Option<(&'static Entry, &'static KnownFile)> {
    match origin {
        Some(origin) => registry::file_of_repo(&origin.repo, origin.path.as_deref()?),
        None => registry::file_by_name(path.file_name()?.to_str()?),
    }
}

/// Adds to the report of a file what was published.
pub fn add(report: &mut FileReport, path: &Path, opened: Option<&WeightFile>) {
    let own = compare(path, report.sha256.as_deref());
    report.published = own.published;
    report.problems.extend(own.problem);
    report.notes.extend(own.note);
    for shard in &mut report.shards {
        let compared = compare(&path.with_file_name(&shard.file), shard.sha256.as_deref());
        shard.published = compared.published;
        let named = |text: String| format!("{}: {text}", shard.file);
        report.problems.extend(compared.problem.map(named));
        report.notes.extend(compared.note.map(named));
    }
    let origin = Origin::of(path);
    let folder = origin.as_ref().and_then(|origin| origin.snapshot.clone());
    let by_content = report.sha256.as_deref().and_then(registry::file_by_hash);
    let of_file = |(entry, file): (&Entry, &KnownFile)| entry.licence.clone().filter(|_| file.repo.is_none());
    let of_metadata = || {
        let value = |word: &&str| opened?.metadata.get(*word).map(|value| value.trim().to_string());
        LICENCE_WORDS.iter().find_map(value).filter(|value| !value.is_empty())
    };
    report.licence = by_content
        .or_else(|| known(path, origin.as_ref()).filter(|_| origin.is_some()))
        .and_then(of_file)
        .or_else(|| origin.as_ref().and_then(|origin| registry::by_repo(&origin.repo)?.licence.clone()))
        .or_else(|| licence_of_readme(&folder?))
        .or_else(of_metadata);
}

/// The licence of a model, whose files' reports are known.
pub fn licence_of_model(files: &ModelFiles, reports: &[FileReport]) -> Option<String> {
    if files.is_built_in() {
        return Some(env!("CARGO_PKG_LICENSE").into());
    }
    // Parts of other models are under other licences; the denoiser is what a model is.
    let main = |file: &&FileReport| file.file.starts_with("unet/") || file.file.starts_with("transformer/");
    let of_files = || reports.iter().find(main).and_then(|file| file.licence.clone());
    of_files().or_else(|| licence_of_readme(files.folder()?))
}

/// Compares the small files of a model in the cache (configs, vocabularies) with the names of their contents.
pub fn check_small_files(report: &mut ModelReport, files: &ModelFiles) {
    let Some(folder) = files.folder().filter(|folder| Origin::of(folder).is_some()) else { return };
    let mut seen = HashSet::new();
    for path in files_below(folder).iter().filter(|path| !is_weights(path)) {
        let target = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !seen.insert(target) {
            continue;
        }
        let name = path.strip_prefix(folder).unwrap_or(path).display();
        let compared = compare(path, None);
        report.problems.extend(compared.problem.map(|problem| format!("{name}: {problem}")));
        if !path.is_file() {
            report.problems.push(format!("{name}: it is a link to a content that is not there"));
        }
    }
}

/// All files below a folder of the cache, links that lead nowhere too, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => files.push(entry.path()),
            }
        }
    }
    files.sort_unstable();
    files
}
