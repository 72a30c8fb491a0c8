//! Model hashes as A1111 and CivitAI write them.

use std::fmt::Write;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Read at once: large enough for the disk, small enough for any machine.
const BLOCK: usize = 1 << 20;

/// The SHA-256 of a file in lower-case hex, read in blocks.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_file(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    sha256(file).map_err(Error::io("read", path))
}

/// The SHA-256 of all bytes of a reader in lower-case hex.
///
/// # Errors
/// When reading fails.
pub fn sha256(mut from: impl Read) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match from.read(&mut block) {
            Ok(0) => break,
            Ok(read) => hasher.update(&block[..read]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let mut hex = String::new();
    for byte in hasher.finalize() {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

/// A1111's model hash: the first 10 digits of the SHA-256 of the checkpoint; of a folder, of its UNet's weights.
#[must_use]
pub fn short_hash(sha256: &str) -> &str {
    sha256.get(..10).unwrap_or(sha256)
}

/// A1111's hash of a LoRA, which CivitAI calls AutoV3: the first 12 digits of the SHA-256 of the numbers of a safetensors file, so that
/// words about it do not change it; of any other file, of all of it.
///
/// # Errors
/// When the file cannot be read.
pub fn lora_hash(path: &Path) -> Result<String> {
    let read = || {
        let mut file = File::open(path)?;
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors")) {
            let mut length = [0; 8];
            file.read_exact(&mut length)?;
            file.seek(SeekFrom::Start(u64::from_le_bytes(length).saturating_add(length.len() as u64)))?;
        }
        sha256(file)
    };
    let mut hex = read().map_err(Error::io("read", path))?;
    hex.truncate(12);
    Ok(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_a1111() {
        let file = crate::testing::fixture("metadata/plain.safetensors");
        let full = sha256_file(&file).unwrap();
        assert_eq!(full, "a30e95b94309523f009e7db442eb2543c5a7120726eaecb83e50b45c77a23626");
        assert_eq!(short_hash(&full), "a30e95b943");
        assert_eq!(lora_hash(&file).unwrap(), "69d23a59aa6b");
    }

    #[test]
    fn blocks_join() {
        // sha256 of 3 MiB + 1 bytes of `a`, from sha256sum.
        let long = std::io::repeat(b'a').take(3 * (1 << 20) + 1);
        assert_eq!(sha256(long).unwrap(), "2b98b70051781969f52a33c9cd0e8392bb7a634a92a3be4597b25e13feb41ee6");
        assert_eq!(sha256(&b""[..]).unwrap(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = sha256_file(Path::new("/no/such/file")).unwrap_err().to_string();
        assert!(message.contains("cannot read `/no/such/file`"), "{message}");
    }
}
