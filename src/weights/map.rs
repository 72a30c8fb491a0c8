//! Files mapped into memory: the one place with `unsafe` besides the kernels.

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use super::WeightsError;
use crate::nn::SharedBytes;

/// The bytes of a file, wherever they lie: mapped, or in memory.
#[derive(Clone)]
pub(super) struct Bytes(Arc<dyn Content + Send + Sync>);

/// A place where the bytes of a file can lie.
pub(super) trait Content: AsRef<[u8]> {
    /// Asks the system to have these bytes ready. A matter of speed alone: where it cannot, they are read when they are touched.
    fn expect(&self, _range: &Range<usize>) {}
    /// Lets go of the memory that these bytes take in this process, which is done with them.
    fn release(&self, _range: &Range<usize>) {}
}

impl Content for Vec<u8> {}

impl Content for &'static [u8] {}

impl Content for Mmap {
    fn expect(&self, range: &Range<usize>) {
        #[cfg(target_os = "linux")]
        let _ = self.advise_range(memmap2::Advice::PopulateRead, range.start, range.len());
        #[cfg(all(unix, not(target_os = "linux")))]
        let _ = self.advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        #[cfg(not(unix))]
        let _ = range;
    }

    /// The system may keep the bytes in its cache.
    fn release(&self, range: &Range<usize>) {
        // SAFETY: the map is read-only and of a file: whoever looks at the bytes again gets them from the file again.
        #[cfg(unix)]
        #[expect(unsafe_code, reason = "advice that would lose what was written to other kinds of maps")]
        let _ = unsafe { self.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl<T: Content + Send + Sync + 'static> From<T> for Bytes {
    fn from(bytes: T) -> Self {
        Bytes(Arc::new(bytes))
    }
}

impl Bytes {
    /// As [`Content::expect`].
    pub(super) fn expect(&self, range: &Range<usize>) {
        self.0.expect(range);
    }

    /// These of the bytes, which whoever has them shares; nothing when there are not that many.
    pub(super) fn share(&self, range: &Range<usize>) -> Option<SharedBytes> {
        SharedBytes::new(self.0.clone(), range.clone())
    }

    /// As [`Content::release`].
    pub(super) fn release(&self, range: &Range<usize>) {
        self.0.release(range);
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
