//! The one error type of the crate: what went wrong, the exit code it ends with, and what the user can do about it.
//! Wording lives in the typed errors and where an error is made, never at the place that prints.

use std::path::{Path, PathBuf};

use crate::hub::download::DownloadError;
use crate::weights::lora::LoraError;
use crate::weights::WeightsError;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit codes of the binary. They are part of the command line's contract and listed in the README.
pub mod exit_code {
    /// All pictures were made and written.
    pub const OK: u8 = 0;
    /// An unexpected failure: a full disk, an unwritable folder, a failing device.
    pub const FAILURE: u8 = 1;
    /// The command line or a request is wrong.
    pub const USAGE: u8 = 2;
    /// A model or file is missing, damaged or not understood.
    pub const MODEL: u8 = 3;
    /// A download failed.
    pub const DOWNLOAD: u8 = 4;
    /// A verification failed.
    pub const VERIFICATION: u8 = 5;
    /// The machine has too little memory.
    pub const OUT_OF_MEMORY: u8 = 6;
    /// The picture is broken: not a number, or one flat colour.
    pub const BROKEN_PICTURE: u8 = 7;
    /// A part of a batch failed.
    pub const PARTIAL: u8 = 8;
    /// Ctrl-C.
    pub const INTERRUPTED: u8 = 130;
}

/// Everything that can go wrong, one variant for each way a caller may want to react.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that was given is outside what is possible.
    #[error("{message}")]
    Usage {
        /// What is wrong, in one sentence.
        message: String,
        /// What to give instead.
        hint: Option<String>,
    },
    /// A model that cannot be found or is not understood.
    #[error("{message}")]
    Model {
        /// What is wrong, in one sentence.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A picture to start from, or a mask, that is none, is damaged or has a size that cannot be.
    #[error("{message}")]
    Picture {
        /// What is wrong, in one sentence.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// A weight file that is damaged, incomplete or does not fit its config.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A LoRA that is damaged or does not fit the model.
    #[error(transparent)]
    Lora(#[from] LoraError),
    /// A download that failed.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// A file that cannot be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The picture has no content: not-a-number values or one flat colour.
    #[error("the picture is broken: {what}")]
    BrokenPicture {
        /// What was found.
        what: String,
    },
    /// The machine has less memory than the work takes at least.
    #[error("this takes at least {} of memory, and {} are available", gib(*.need), gib(*.have))]
    OutOfMemory {
        /// Bytes that the work takes at least.
        need: u64,
        /// Bytes that are available.
        have: u64,
    },
    /// Some of several pictures could not be made; each was told when it failed.
    #[error("{failed} of {total} pictures could not be made")]
    Partial {
        /// Pictures that are missing.
        failed: usize,
        /// Pictures that were asked for.
        total: usize,
    },
    /// Checks that were asked for failed; each was told when it did.
    #[error("{failed} of {total} checks failed")]
    Verification {
        /// Checks that failed.
        failed: usize,
        /// All checks.
        total: usize,
    },
    /// The tensor library failed.
    #[error("{0}")]
    Tensor(#[from] candle_core::Error),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The action of [`Error::Io`] whose failure is one of the file, not of the machine.
const READ: &str = "read";

impl Error {
    /// A wrong value, with what to give instead.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Error::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// A model that is missing or not understood, with what to do about it.
    pub fn model(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Error::Model { message: message.into(), hint: Some(hint.into()) }
    }

    /// A picture that cannot be taken, with what to do about it.
    pub fn picture(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Error::Picture { message: message.into(), hint: hint.into() }
    }

    /// A path that is no text, as those in requests and reports have to be; `what` it is of.
    #[must_use]
    pub fn path_is_no_text(what: &str, path: &Path) -> Self {
        let message = format!("the path of the {what}, `{}`, is not valid UTF-8", path.display());
        Error::usage(message, "rename it, or give a link to it")
    }

    /// For `map_err`: an I/O failure with what was tried on which file.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Error::Io { action, path, source }
    }

    /// The exit code of the binary for this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage { .. } => exit_code::USAGE,
            Error::Model { .. } | Error::Picture { .. } | Error::Weights(_) | Error::Lora(_) => exit_code::MODEL,
            Error::Download(_) => exit_code::DOWNLOAD,
            Error::Io { action: READ, .. } => exit_code::MODEL,
            Error::Io { .. } => exit_code::FAILURE,
            Error::BrokenPicture { .. } => exit_code::BROKEN_PICTURE,
            Error::Partial { .. } => exit_code::PARTIAL,
            Error::Verification { .. } => exit_code::VERIFICATION,
            Error::OutOfMemory { .. } => exit_code::OUT_OF_MEMORY,
            Error::Tensor(e) if is_out_of_memory(&e.to_string()) => exit_code::OUT_OF_MEMORY,
            Error::Tensor(_) => exit_code::FAILURE,
            Error::Interrupted => exit_code::INTERRUPTED,
        }
    }

    /// What the user can do about it; printed as `hint: ...` below the error.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. } | Error::Model { hint, .. } => hint.clone(),
            Error::Picture { hint, .. } => Some(hint.clone()),
            Error::Weights(e) => e.hint(),
            Error::Lora(e) => e.hint(),
            Error::Download(e) => e.hint(),
            Error::Io { action, source, .. } => Some(io_hint(*action == READ, source).into()),
            Error::BrokenPicture { .. } => Some(
                "try `--dtype f32`, another seed or a lower guidance; if it stays, the model's weights are damaged"
                    .into(),
            ),
            Error::OutOfMemory { .. } => Some(SMALLER.into()),
            Error::Tensor(e) if is_out_of_memory(&e.to_string()) => Some(SMALLER.into()),
            Error::Verification { .. } => {
                Some("fetch what is damaged again; what does not fit belongs to another model".into())
            }
            Error::Partial { .. } | Error::Tensor(_) | Error::Interrupted => None,
        }
    }
}

/// The hint for what is too large.
const SMALLER: &str =
    "try a smaller picture, `--batch 1`, `--low-memory`, `--vae-tiling on`, `--quantize q8_0` or `q4_0`, or a smaller model";

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

fn is_out_of_memory(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("out of memory") || message.contains("out_of_memory")
}

fn io_hint(read: bool, source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::NotFound if read => "check the path",
        ErrorKind::NotFound => "create the folder first, or give another path",
        ErrorKind::IsADirectory if read => "name a file",
        ErrorKind::InvalidData => "save it as UTF-8 text",
        ErrorKind::PermissionDenied if read => "make it readable for you, or give another path",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "give a path that you may write to",
        ErrorKind::NotADirectory => "a part of that path is a file, not a folder",
        ErrorKind::AlreadyExists | ErrorKind::IsADirectory => "something else has that name: give another one",
        ErrorKind::InvalidFilename => "give a shorter name",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk is full: free some space, or give a path on another one"
        }
        _ if read => "give another file",
        _ => "give another path",
    }
}
