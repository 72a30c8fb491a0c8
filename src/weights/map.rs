//! Mapping a file of weights: the one place with `unsafe` for it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use memmap2::Mmap;

use super::WeightsError;

/// A read-only map of the file at `path`, which is a file and not empty.
///
/// # Errors
/// When it is not there, a folder, empty, or cannot be read.
pub(super) fn map(path: &Path) -> Result<Mmap, WeightsError> {
    let io = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => WeightsError::NotFound(path.into()),
        _ => WeightsError::Io { path: path.into(), source },
    };
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_dir() {
        return Err(WeightsError::IsFolder(path.into()));
    }
    if metadata.len() == 0 {
        return Err(WeightsError::Empty(path.display().to_string()));
    }
    // SAFETY: the map is read-only and lives as long as the value that holds it. Another program that writes to the file or
    // shortens it meanwhile changes or removes the values under us; every program that maps its weights accepts that.
    #[expect(unsafe_code, reason = "the one way to map a file")]
    unsafe { Mmap::map(&file) }.map_err(io)
}
