//! [`Job`]: files of one repository at one commit, on their way into the cache.
//!
//! All content is fetched first, then linked, and the revision is named last: until then nobody finds it, so that what is half
//! there never looks whole.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Mutex, PoisonError};
use std::thread;

use super::client::{Client, Subject};
use super::listing::{self, file_url, Listing};
use super::select::{self, Weights, MODEL_INDEX};
use super::transfer::Transfer;
use super::{DownloadError, Event, Report};
use crate::hub::cache::{Cache, RepoCache};
use crate::hub::digest::Digest;
use crate::hub::registry::KnownFile;
use crate::hub::RepoId;
use crate::{suggest, Error, Result};

/// Files fetched at once.
const CONNECTIONS: usize = 4;

/// Room that is left on the disk.
const MARGIN: u64 = 64 << 20;

/// A file that will be in the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct NeededFile {
    /// Its path inside the repository.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// What its content is.
    pub digest: Digest,
    /// Whether it is in the cache.
    pub here: bool,
    /// Bytes of it that an earlier attempt left.
    pub arrived: u64,
}

/// Files of one repository at one commit.
#[derive(Debug, Clone)]
pub struct Job {
    /// The repository.
    pub id: RepoId,
    /// The commit.
    pub commit: String,
    /// The files, largest first.
    pub files: Vec<NeededFile>,
}

impl Job {
    /// Asks the hub which files are needed: `paths`, the one file that `id` names, or what makes a model.
    ///
    /// # Errors
    /// When the hub does not show the repository, or it holds no model.
    pub fn plan(client: &Client, id: &RepoId, paths: &[&str], weights: Weights, report: Report<'_>) -> Result<Self> {
        let listing = listing::list(client, id, report)?;
        let all: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
        let wanted: Vec<String> = match &id.file {
            Some(file) => vec![file.clone()],
            None if !paths.is_empty() => paths.iter().map(|path| (*path).to_string()).collect(),
            None => choose(client, id, &listing.commit, &all, weights, report)?,
        };
        let cache = Cache::new(&client.settings.cache).repo(&id.name);
        let mut seen = HashSet::new();
        let mut files = Vec::new();
        for path in wanted.into_iter().filter(|path| seen.insert(path.clone())) {
            let listed = listing.files.iter().find(|file| file.path == path);
            let mut listed = listed.cloned().ok_or_else(|| no_such_file(client, id, &path, &all))?;
            Listing::complete(client, &id.name, &listing.commit, &mut listed, report)?;
            let (Some(size), Some(digest)) = (listed.size, listed.digest) else { continue };
            let here = is_whole(&cache.blob(digest.hex()), size);
            let part = fs::metadata(cache.blob(&part_name(digest.hex())));
            files.push(NeededFile { path, size, digest, here, arrived: part.map_or(0, |part| part.len()) });
        }
        files.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
        Ok(Job { id: id.clone(), commit: listing.commit, files })
    }

