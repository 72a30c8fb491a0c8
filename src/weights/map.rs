//! Files mapped into memory: the one place with `unsafe`.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use super::WeightsError;

/// The bytes of a file, wherever they lie: mapped, or in memory.
pub(super) struct Bytes(Box<dyn AsRef<[u8]> + Send + Sync>);

impl<T: AsRef<[u8]> + Send + Sync + 'static> From<T> for Bytes {
    fn from(bytes: T) -> Self {
        Bytes(Box::new(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

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
