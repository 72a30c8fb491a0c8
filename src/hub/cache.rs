//! The cache of repositories that Python's `huggingface_hub` keeps, in its layout: what Python fetched is found here, and what
//! is fetched here is found by Python.
//!
//! ```text
//! models--org--name/blobs/HASH             each file's content once, under its SHA-256 (or git hash, when it is small)
//! models--org--name/refs/main              the commit that the branch is at
//! models--org--name/snapshots/COMMIT/...   the repository's files: links to the blobs
//! .locks/models--org--name/HASH.lock       held by whoever fetches a blob
//! ```

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::Builder;

use super::repo::{is_inside, MAIN};
use crate::{Error, Result};

/// A folder of repositories.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// One repository in the cache. It need not be there.
#[derive(Debug, Clone)]
pub struct RepoCache {
    folder: PathBuf,
    locks: PathBuf,
}

impl Cache {
    /// The cache in a folder.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Cache { root: root.into() }
    }

    /// A repository, `org/name`.
    #[must_use]
    pub fn repo(&self, name: &str) -> RepoCache {
        let folder = format!("models--{}", name.replace('/', "--"));
        RepoCache { locks: self.root.join(".locks").join(&folder), folder: self.root.join(folder) }
    }

    /// The names of all repositories of models here, sorted.
    #[must_use]
    pub fn repos(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| repo_of_folder(&entry.path())).collect();
        names.sort();
        names
    }
}

impl RepoCache {
    /// The files of a revision: a branch, a tag or a whole commit. `None` when it is not here.
    #[must_use]
    pub fn snapshot(&self, revision: &str) -> Option<PathBuf> {
        if !is_inside(revision) {
            return None;
        }
        let named = fs::read_to_string(self.folder.join("refs").join(revision)).ok();
        let commit = named.as_deref().map_or(revision, str::trim);
        let folder = self.snapshot_folder(commit);
        (is_inside(commit) && !commit.contains('/') && folder.is_dir()).then_some(folder)
    }

    /// The revisions that have a name here, sorted.
    #[must_use]
    pub fn revisions(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("refs")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The commits that are here, each under the revision that leads to it, or under its own name; sorted.
    #[must_use]
    pub fn snapshots(&self) -> Vec<(String, PathBuf)> {
        let mut revisions = self.revisions();
        revisions.sort_by_key(|revision| revision != MAIN);
        let entries = fs::read_dir(self.folder.join("snapshots")).into_iter().flatten().flatten();
        let folders = entries.map(|entry| entry.path()).filter(|folder| folder.is_dir());
        let named = folders.filter_map(|folder| {
            let leads_here = |revision: &&String| self.snapshot(revision).as_ref() == Some(&folder);
            let name = match revisions.iter().find(leads_here) {
                Some(revision) => revision.clone(),
                None => folder.file_name()?.to_str()?.to_string(),
            };
            Some((name, folder))
        });
        let mut named: Vec<_> = named.collect();
        named.sort();
        named
    }

    /// Where the files of a commit are.
    #[must_use]
    pub fn snapshot_folder(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Where the content of this hash is, or would be.
    #[must_use]
    pub fn blob(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(hash)
    }

    /// The file that is locked while the content of this hash is fetched. Its folder is made.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn lock_file(&self, hash: &str) -> Result<PathBuf> {
        fs::create_dir_all(&self.locks).map_err(Error::io("create", &self.locks))?;
        Ok(self.locks.join(format!("{hash}.lock")))
    }

    /// Shows the blob of this hash as a file of a commit.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn link(&self, commit: &str, file: &str, hash: &str) -> Result<()> {
        let place = self.snapshot_folder(commit).join(file);
        let folder = place.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let up = "../".repeat(2 + file.split('/').count() - 1);
        let target = format!("{up}blobs/{hash}");
        if fs::read_link(&place).is_ok_and(|old| old == Path::new(&target)) && place.exists() {
            return Ok(());
        }
        // Made beside its place and renamed: another process sees the old file or the new one.
        let made =
            Builder::new().prefix(".link-").make_in(folder, |path| link_or_copy(&target, &self.blob(hash), path));
        let made = made.map_err(Error::io("create", &place))?;
        made.persist(&place).map(drop).map_err(|e| Error::io("create", &place)(e.error))
    }

