//! Files appear whole or not at all: written beside their place under another name, then renamed.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// What happens when a file of that name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collision {
    /// It is replaced.
    Replace,
    /// The next free of `name-2`, `name-3`, ... is taken.
    NextFree,
}

/// Numbers that are tried for a free name.
const MOST_NAMES: usize = 10_000;

static WRITING: Mutex<()> = Mutex::new(());

/// Held while a half-written file exists. Whoever ends the process from another thread takes it first and keeps it.
pub fn write_guard() -> MutexGuard<'static, ()> {
    // The lock guards no data: a panic of another holder leaves nothing to distrust.
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file and returns the name it got, which differs from `path` only with [`Collision::NextFree`]. The file has the
/// permissions of any new file. Whatever fails, nothing half-written stays behind. A device or a pipe is written into, never replaced.
///
/// # Errors
/// When the folder is missing or not writable, the disk is full, or no name is free.
pub fn write_atomic(path: &Path, bytes: &[u8], collision: Collision) -> Result<PathBuf> {
    if collision == Collision::Replace && is_stream(path) {
        return write_into(path, bytes).map(|()| path.to_owned());
    }
    let _guard = write_guard();
    let mut file = temporary_file(folder_of(path)).map_err(Error::io("write", path))?;
    file.as_file_mut().write_all(bytes).map_err(Error::io("write", path))?;
    match collision {
        Collision::Replace => {
            file.persist(path).map_err(|e| Error::io("write", path)(e.error))?;
            Ok(path.to_owned())
        }
        Collision::NextFree => keep_under_free_name(file, path),
    }
}

/// Renames to the first name that does not exist; the file system decides, so two processes never get the same one.
fn keep_under_free_name(mut file: NamedTempFile, path: &Path) -> Result<PathBuf> {
    for number in 1..=MOST_NAMES {
        let name = numbered(path, number);
        match file.persist_noclobber(&name) {
            Ok(_) => return Ok(name),
            Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => file = e.file,
            // Some network and FUSE file systems can neither link nor rename without replacing.
            Err(e) if !name.exists() => {
                e.file.persist(&name).map_err(|e| Error::io("write", &name)(e.error))?;
                return Ok(name);
            }
            Err(e) => file = e.file,
        }
    }
    let message = format!("`{}` and {MOST_NAMES} names like it exist", path.display());
    Err(Error::usage(message, "give another name, or `--overwrite`"))
}

/// Those of `picture.png`, `picture-2.png`, `picture-3.png`, ... that exist, up to the first free name.
pub(super) fn taken_names(path: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    (1..=MOST_NAMES).map(|number| numbered(path, number)).take_while(|name| name.symlink_metadata().is_ok())
}

/// `picture.png`, `picture-2.png`, `picture-3.png`, ...
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Fails as writing a file into the folder would, before the long work.
///
/// # Errors
/// When the folder is missing or not writable.
pub fn check_writable(folder: &Path) -> Result<()> {
    let _guard = write_guard();
    let file = temporary_file(folder).map_err(Error::io("write to folder", folder))?;
    file.close().map_err(Error::io("write to folder", folder))
}

/// Fails as making the folder, unless it is there, and writing a file into it would.
///
/// # Errors
/// When what is there of it is no folder, or not writable.
pub(super) fn check_can_create(folder: &Path) -> Result<()> {
    let there = folder.ancestors().find(|part| part.symlink_metadata().is_ok()).unwrap_or(Path::new("."));
    check_writable(there)
}

/// Fails as [`write_atomic`] that replaces would, before the long work.
///
/// # Errors
/// When a folder has the name, or the folder of the name is missing or not writable.
pub fn check_replaceable(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Error::io("write", path)(ErrorKind::IsADirectory.into()));
    }
    if is_stream(path) {
        return Ok(());
    }
    check_writable(folder_of(path))
}