    /// Files whose content is not what the registry knows.
    #[must_use]
    pub fn changed<'a>(&'a self, known: &'a [KnownFile]) -> Vec<&'a str> {
        let differs = |file: &&NeededFile| {
            let known = known.iter().find(|known| known.path == file.path).and_then(|known| known.sha256.as_deref());
            known.is_some_and(|sha256| matches!(&file.digest, Digest::Sha256(hex) if hex != sha256))
        };
        self.files.iter().filter(differs).map(|file| file.path.as_str()).collect()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Bytes of the files that are in the cache.
    #[must_use]
    pub fn bytes_here(&self) -> u64 {
        self.files.iter().filter(|file| file.here).map(|file| file.size).sum()
    }

    /// Bytes that have to come from the network.
    #[must_use]
    pub fn bytes_missing(&self) -> u64 {
        self.files.iter().filter(|file| !file.here).map(|file| file.size.saturating_sub(file.arrived)).sum()
    }

    /// Fetches what is missing, several files at once, and returns where the repository's files are.
    ///
    /// # Errors
    /// The first failure. What has arrived is kept, and nothing of it can be mistaken for the whole.
    pub fn run(&self, client: &Client, on_event: &mut dyn FnMut(Event)) -> Result<PathBuf> {
        let cache = Cache::new(&client.settings.cache).repo(&self.id.name);
        let blobs = cache.blob("");
        fs::create_dir_all(&blobs).map_err(Error::io("create", &blobs))?;
        self.fetch_all(client, &cache, on_event)?;
        for file in &self.files {
            cache.link(&self.commit, &file.path, file.digest.hex())?;
        }
        cache.name_commit(&self.id.revision, &self.commit)?;
        Ok(cache.snapshot_folder(&self.commit))
    }

    fn fetch_all(&self, client: &Client, cache: &RepoCache, on_event: &mut dyn FnMut(Event)) -> Result<()> {
        let missing: Vec<&NeededFile> = self.files.iter().filter(|file| !file.here).collect();
        let (next, stop, failure) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
        let (sender, events) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS.min(missing.len()) {
                let sender = sender.clone();
                let (missing, next, stop, failure) = (&missing, &next, &stop, &failure);
                scope.spawn(move || {
                    // The listener hears all until the last sender is gone.
                    let report = |event| drop(sender.send(event));
                    while let Some(file) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        if let Err(e) = self.fetch(client, cache, file, stop, &report) {
                            // Told before the others stop: they would say that they were interrupted.
                            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
            drop(sender);
            events.into_iter().for_each(&mut *on_event);
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Fetches a file's content, unless another process just did.
    fn fetch(
        &self,
        client: &Client,
        cache: &RepoCache,
        file: &NeededFile,
        stop: &AtomicBool,
        report: Report<'_>,
    ) -> Result<()> {
        let hash = file.digest.hex();
        let (blob, part) = (cache.blob(hash), cache.blob(&part_name(hash)));
        let lock = cache.lock_file(hash)?;
        let _held = hold(&lock, &file.path, report)?;
        if is_whole(&blob, file.size) {
            report(Event::Bytes(file.size as i64));
        } else {
            let transfer = Transfer {
                url: file_url(client, &self.id.name, &self.commit, &file.path),
                subject: Subject { repo: Some(self.id.name.clone()), what: format!("file `{}`", file.path) },
                name: file.path.clone(),
                size: Some(file.size),
                digest: Some(file.digest.clone()),
                validator: None,
                part: part.clone(),
                stop,
            };
            transfer.run(client, report)?;
            fs::rename(&part, &blob).map_err(Error::io("write", &blob))?;
        }
        report(Event::File { name: file.path.clone(), bytes: file.size, digest: file.digest.clone() });
        Ok(())
    }
}

/// Checks that the disk has room for so many bytes more; none need no room.
///
/// # Errors
/// [`DownloadError::Space`] when it does not. Where the system cannot tell, the download will.
pub fn check_space(folder: &Path, need: u64) -> Result<()> {
    let existing = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    match fs4::available_space(existing) {
        Ok(have) if need > 0 && have < need.saturating_add(MARGIN) => {
            Err(DownloadError::Space { need, have, place: folder.into() }.into())
        }
        _ => Ok(()),
    }
}

/// Holds a lock until it is dropped; waits while another process has it.
pub fn hold(path: &Path, name: &str, report: Report<'_>) -> Result<File> {
    let file =
        File::options().create(true).truncate(false).write(true).open(path).map_err(Error::io("create", path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            report(Event::Note(format!("another process is fetching `{name}`: waiting for it")));
            if file.lock().is_ok() {
                return Ok(file);
            }
        }
        Err(fs::TryLockError::Error(_)) => {}
    }
    // Some network file systems have no locks. The checksum still tells if two processes wrote to one file.
    report(Event::Detail(format!("`{}` cannot be locked", path.display())));
    Ok(file)
}

/// Where a content is kept while it is not whole: as older versions of Python's client have it.
fn part_name(hash: &str) -> String {
    format!("{hash}.incomplete")
}

fn is_whole(blob: &Path, size: u64) -> bool {
    fs::metadata(blob).is_ok_and(|blob| blob.is_file() && blob.len() == size)
}

/// What makes a model among all files of a repository.
fn choose(
    client: &Client,
    id: &RepoId,
    commit: &str,
    all: &[&str],
    weights: Weights,
    report: Report<'_>,
) -> Result<Vec<String>> {
    if all.contains(&MODEL_INDEX) {
        let subject = Subject { repo: Some(id.name.clone()), what: format!("file `{MODEL_INDEX}`") };
        let index = client.text(&file_url(client, &id.name, commit, MODEL_INDEX), &subject, report)?;
        return select::model(all, &listing::components(&index)?, weights);
    }
    if all.contains(&"config.json") {
        return select::part(all, "", weights);
    }
    Ok(vec![select::single(&id.name, all)?])
}

fn no_such_file(client: &Client, id: &RepoId, path: &str, all: &[&str]) -> Error {
    let hint = match (suggest::nearest(path, all.iter().copied()), all) {
        (Some(near), _) => format!("did you mean `{}/{near}`?", id.name),
        (None, []) => "the repository is empty".into(),
        (None, all) => format!("the repository has {} files, `{}` among them", all.len(), all[0]),
    };
    let host = super::address::host(&client.settings.endpoint);
    DownloadError::Missing { host, what: format!("file `{path}` in `{}` at `{}`", id.name, id.revision), hint }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was all there once was refused on a full disk. The one of `/proc` has no room at any time.
    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_more_fits_on_a_full_disk() {
        assert!(check_space(Path::new("/proc"), 1).is_err());
        check_space(Path::new("/proc"), 0).unwrap();
    }
}
