//! Small files that come from anyone (configs, vocabularies, indices, word lists): read whole, so only when they are what they
//! should be. A pipe would be waited for, a device read without end.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// The largest file that is read whole, in bytes. The largest of a published model, a `tokenizer.json`, has a fifth of it.
const LARGEST: u64 = 64 << 20;

/// The content of a regular file of at most 64 MiB.
///
/// # Errors
/// When there is no such file, it is a folder, a pipe or a device, or too large; otherwise the system's error.
pub fn read_small(path: &Path) -> Result<Vec<u8>> {
    read_up_to(path, LARGEST)
}

/// The content of a regular file of at most `largest` bytes.
///
/// # Errors
/// As [`read_small`].
pub fn read_up_to(path: &Path, largest: u64) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(Error::new(ErrorKind::IsADirectory, "it is a folder"));
    }
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is a pipe or a device, not a file"));
    }
    let mut bytes = Vec::new();
    if metadata.len() <= largest {
        // One more than allowed: a file that grows meanwhile is seen.
        File::open(path)?.take(largest + 1).read_to_end(&mut bytes)?;
    }
    if metadata.len().max(bytes.len() as u64) > largest {
        let message = format!("it has more than {} MiB, which no file of its kind has", largest >> 20);
        return Err(Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(read_small(&path).unwrap(), b"text");
        let kind = |path: &Path| read_small(path).unwrap_err().kind();
        assert_eq!(kind(folder.path()), ErrorKind::IsADirectory);
        assert_eq!(kind(&folder.path().join("no")), ErrorKind::NotFound);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(LARGEST + 1).unwrap();
        assert_eq!(kind(&path), ErrorKind::FileTooLarge);
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_not_read() {
        assert_eq!(read_small(Path::new("/dev/zero")).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
