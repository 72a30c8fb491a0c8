//! The SHA-256 of a large file without reading it: from the cache, which names contents after it, or from an earlier run.

use std::fs::{self, Metadata};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::digest::{Digest, Hasher};
use super::model_weights::Content;
use super::origin::Origin;

/// Smaller files are read in no time, and leave nothing behind.
const LEAST: u64 = 16 << 20;
/// A file that was written so short a time ago could change again without a change of its time.
const SETTLED: Duration = Duration::from_secs(2);

/// What is known of a file's SHA-256, and where it is kept.
#[derive(Debug, Clone)]
pub struct HashStore {
    folder: PathBuf,
}

impl HashStore {
    /// Hashes are kept in a folder, which need not be there.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        HashStore { folder: folder.into() }
    }

    /// The SHA-256 of a file, lower-case hex, if it need not be computed. Size, time of change and place must be what they were.
    fn known(&self, path: &Path) -> Option<String> {
        if let Some((_, Digest::Sha256(hash))) = Origin::of(path).and_then(|origin| origin.blob) {
            return Some(hash);
        }
        let text = fs::read_to_string(self.place(path)?).ok()?;
        match Digest::parse(text.trim()) {
            Some(Digest::Sha256(hash)) => Some(hash),
            _ => None,
        }
    }

    /// The SHA-256 of a content, which is kept if it had to be computed and the content is a large file's.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(&self, content: &Content) -> std::io::Result<String> {
        let Content::File(path) = content else { return content.sha256() };
        if let Some(known) = self.known(path) {
            return Ok(known);
        }
        // Before the file is read: if it changes meanwhile, its hash is that of no file.
        let place = self.place(path);
        let sha256 = content.sha256()?;
        if let Some(place) = place {
            self.keep(&place, &sha256);
        }
        Ok(sha256)
    }

    /// Where the hash of a file as it is now will be kept. To be asked before the file is read.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().ok()?;
        let metadata = fs::metadata(&path).ok()?;
        let changed = metadata.modified().ok()?;
        let settled = SystemTime::now().duration_since(changed).is_ok_and(|age| age >= SETTLED);
        if metadata.len() < LEAST || !settled {
            return None;
        }
        let changed = changed.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos();
        let state = format!("{}\0{}\0{changed}\0{}", path.to_str()?, metadata.len(), identity(&metadata));
        let mut hasher = Hasher::new(None, None);
        hasher.update(state.as_bytes());
        Some(self.folder.join(hasher.finish().hex()))
    }

    /// Keeps a hash at its [`HashStore::place`]. A matter of speed alone: where it cannot be written, it will be computed again.
    fn keep(&self, place: &Path, sha256: &str) {
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(sha256.as_bytes())?;
            file.persist(place).map(drop).map_err(|e| e.error)
        };
        let _ = write();
    }
}

/// What another file of the same name has not.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{} {} {}", metadata.dev(), metadata.ino(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_hash_holds_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = HashStore::new(&folder.path().join("hashes"));
        let path = folder.path().join("x");
        let file = File::create(&path).unwrap();
        file.set_len(LEAST).unwrap();
        assert_eq!(store.place(&path), None, "it was written a moment ago");
        let age = |seconds| file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        age(60);
        assert_eq!(store.known(&path), None);
        let (place, hash) = (store.place(&path).unwrap(), "ab".repeat(32));
        store.keep(&place, &hash);
        assert_eq!(store.known(&path), Some(hash.clone()));
        assert_eq!(store.known(&folder.path().join("./x")), Some(hash.clone()));
        age(50);
        assert_eq!(store.known(&path), None, "it was written since");
        fs::write(store.place(&path).unwrap(), "damaged").unwrap();
        assert_eq!(store.known(&path), None);
        let computed = store.of(&Content::File(path.clone())).unwrap();
        assert_eq!(computed, "080acf35a507ac9849cfcba47dc2ad83e01b75663a516279c8b9d243b719643e");
        assert_eq!(store.known(&path), Some(computed));
        file.set_len(LEAST - 1).unwrap();
        age(60);
        assert_eq!(store.place(&path), None, "too small");
        assert_eq!(store.known(&folder.path().join("none")), None);
    }

    #[test]
    fn contents_of_the_cache_have_their_names() {
        let root = tempfile::tempdir().unwrap();
        let blobs = root.path().join("models--org--name/blobs");
        fs::create_dir_all(&blobs).unwrap();
        let (sha256, git) = ("ab".repeat(32), "ab".repeat(20));
        for name in [&sha256, &git] {
            fs::write(blobs.join(name), "content").unwrap();
        }
        let store = HashStore::new(root.path());
        assert_eq!(store.known(&blobs.join(&sha256)), Some(sha256));
        assert_eq!(store.known(&blobs.join(&git)), None);
    }
}