    /// Names a commit: from now on, the revision is found.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn name_commit(&self, revision: &str, commit: &str) -> Result<()> {
        // A commit needs no name.
        if revision == commit {
            return Ok(());
        }
        let place = self.folder.join("refs").join(revision);
        let folder = place.parent().unwrap_or(&self.folder);
        let write = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            // Made by hand for the permissions of any new file: a cache may be shared.
            let fill = |path: &Path| fs::File::create_new(path).and_then(|mut file| file.write_all(commit.as_bytes()));
            let made = Builder::new().prefix(".ref-").make_in(folder, fill)?;
            made.persist(&place).map(drop).map_err(|e| e.error)
        };
        write().map_err(Error::io("write", &place))
    }
}

/// A symbolic link, or where there are none (Windows without developer mode), the content once more.
fn link_or_copy(target: &str, blob: &Path, place: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(target, place);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(target.replace('/', "\\"), place);
    #[cfg(not(any(unix, windows)))]
    let linked: io::Result<()> = Err(ErrorKind::Unsupported.into());
    match linked {
        // The name is taken: another one is tried.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(e),
        Err(_) => fs::hard_link(blob, place).or_else(|_| fs::copy(blob, place).map(drop)),
        Ok(()) => Ok(()),
    }
}

/// The repository's own name (without its owner's) for the folder of a snapshot, whose name is a commit.
#[must_use]
pub fn name_of_snapshot(folder: &Path) -> Option<String> {
    let parent = folder.parent().filter(|parent| parent.ends_with("snapshots"))?;
    let repo = repo_of_folder(parent.parent()?)?;
    Some(repo.rsplit('/').next().unwrap_or(&repo).to_string())
}

/// The repository whose folder in the cache this is, `org/name`; the oldest of the hub have no owner.
#[must_use]
pub fn repo_of_folder(folder: &Path) -> Option<String> {
    Some(folder.file_name()?.to_str()?.strip_prefix("models--")?.replacen("--", "/", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_linked_and_named_as_python_does() {
        let root = tempfile::tempdir().unwrap();
        let repo = Cache::new(root.path()).repo("org/name");
        assert!(repo.snapshot("main").is_none());
        fs::create_dir_all(repo.blob("")).unwrap();
        fs::write(repo.blob("abc"), "content").unwrap();
        for _ in 0..2 {
            repo.link("c0ffee", "unet/config.json", "abc").unwrap();
            repo.link("c0ffee", "model_index.json", "abc").unwrap();
        }
        assert!(repo.snapshot("main").is_none(), "not named yet");
        repo.name_commit("main", "c0ffee").unwrap();
        repo.name_commit("refs/pr/1", "c0ffee").unwrap();
        let folder = root.path().join("models--org--name/snapshots/c0ffee");
        for revision in ["main", "refs/pr/1", "c0ffee"] {
            assert_eq!(repo.snapshot(revision).as_ref(), Some(&folder), "{revision}");
        }
        assert_eq!(fs::read_to_string(folder.join("unet/config.json")).unwrap(), "content");
        assert_eq!(fs::read_to_string(folder.join("model_index.json")).unwrap(), "content");
        #[cfg(unix)]
        {
            let link = |file: &str| fs::read_link(folder.join(file)).unwrap();
            assert_eq!(link("unet/config.json"), Path::new("../../../blobs/abc"));
            assert_eq!(link("model_index.json"), Path::new("../../blobs/abc"));
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing temporary stays");
        assert_eq!(repo.revisions(), ["main", "refs"]);
        fs::create_dir(repo.snapshot_folder("0ther")).unwrap();
        assert_eq!(
            repo.snapshots(),
            [("0ther".into(), repo.snapshot_folder("0ther")), ("main".into(), folder.clone())]
        );
        assert_eq!(Cache::new(root.path()).repos(), ["org/name"]);
        assert_eq!(name_of_snapshot(&folder).as_deref(), Some("name"));
        assert_eq!(name_of_snapshot(root.path()), None);
    }

    #[test]
    fn a_reference_that_climbs_leads_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let repo = Cache::new(root.path()).repo("org/name");
        for (revision, commit) in [("main", "../../.."), ("a", "c/../.."), ("b", "")] {
            repo.name_commit(revision, commit).unwrap();
            fs::create_dir_all(repo.snapshot_folder("c")).unwrap();
            assert!(repo.snapshot(revision).is_none(), "{commit}");
        }
        assert!(repo.snapshot("../refs").is_none());
    }
}
