//! What was found out, in the shape that `--json` prints: fields stay, new ones may come.

use std::collections::BTreeMap;

use serde::Serialize;

use super::scan::NotFinite;
use crate::commands::inspect::Kind;
use crate::weights::lora::Family;

/// A model, a file or a picture that was named.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ModelReport {
    /// As it was named.
    pub target: String,
    /// Its family.
    pub family: Option<Family>,
    /// What it was made for, or which of the family's models it is like.
    pub variant: Option<String>,
    /// What the denoiser predicts: "epsilon", "v_prediction", "flow".
    pub prediction: Option<String>,
    /// The licence, where it is known.
    pub licence: Option<String>,
    /// Whether this version runs such models; absent where that cannot be told.
    pub runs: Option<bool>,
    /// What is wrong with the whole: a part that is missing.
    pub problems: Vec<String>,
    /// What should be known and is no fault.
    pub notes: Vec<String>,
}

/// A file of weights, or several under one index.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FileReport {
    /// What it belongs to, as it was named.
    pub target: String,
    /// Its path inside of that; its name when it is all that was named.
    pub file: String,
    /// "safetensors", "pickle", "gguf", ...
    pub container: Option<&'static str>,
    /// Bytes of the file, or of all files under the index.
    pub bytes: u64,
    /// SHA-256, lower-case hex; of the index when there are several files.
    pub sha256: Option<String>,
    /// The checksum that it should have by the hub or the registry, where they know it: SHA-256, or git's hash of small files.
    pub published: Option<String>,
    /// The licence, where it is known.
    pub licence: Option<String>,
    /// The files under an index.
    pub shards: Vec<Shard>,
    /// What the tensors are.
    #[serde(flatten)]
    pub kind: Option<Kind>,
    /// Tensors of each type of number.
    pub types: BTreeMap<String, usize>,
    /// Tensors in the file.
    pub tensors: usize,
    /// Tensors that the model wants; absent when its config is not known.
    pub expected: Option<usize>,
    /// Tensors that the model wants and the file lacks.
    pub missing: Vec<String>,
    /// Tensors of another shape than the model wants.
    pub misshapen: Vec<Misshapen>,
    /// Tensors that the model has no use for. They are no fault.
    pub surplus: Vec<String>,
    /// Tensors with values that are no numbers or infinite.
    pub not_finite: Vec<NotFinite>,
    /// All that is wrong, in words.
    pub problems: Vec<String>,
    /// What should be known and is no fault.
    pub notes: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// One file of several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shard {
    /// Its name.
    pub file: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hex.
    pub sha256: Option<String>,
    /// As [`FileReport::published`].
    pub published: Option<String>,
}

/// A tensor of another shape than the model wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Misshapen {
    /// The tensor.
    pub tensor: String,
    /// Its shape in the file.
    pub found: Vec<usize>,
    /// The shape that the model wants.
    pub expected: Vec<usize>,
}

/// A picture made to see whether a model runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunReport {
    /// The model, as it was named.
    pub target: String,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Denoising steps.
    pub steps: usize,
    /// How long it took, loading included.
    pub seconds: f64,
    /// The most memory that the process held meanwhile, where the system tells.
    pub peak_bytes: Option<u64>,
    /// Why there is no picture, or none that is fit to be seen.
    pub problems: Vec<String>,
}

/// A picture whose recipe was run again, or looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PictureReport {
    /// The file.
    pub target: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Whether it tells how it was made.
    pub recipe: bool,
    /// With `--reproduce`: whether all pixels came out the same.
    pub identical: Option<bool>,
    /// With `--reproduce`: the largest difference of a value, of 255.
    pub max_difference: Option<u8>,
    /// With `--reproduce`: the mean difference, of 255.
    pub mean_difference: Option<f64>,
    /// What is wrong.
    pub problems: Vec<String>,
    /// What should be known and is no fault.
    pub notes: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// The end of all checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Things that were named.
    pub targets: usize,
    /// Files, pictures and runs.
    pub checks: usize,
    /// Those that failed.
    pub failed: usize,
    /// How long it took.
    pub seconds: f64,
}
