//! What can be wrong with a file of weights, each with its own message and hint.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::pickle::PickleError;

/// A weight file that is damaged, incomplete, or does not fit its config.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// There is no such file.
    #[error("there is no file `{}`", .0.display())]
    NotFound(PathBuf),
    /// A link whose target is gone.
    #[error("`{}` is a link to a file that is not there", .0.display())]
    DanglingLink(PathBuf),
    /// A pipe or a device: it has no end, or none that is known.
    #[error("`{}` is a pipe or a device, not a file of weights", .0.display())]
    NotAFile(PathBuf),
    /// A folder stands where a file is expected.
    #[error("`{}` is a folder, not a file of weights", .0.display())]
    IsFolder(PathBuf),
    /// The system did not let the file be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file has no content.
    #[error("`{0}` is empty")]
    Empty(String),
    /// The file is the stand-in that git leaves for a large file.
    #[error("`{file}` is a Git LFS pointer, not the file itself{}", size_of_file(*.size))]
    LfsPointer {
        /// The file.
        file: String,
        /// The size that the pointer gives for the weights, in bytes.
        size: Option<u64>,
    },
    /// The file is a web page, as saved from a link that asks for a login.
    #[error("`{0}` is a web page, not the file itself")]
    WebPage(String),
    /// The file is of another format, known by its first bytes.
    #[error("`{file}` is {format}, which this version does not read")]
    OtherFormat {
        /// The file.
        file: String,
        /// What it is, with its article.
        format: &'static str,
    },
    /// The file begins as no format that is known.
    #[error("`{file}` is not a safetensors file: {reason}")]
    NotSafetensors {
        /// The file.
        file: String,
        /// What was found.
        reason: String,
    },
    /// The header says it is longer than the whole file.
    #[error("`{file}` is damaged or cut off: its header takes {header} bytes, the whole file has {have}")]
    HeaderTooLarge {
        /// The file.
        file: String,
        /// Bytes of the header, as the file says.
        header: u64,
        /// Bytes of the file.
        have: u64,
    },
    /// The header is no JSON, or not that of a safetensors file.
    #[error("the header of `{file}` is damaged: {reason}")]
    BadHeader {
        /// The file.
        file: String,
        /// What was found.
        reason: String,
    },
    /// The file ends before its tensors do.
    #[error("`{file}` is incomplete: it has {have} of {need} bytes")]
    Truncated {
        /// The file.
        file: String,
        /// Bytes of the file.
        have: u64,
        /// Bytes that its header asks for.
        need: u64,
    },
    /// A tensor's place in the file is impossible.
    #[error("tensor `{tensor}` of `{file}` is damaged: {reason}")]
    BadTensor {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// What was found.
        reason: String,
    },
    /// A tensor is stored in numbers that cannot be computed with.
    #[error("tensor `{tensor}` of `{file}` is stored as {dtype}, which this version does not read")]
    UnsupportedDtype {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The type as the file names it.
        dtype: String,
    },
    /// The list of a model's files is damaged.
    #[error("the index `{file}` is damaged: {reason}")]
    BadIndex {
        /// The index file.
        file: String,
        /// What was found.
        reason: String,
    },
    /// A PyTorch checkpoint that is damaged, or more than tensors.
    #[error("cannot load the PyTorch checkpoint `{file}`: {source}")]
    Pickle {
        /// The file.
        file: String,
        /// What was found.
        source: PickleError,
    },
    /// The tensors do not fit the model that its config describes.
    #[error("{0}")]
    Mismatch(Box<Mismatch>),
}

/// All tensors that keep a file from fitting its config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The file.
    pub file: String,
    /// Tensors that the model needs and the file lacks.
    pub missing: Vec<String>,
    /// Tensors of another shape than the model needs.
    pub misshapen: Vec<ShapeMismatch>,
    /// Tensors that the file has and the model does not need.
    pub surplus: Vec<String>,
}

/// A tensor of another shape than the model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// The tensor.
    pub name: String,
    /// Its shape in the file.
    pub found: Vec<usize>,
    /// The shape that the model needs.
    pub wanted: Vec<usize>,
}

/// A tensor's name as a message shows it: no longer than those of real models.
#[must_use]
pub fn shortened(name: &str) -> &str {
    name.char_indices().nth(200).map_or(name, |(end, _)| &name[..end])
}

/// How many names of a list are printed.
const NAMES_SHOWN: usize = 10;

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tensors of `{}` do not fit its config", self.file)?;
        let misshapen =
            self.misshapen.iter().map(|m| format!("{} is {:?} instead of {:?}", m.name, m.found, m.wanted)).collect();
        let lists = [("missing", &self.missing), ("wrong shape", &misshapen), ("not used", &self.surplus)];
        for (title, names) in lists.into_iter().filter(|(_, names): &(_, &Vec<String>)| !names.is_empty()) {
            write!(f, "\n  {title} ({}): {}", names.len(), names[..names.len().min(NAMES_SHOWN)].join(", "))?;
            if names.len() > NAMES_SHOWN {
                write!(f, " and {} more", names.len() - NAMES_SHOWN)?;
            }
        }
        Ok(())
    }
}

impl WeightsError {
    /// The system's answer about a file of weights.
    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            ErrorKind::NotFound if path.is_symlink() => WeightsError::DanglingLink(path),
            ErrorKind::NotFound | ErrorKind::NotADirectory => WeightsError::NotFound(path),
            ErrorKind::IsADirectory => WeightsError::IsFolder(path),
            _ => WeightsError::Io { path, source },
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            WeightsError::NotFound(_) => {
                "check the path; a model folder is complete when each part has its weights in it"
            }
            WeightsError::IsFolder(_) => "name the .safetensors file in it",
            WeightsError::DanglingLink(_) => "fetch the file again: whatever the link led to was moved or removed",
            WeightsError::NotAFile(_) => "give a file on a disk: weights are mapped into memory",
            WeightsError::Io { .. } => "check that the file can be read, and fetch it again if not",
            WeightsError::Empty(_) | WeightsError::HeaderTooLarge { .. } | WeightsError::Truncated { .. } => {
                "the download was cut off: fetch the file again"
            }
            WeightsError::LfsPointer { .. } => "run `git lfs pull` in the model's folder, or download the file itself",
            WeightsError::WebPage(_) => {
                "the download needs a login or another link: open the model's page, and save the file itself"
            }
            WeightsError::OtherFormat { .. } => "give a .safetensors file; most models are published as one too",
            WeightsError::NotSafetensors { .. } => "give a .safetensors file",
            WeightsError::BadHeader { .. } | WeightsError::BadTensor { .. } | WeightsError::BadIndex { .. } => {
                "fetch the file again; if it stays, whoever made it has to repair it"
            }
            WeightsError::Pickle { source, .. } => source.hint(),
            WeightsError::UnsupportedDtype { .. } => {
                "take a variant of the model in f16, bf16 or f32, or as GGUF in one of Q4_0 to Q8_0 and Q2_K to Q6_K"
            }
            WeightsError::Mismatch(_) => {
                "weights and config.json belong to different models, or one of them was changed: fetch both again"
            }
        };
        Some(hint.into())
    }
}

fn size_of_file(size: Option<u64>) -> String {
    size.map(|bytes| format!(" (which has {bytes} bytes)")).unwrap_or_default()
}
