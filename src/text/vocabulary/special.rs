//! The tokens that mean something else than text, and the length of a prompt, as a tokenizer's files tell them.

use serde::Deserialize;

use super::{parse_json, TokenizerFiles, CLIP_CONTEXT};
use crate::Result;

/// What `tokenizer_config.json` and `special_tokens_map.json` say.
#[derive(Default)]
pub(super) struct SpecialTokens {
    pub(super) bos_token: Option<String>,
    pub(super) eos_token: Option<String>,
    pub(super) pad_token: Option<String>,
    pub(super) max_length: usize,
}

#[derive(Default, Deserialize)]
struct SpecialTokensFile {
    bos_token: Option<Special>,
    eos_token: Option<Special>,
    pad_token: Option<Special>,
    /// A float: an unset length is written as 1e30.
    model_max_length: Option<f64>,
    added_tokens_decoder: Option<serde::de::IgnoredAny>,
}

/// A token is written as its text or as an object with settings.
#[derive(Deserialize)]
#[serde(untagged)]
enum Special {
    Text(String),
    Object { content: String },
}

impl Special {
    fn text(self) -> String {
        match self {
            Special::Text(text) | Special::Object { content: text } => text,
        }
    }
}

impl SpecialTokens {
    /// As transformers: `special_tokens_map.json` is an older file that overrides the config, unless the config is of the
    /// newer kind with `added_tokens_decoder`.
    pub(super) fn of_files(files: &TokenizerFiles) -> Result<Self> {
        let read = |file: &str, bytes: Option<&[u8]>| -> Result<SpecialTokensFile> {
            bytes.map_or_else(|| Ok(SpecialTokensFile::default()), |bytes| parse_json(files.label, file, bytes))
        };
        let config = read("tokenizer_config.json", files.config)?;
        let map = read("special_tokens_map.json", files.special_tokens_map)?;
        let length = config.model_max_length.filter(|n| *n >= 3.0 && *n <= CLIP_CONTEXT as f64);
        let max_length = length.map_or(CLIP_CONTEXT, |n| n as usize);
        let (first, second) = if config.added_tokens_decoder.is_some() { (config, map) } else { (map, config) };
        let pick = |a: Option<Special>, b: Option<Special>| a.or(b).map(Special::text);
        Ok(SpecialTokens {
            bos_token: pick(first.bos_token, second.bos_token),
            eos_token: pick(first.eos_token, second.eos_token),
            pad_token: pick(first.pad_token, second.pad_token),
            max_length,
        })
    }
}
