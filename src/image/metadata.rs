//! Which texts go into a picture.

use std::path::Path;

use super::chunk::{FileHash, SdgenChunk};
use super::infotext::{Infotext, SamplerLabels};
use super::png::TextChunk;
use crate::request::Request;

/// How much a picture says about its making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum MetadataMode {
    /// A1111's text, and all settings as JSON
    #[default]
    Full,
    /// A1111's text only
    A1111,
    /// Nothing
    None,
}

/// What a picture's metadata says besides its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The model's name without its place: see [`model_label`].
    pub model_name: String,
    /// First 10 digits of the hash of the main weights, when it was computed: [`short_hash`](super::short_hash).
    pub model_hash: Option<String>,
    /// The weight files whose hashes are known.
    pub model_files: Vec<FileHash>,
    /// The LoRAs: those that the request lists, in their order, then those that the prompt names.
    pub loras: Vec<LoraFacts>,
    /// sdgen's version.
    pub version: String,
    /// "cpu", "cuda:0", "metal".
    pub device: String,
    /// "f32", "bf16", "f16".
    pub dtype: String,
}

/// What a picture says about a LoRA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraFacts {
    /// Its name in tags.
    pub name: String,
    /// The name under which it is found again: never a path.
    pub file: String,
    /// The tag that asks for it, where the prompt does not have one.
    pub tag: Option<String>,
    /// The SHA-256 of its file, where it is known.
    pub sha256: Option<String>,
    /// The hash that A1111 and CivitAI know it by: [`lora_hash`](super::lora_hash).
    pub short_hash: Option<String>,
}

/// The texts of a picture: picture `batch_index` of what `request`, which is complete, makes.
#[must_use]
pub fn metadata(
    mode: MetadataMode,
    request: &Request,
    batch_index: usize,
    labels: &SamplerLabels,
    provenance: &Provenance,
) -> Vec<TextChunk> {
    let mut texts = Vec::new();
    if mode != MetadataMode::None {
        let parameters = Infotext::new(request, labels, provenance).to_string();
        texts.push(TextChunk::new("parameters", parameters));
        texts.push(TextChunk::new("Software", format!("sdgen {}", provenance.version)));
    }
    if mode == MetadataMode::Full {
        let chunk = SdgenChunk::new(request, batch_index, provenance);
        texts.push(TextChunk::new(SdgenChunk::KEYWORD, chunk.to_json()));
    }
    texts
}

/// What a model is called in a picture: the alias that was typed, or the last part of the path. Never a folder above it.
#[must_use]
pub fn model_label(typed: &str) -> String {
    // Both separators everywhere: a path of another system must not slip through.
    let last = |path: &str| path.rsplit(['/', '\\']).find(|part| !part.is_empty()).map(str::to_owned);
    match last(typed) {
        Some(name) if name != "." && name != ".." && !name.ends_with(':') => name,
        // `.` and its like: the folder they mean.
        _ => {
            let full = Path::new(typed).canonicalize().ok();
            full.and_then(|path| last(&path.to_string_lossy())).unwrap_or_else(|| "model".into())
        }
    }
}

#[cfg(test)]
impl Provenance {
    pub(super) fn for_tests() -> Self {
        Provenance {
            model_name: "v1-5".into(),
            model_hash: Some("6ce0161689".into()),
            loras: Vec::new(),
            model_files: vec![FileHash { name: "unet/model.safetensors".into(), sha256: "6ce0161689b3".into() }],
            version: "1.2.3".into(),
            device: "cpu".into(),
            dtype: "f32".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_decides_the_chunks() {
        let labels = SamplerLabels { sampler: "Euler".into(), schedule_type: "Normal".into() };
        let keywords = |mode| {
            let texts = metadata(mode, &Request::default(), 0, &labels, &Provenance::for_tests());
            texts.into_iter().map(|chunk| chunk.keyword).collect::<Vec<_>>()
        };
        assert_eq!(keywords(MetadataMode::Full), ["parameters", "Software", "sdgen"]);
        assert_eq!(keywords(MetadataMode::A1111), ["parameters", "Software"]);
        assert!(keywords(MetadataMode::None).is_empty());
    }

    #[test]
    fn the_modes_have_the_names_of_the_command_line() {
        use clap::ValueEnum;
        for (name, mode) in [("full", MetadataMode::Full), ("a1111", MetadataMode::A1111), ("none", MetadataMode::None)]
        {
            assert_eq!(MetadataMode::from_str(name, false), Ok(mode));
        }
    }

    #[test]
    fn models_are_called_by_their_last_name() {
        for (typed, label) in [
            ("emoji", "emoji"),
            ("/home/someone/sd-v1.5", "sd-v1.5"),
            ("models/sd-v1.5/", "sd-v1.5"),
            ("C:\\Users\\someone\\sd", "sd"),
            ("/home/someone/x.safetensors", "x.safetensors"),
            ("no/such/..", "model"),
            ("C:\\", "model"),
            ("", "model"),
            ("/", "model"),
        ] {
            assert_eq!(model_label(typed), label, "{typed}");
        }
        let here = std::env::current_dir().unwrap();
        assert_eq!(model_label("."), here.file_name().unwrap().to_string_lossy());
    }
}
