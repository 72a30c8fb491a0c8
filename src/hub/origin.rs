//! [`Origin`]: where a file came from, as far as its place in the cache tells.

use std::path::{Path, PathBuf};

use super::cache::repo_of_folder;
use super::digest::Digest;

/// What the cache says about a file in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The repository, `org/name`.
    pub repo: String,
    /// The file's path inside the repository; absent for a content that was named by itself.
    pub path: Option<String>,
    /// The files of the repository, when the file is one of them.
    pub snapshot: Option<PathBuf>,
    /// The content, which the cache names after its checksum; absent where the system has no links and files are copies.
    pub blob: Option<(PathBuf, Digest)>,
}

impl Origin {
    /// Of a file, or of the folder of a repository or a part of it; `None` for what lies elsewhere.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        // Links above the file are followed, the one that it is leads to its content.
        let name = path.file_name()?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let place = parent.canonicalize().ok()?.join(name);
        let snapshot = place.ancestors().find(|folder| is_snapshot(folder));
        let blob = place.canonicalize().ok().and_then(|blob| {
            let repo = blob.parent().filter(|folder| folder.ends_with("blobs"))?.parent().and_then(repo_of_folder)?;
            let digest = Digest::parse(blob.file_name()?.to_str()?)?;
            Some((repo, (blob, digest)))
        });
        let repo = snapshot.and_then(|folder| repo_of_folder(folder.parent()?.parent()?));
        let (repo_of_blob, blob) = blob.unzip();
        Some(Origin {
            repo: repo.or(repo_of_blob)?,
            path: snapshot.and_then(|folder| Some(place.strip_prefix(folder).ok()?.to_str()?.replace('\\', "/"))),
            snapshot: snapshot.map(Into::into),
            blob,
        })
    }
}

/// Whether a folder has the place that a commit's files have.
fn is_snapshot(folder: &Path) -> bool {
    let snapshots = folder.parent().filter(|parent| parent.ends_with("snapshots"));
    snapshots.and_then(Path::parent).and_then(repo_of_folder).is_some()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::hub::cache::Cache;

    #[test]
    fn places_in_the_cache_tell_repository_path_and_checksum() {
        let root = tempfile::tempdir().unwrap();
        let repo = Cache::new(root.path()).repo("org/a-name");
        let hash = "b".repeat(64);
        fs::create_dir_all(repo.blob("")).unwrap();
        fs::write(repo.blob(&hash), "content").unwrap();
        repo.link("c0ffee", "unet/x.bin", &hash).unwrap();
        let snapshot = repo.snapshot_folder("c0ffee").canonicalize().unwrap();
        let origin = Origin::of(&snapshot.join("unet/x.bin")).unwrap();
        assert_eq!((origin.repo.as_str(), origin.path.as_deref()), ("org/a-name", Some("unet/x.bin")));
        assert_eq!(origin.snapshot.as_ref(), Some(&snapshot));
        let blob = (repo.blob(&hash).canonicalize().unwrap(), Digest::Sha256(hash.clone()));
        #[cfg(unix)]
        assert_eq!(origin.blob.as_ref(), Some(&blob));
        let folder = Origin::of(&snapshot).unwrap();
        assert_eq!((folder.path.as_deref(), folder.blob), (Some(""), None));
        let content = Origin::of(&blob.0).unwrap();
        assert_eq!((content.path, content.blob), (None, Some(blob)));
        assert_eq!(Origin::of(root.path()), None);
        fs::write(snapshot.join("copy"), "content").unwrap();
        assert_eq!(Origin::of(&snapshot.join("copy")).unwrap().blob, None);
    }
}
