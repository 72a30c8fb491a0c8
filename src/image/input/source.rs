//! Where a picture comes from, and its bytes.

use std::fmt;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::image::sha256;
use crate::{files, Error, Result};

/// The largest file that is read as a picture, in bytes: an uncompressed one of the largest size has not more.
const LARGEST: u64 = 512 << 20;

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input, written `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Source {
    /// What the user wrote: a path, or `-` for standard input.
    pub fn new(written: impl Into<PathBuf>) -> Self {
        let path = written.into();
        if path == Path::new("-") {
            Source::Stdin
        } else {
            Source::File(path)
        }
    }

    /// The name without the folder, `-` for standard input.
    fn name(&self) -> String {
        match self {
            Source::Stdin => "-".into(),
            Source::File(path) => {
                path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
            }
        }
    }

    /// All bytes, of at most 512 MiB.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        match self {
            Source::File(path) => files::read_up_to(path, LARGEST).map_err(Error::io("read", path)),
            Source::Stdin => {
                let stdin = std::io::stdin();
                if stdin.is_terminal() {
                    return Err(Error::usage(
                        "`-` takes a picture from standard input, which is a terminal",
                        "write `sdgen ... -i - < picture.png`, or give a file",
                    ));
                }
                read_stream(stdin.lock(), LARGEST)
            }
        }
    }
}

fn read_stream(from: impl Read, largest: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than allowed, to see that there is more.
    from.take(largest + 1).read_to_end(&mut bytes).map_err(Error::io("read", "-"))?;
    if bytes.len() as u64 > largest {
        return Err(Error::picture(
            format!("standard input has more than {} MiB", largest >> 20),
            "give one picture, a smaller one",
        ));
    }
    Ok(bytes)
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Stdin => f.write_str("standard input"),
            Source::File(path) => write!(f, "`{}`", path.display()),
        }
    }
}

/// What a picture's metadata says about a picture it was made from: enough to know it again, nothing about its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputRecord {
    /// The file's name without its folder; `-` for standard input.
    pub name: String,
    /// SHA-256 of the file, in lower-case hex.
    pub sha256: String,
}

impl InputRecord {
    pub(super) fn new(source: &Source, bytes: &[u8]) -> Result<Self> {
        let sha256 = sha256(bytes).map_err(Error::io("read", source.name()))?;
        Ok(InputRecord { name: source.name(), sha256 })
    }
}
