//! Files and folders that take long to write: they grow beside their place under another name, and are gone when the work ends early,
//! by an error or by an interrupt.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::atomic::{folder_of, write_guard};
use crate::{Error, Result};

/// What is to be removed when the process is interrupted.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes all that is unfinished. For whoever ends the process, and holds [`write_guard`] meanwhile.
pub fn discard_unfinished() {
    let paths = std::mem::take(&mut *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner));
    paths.iter().for_each(|path| remove(path));
}

/// A file or folder on its way to its name.
#[derive(Debug)]
pub struct Unfinished {
    target: PathBuf,
    temporary: PathBuf,
}

impl Unfinished {
    /// A place beside `target` for what will get its name.
    #[must_use]
    pub fn beside(target: &Path) -> Self {
        let name = format!(".sdgen-{:08x}.tmp", fastrand::u32(..));
        let temporary = folder_of(target).join(name);
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(temporary.clone());
        Unfinished { target: target.into(), temporary }
    }

    /// Where to write.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Gives it its name, in place of what has it.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be renamed; what had the name keeps it then.
    pub fn finish(self) -> Result<()> {
        let _guard = write_guard();
        let io = Error::io("write", &self.target);
        if !self.target.is_dir() {
            return fs::rename(&self.temporary, &self.target).map_err(io);
        }
        // A folder in use cannot be replaced at once: the old one steps aside.
        let old = Unfinished::beside(&self.target);
        fs::rename(&self.target, &old.temporary).map_err(Error::io("write", &self.target))?;
        fs::rename(&self.temporary, &self.target).map_err(|e| {
            let _ = fs::rename(&old.temporary, &self.target);
            io(e)
        })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        remove(&self.temporary);
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| *path != self.temporary);
    }
}

/// What is not there needs no removing, and what cannot be removed stays.
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_get_their_name_or_vanish() {
        let place = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let target = place.path().join("a");
        for round in ["1", "2"] {
            let unfinished = Unfinished::beside(&target);
            fs::create_dir(unfinished.path()).unwrap();
            fs::write(unfinished.path().join("x"), round).unwrap();
            unfinished.finish().unwrap();
            assert_eq!(fs::read_to_string(target.join("x")).unwrap(), round);
            assert_eq!(names(), ["a"]);
        }
        let unfinished = Unfinished::beside(&place.path().join("b"));
        fs::write(unfinished.path(), "x").unwrap();
        assert_eq!(names().len(), 2);
        drop(unfinished);
        assert_eq!(names(), ["a"]);
        let unfinished = Unfinished::beside(&place.path().join("c"));
        fs::write(unfinished.path(), "x").unwrap();
        discard_unfinished();
        assert_eq!(names(), ["a"]);
    }
}