/// Whether something that is neither file nor folder has this name: `/dev/null`, a named pipe, a shell's `>(...)`.
pub(super) fn is_stream(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Writes into a device or a pipe.
pub(super) fn write_into(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut stream = File::options().write(true).open(path).map_err(Error::io("write", path))?;
    write_stream(&mut stream, bytes).map_err(Error::io("write", path))
}

/// Whoever reads may stop reading: that is no failure of ours.
pub(super) fn write_stream(stream: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    match stream.write_all(bytes).and_then(|()| stream.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// The folder a path lies in: `.` for a bare name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Not `tempfile_in`: its files are for their owner only, and its errors name the temporary file instead of the user's.
fn temporary_file(folder: &Path) -> std::io::Result<NamedTempFile> {
    let create = |path: &Path| File::options().write(true).create_new(true).open(path);
    tempfile::Builder::new().prefix(".sdgen-").suffix(".png.tmp").make_in(folder, create)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_existing_file_is_kept_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.b.png");
        for (bytes, name) in [("1", "a.b.png"), ("2", "a.b-2.png"), ("3", "a.b-3.png")] {
            let written = write_atomic(&path, bytes.as_bytes(), Collision::NextFree).unwrap();
            assert_eq!(written, folder.path().join(name));
            assert_eq!(fs::read_to_string(written).unwrap(), bytes);
        }
        assert_eq!(write_atomic(&path, b"4", Collision::Replace).unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), b"4");
        assert_eq!(names(folder.path()), ["a.b-2.png", "a.b-3.png", "a.b.png"]);
    }

    #[cfg(unix)]
    #[test]
    fn errors_leave_nothing_behind_and_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/picture.png");
        let error = write_atomic(&missing, b"x", Collision::NextFree).unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if *path == missing), "{error}");
        assert!(error.to_string().ends_with("no/picture.png`: No such file or directory (os error 2)"), "{error}");
        assert!(error.hint().is_some());

        let taken = folder.path().join("folder.png");
        fs::create_dir(&taken).unwrap();
        assert!(write_atomic(&taken, b"x", Collision::Replace).is_err());
        assert_eq!(names(folder.path()), ["folder.png"]);
        assert_eq!(write_atomic(&taken, b"x", Collision::NextFree).unwrap(), folder.path().join("folder-2.png"));
    }

    #[test]
    fn a_folder_that_can_be_made_is_not_made_by_the_check() {
        let folder = tempfile::tempdir().unwrap();
        check_can_create(&folder.path().join("a/b")).unwrap();
        check_can_create(folder.path()).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for path in ["file", "file/a"] {
            assert!(check_can_create(&folder.path().join(path)).is_err(), "{path}");
        }
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn the_permissions_are_those_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let usual = folder.path().join("usual");
        fs::write(&usual, "x").unwrap();
        let written = write_atomic(&folder.path().join("a.png"), b"x", Collision::NextFree).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&written), mode(&usual));
    }

    /// `/dev/full` answers every write as a full disk does.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_says_what_to_do() {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").and_then(|mut f| f.write_all(b"x"));
        let error = Error::io("write", "a.png")(full.unwrap_err());
        assert!(error.hint().unwrap().contains("disk is full"));
    }

    #[test]
    fn a_folder_is_checked_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        check_writable(folder.path()).unwrap();
        assert!(names(folder.path()).is_empty());
        let error = check_writable(&folder.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("cannot write to folder `"), "{error}");
        assert!(error.hint().unwrap().contains("create the folder"));
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(check_writable(&file).unwrap_err().hint().unwrap().contains("is a file"));
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        struct Closed(ErrorKind);
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        assert!(write_stream(&mut Closed(ErrorKind::BrokenPipe), b"png").is_ok());
        assert!(write_stream(&mut Closed(ErrorKind::StorageFull), b"png").is_err());
    }

    /// A report for a build server that was sent to a device once took the device's place, where the user was the system's.
    #[cfg(unix)]
    #[test]
    fn what_replaces_a_device_is_written_into_it() {
        use std::io::Read;
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        check_replaceable(&pipe).unwrap();
        // Open both ways, so that neither side waits for the other.
        let mut reader = File::options().read(true).write(true).open(&pipe).unwrap();
        write_atomic(&pipe, b"report", Collision::Replace).unwrap();
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        let mut read = [0; 6];
        reader.read_exact(&mut read).unwrap();
        assert_eq!((&read, names(folder.path())), (b"report", vec!["pipe".to_string()]));
        assert!(check_replaceable(folder.path()).is_err(), "a folder");
        assert!(check_replaceable(&folder.path().join("no/report.xml")).is_err());
        check_replaceable(&folder.path().join("report.xml")).unwrap();
    }

    #[test]
    fn many_writers_get_a_name_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| write_atomic(&path, b"x", Collision::NextFree).unwrap());
            }
        });
        assert_eq!(names(folder.path()).len(), 8);
    }
}
