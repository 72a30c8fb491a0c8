//! Checksums of files: SHA-256, and for small files on the hub git's hash of a blob.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Bytes moved at once.
pub const CHUNK: usize = 256 << 10;

/// What a file's content should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256(String),
    /// SHA-1 of `blob LENGTH\0` and the content.
    Git(String),
}

impl Digest {
    /// The checksum that a text is, told by its length.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        match text.len() {
            64 => Some(Digest::Sha256(text)),
            40 => Some(Digest::Git(text)),
            _ => None,
        }
    }

    /// The checksum of a file, of the kind that `like` is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(path: &Path, like: &Digest) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hasher = Hasher::new(Some(like), Some(file.metadata()?.len()));
        feed(&mut file, &mut hasher)?;
        Ok(hasher.finish())
    }

    /// In hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        match self {
            Digest::Sha256(hex) | Digest::Git(hex) => hex,
        }
    }

    /// Its name in events.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Digest::Sha256(_) => "sha256",
            Digest::Git(_) => "git_sha1",
        }
    }

    /// What it is called.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Digest::Sha256(_) => "SHA-256",
            Digest::Git(_) => "git hash",
        }
    }
}

/// Computes a checksum while content passes by.
pub enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// Git's hash of a blob.
    Git(Sha1),
}

impl Hasher {
    /// For a content that should be `expected`, of this many bytes. Without an expectation, SHA-256.
    #[must_use]
    pub fn new(expected: Option<&Digest>, size: Option<u64>) -> Self {
        match expected {
            Some(Digest::Git(_)) => {
                let mut sha = Sha1::new();
                sha.update(format!("blob {}\0", size.unwrap_or_default()));
                Hasher::Git(sha)
            }
            _ => Hasher::Sha256(Sha256::new()),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(sha) => sha.update(bytes),
            Hasher::Git(sha) => sha.update(bytes),
        }
    }

    /// The checksum of all bytes.
    #[must_use]
    pub fn finish(self) -> Digest {
        match self {
            Hasher::Sha256(sha) => Digest::Sha256(hex(&sha.finalize())),
            Hasher::Git(sha) => Digest::Git(hex(&sha.finalize())),
        }
    }
}

/// Takes all that is to be read, and returns how many bytes that were.
///
/// # Errors
/// When it cannot be read.
pub fn feed(content: &mut impl Read, hasher: &mut Hasher) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        match content.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(read) => {
                hasher.update(&chunk[..read]);
                bytes += read as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_git_and_sha256sum() {
        let of = |expected: Option<&Digest>| {
            let mut hasher = Hasher::new(expected, Some(6));
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            hasher.finish()
        };
        // `printf 'hello\n' | git hash-object --stdin`, `... | sha256sum`
        let git = Digest::parse("ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        assert_eq!(of(Some(&git)), git);
        let sha = Digest::parse("5891B5B522D5DF086D0FF0B110FBD9D21BB4FC7163AF34D08286A2E846F6BE03").unwrap();
        assert_eq!(of(None), sha);
        assert_eq!(of(Some(&sha)).hex(), sha.hex());
    }

    #[test]
    fn other_texts_are_no_checksums() {
        for text in ["", "../../x", "abc", &"g".repeat(40), &"a".repeat(41)] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }
}
