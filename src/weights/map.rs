//! Files mapped into memory: the one place with `unsafe`.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use super::WeightsError;

/// Maps a file that has content.
///
/// # Errors
/// When there is no such file, or it is a folder, a pipe or device, empty or unreadable.
pub(super) fn map(path: &Path) -> Result<Mmap, WeightsError> {
    let io = |source| WeightsError::io(path, source);
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        return Err(WeightsError::IsFolder(path.into()));
    }
    if !metadata.is_file() {
        return Err(WeightsError::NotAFile(path.into()));
    }
    if metadata.len() == 0 {
        return Err(WeightsError::Empty(path.display().to_string()));
    }
    let file = File::open(path).map_err(io)?;
    // SAFETY: the map is read-only and owns its pages. Another program that writes to the file or shortens it meanwhile
    // changes or removes the values under us; every program that maps its weights accepts that.
    #[expect(unsafe_code, reason = "the one way to map a file")]
    let map = unsafe { Mmap::map(&file) }.map_err(io)?;
    Ok(map)
}
