//! The files of a CLIP tokenizer: `vocab.json` + `merges.txt`, or `tokenizer.json`, and the two small files that name its
//! special tokens. Reads and checks them; [`super::tokenizer`] does the tokenising.

mod special;

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;

use serde::Deserialize;

use self::special::SpecialTokens;
use crate::error::{Error, Result};

/// Byte-pair merges of the original CLIP, shared by every published Stable Diffusion model.
const CLIP_MERGES: &str = include_str!("../../assets/clip/merges.txt");

/// The first token of every text.
pub const START: &str = "<|startoftext|>";
/// The last token of every text.
pub const END: &str = "<|endoftext|>";

/// Places of CLIP's context. A larger or absent `model_max_length` means nobody set it.
const CLIP_CONTEXT: usize = 77;

/// The contents of a tokenizer folder. Absent files are `None`; `vocab` and `merges`, or `tokenizer_json`, must be there.
#[derive(Debug, Default, Clone, Copy)]
pub struct TokenizerFiles<'a> {
    /// What a message calls the folder.
    pub label: &'a str,
    /// `vocab.json`: token -> id.
    pub vocab: Option<&'a [u8]>,
    /// `merges.txt`: a merge a line.
    pub merges: Option<&'a [u8]>,
    /// `tokenizer.json`, used when one of the former is absent.
    pub tokenizer_json: Option<&'a [u8]>,
    /// `added_tokens.json`: tokens beyond the vocabulary.
    pub added_tokens: Option<&'a [u8]>,
    /// `tokenizer_config.json`.
    pub config: Option<&'a [u8]>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<&'a [u8]>,
}

/// The files of the original CLIP's tokenizer, as a folder in diffusers' layout has them: names and texts. It pads with the end token,
/// or with the token of id 0.
///
/// # Errors
/// Never for a sound build: the vocabulary is inside the binary.
pub fn clip_files(pads_with_end: bool) -> Result<[(&'static str, String); 3]> {
    let pad = if pads_with_end { END } else { "!" };
    let vocabulary = Vocabulary::of_clip(pad)?;
    let mut tokens: Vec<(String, u32)> = vocabulary.tokens.into_iter().collect();
    tokens.sort_by_key(|(_, id)| *id);
    let tokens: serde_json::Map<String, serde_json::Value> =
        tokens.into_iter().map(|(token, id)| (token, id.into())).collect();
    let config = serde_json::json!({
        "add_prefix_space": false,
        "bos_token": START,
        "do_lower_case": true,
        "eos_token": END,
        "errors": "replace",
        "model_max_length": CLIP_CONTEXT,
        "pad_token": pad,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": END,
    });
    Ok([
        ("vocab.json", serde_json::Value::Object(tokens).to_string()),
        ("merges.txt", CLIP_MERGES.into()),
        ("tokenizer_config.json", config.to_string()),
    ])
}

/// A checked vocabulary.
pub(super) struct Vocabulary {
    pub tokens: HashMap<String, u32>,
    pub merges: Vec<(String, String)>,
    /// Tokens beyond `tokens`, in the order of their ids.
    pub added: Vec<(String, u32)>,
    pub bos: String,
    pub eos: String,
    pub pad: String,
    pub max_length: usize,
}

impl Vocabulary {
    /// The vocabulary of the original CLIP: 256 bytes, the same as ends of words, the merges, two special tokens.
    pub fn of_clip(pad: &str) -> Result<Self> {
        let merges = parse_merges("embedded CLIP vocabulary", CLIP_MERGES.as_bytes())?;
        let bytes = byte_alphabet();
        let ends = bytes.iter().map(|c| format!("{c}</w>"));
        let tokens = bytes
            .iter()
            .map(char::to_string)
            .chain(ends)
            .chain(merges.iter().map(|(a, b)| format!("{a}{b}")))
            .chain([START.to_string(), END.to_string()])
            .zip(0..)
            .collect();
        Ok(Vocabulary {
            tokens,
            merges,
            added: Vec::new(),
            bos: START.into(),
            eos: END.into(),
            pad: pad.into(),
            max_length: CLIP_CONTEXT,
        })
    }

    /// Reads and checks the files of a folder.
    pub fn of_files(files: &TokenizerFiles) -> Result<Self> {
        let (tokens, merges, mut added) = match (files.vocab, files.merges, files.tokenizer_json) {
            (Some(vocab), Some(merges), _) => {
                let tokens = parse_json(files.label, "vocab.json", vocab)?;
                (tokens, parse_merges(files.label, merges)?, Vec::new())
            }
            (_, _, Some(json)) => parse_tokenizer_json(files.label, json)?,
            (Some(_), None, None) => return Err(missing(files.label, "merges.txt")),
            (None, _, None) => return Err(missing(files.label, "vocab.json")),
        };
        if let Some(bytes) = files.added_tokens {
            let more: HashMap<String, u32> = parse_json(files.label, "added_tokens.json", bytes)?;
            added.extend(more);
        }
        added.retain(|(token, _)| !tokens.contains_key(token));
        added.sort_by_key(|(_, id)| *id);
        added.dedup();
        let special = SpecialTokens::of_files(files)?;
        check_merges(files.label, &tokens, &merges)?;
        Ok(Vocabulary {
            tokens,
            merges,
            added,
            bos: special.bos_token.unwrap_or_else(|| START.into()),
            pad: special.pad_token.or_else(|| special.eos_token.clone()).unwrap_or_else(|| END.into()),
            eos: special.eos_token.unwrap_or_else(|| END.into()),
            max_length: special.max_length,
        })
    }
}

/// The characters that byte-level BPE writes for the bytes 0 to 255, in CLIP's order: printable ones for themselves, first.
fn byte_alphabet() -> Vec<char> {
    let printable = |b: &u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let own = (0..=u8::MAX).filter(printable).map(char::from);
    let others = (0..=u8::MAX).filter(|b| !printable(b)).count();
    own.chain(('\u{100}'..).take(others)).collect()
}

fn parse_json<'a, T: Deserialize<'a>>(label: &str, file: &str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| broken(label, file, e))
}

fn parse_merges(label: &str, bytes: &[u8]) -> Result<Vec<(String, String)>> {
    let text = std::str::from_utf8(bytes).map_err(|e| broken(label, "merges.txt", e))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with("#version"));
    lines
        .map(|(number, line)| {
            let pair = line.split_once(' ').filter(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains(' '));
            let (a, b) = pair.ok_or_else(|| broken(label, "merges.txt", format!("line {} is no pair", number + 1)))?;
            Ok((a.to_string(), b.to_string()))
        })
        .collect()
}

/// Every merge's parts and result must be tokens; otherwise vocabulary and merges are of different models.
fn check_merges(label: &str, tokens: &HashMap<String, u32>, merges: &[(String, String)]) -> Result<()> {
    let unknown = merges
        .iter()
        .flat_map(|(a, b)| [a.clone(), b.clone(), format!("{a}{b}")])
        .find(|token| !tokens.contains_key(token));
    match unknown {
        Some(token) => Err(broken(label, "merges.txt", format!("`{token}` is not in the vocabulary"))),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
struct TokenizerJson {
    model: BpeModel,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct BpeModel {
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

/// Older files write a merge as one string, newer ones as a pair.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Line(String),
    Pair(String, String),
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

type Parts = (HashMap<String, u32>, Vec<(String, String)>, Vec<(String, u32)>);

fn parse_tokenizer_json(label: &str, bytes: &[u8]) -> Result<Parts> {
    let json: TokenizerJson = parse_json(label, "tokenizer.json", bytes)?;
    let merges = json.model.merges.into_iter().map(|merge| match merge {
        Merge::Pair(a, b) => Ok((a, b)),
        Merge::Line(line) => match line.split_once(' ') {
            Some((a, b)) => Ok((a.to_string(), b.to_string())),
            None => Err(broken(label, "tokenizer.json", format!("`{line}` is no merge"))),
        },
    });
    let added = json.added_tokens.into_iter().map(|token| (token.content, token.id)).collect();
    Ok((json.model.vocab, merges.collect::<Result<_>>()?, added))
}

/// The files of a folder, owned.
#[derive(Default)]
pub(super) struct OwnedFiles {
    vocab: Option<Vec<u8>>,
    merges: Option<Vec<u8>>,
    tokenizer_json: Option<Vec<u8>>,
    added_tokens: Option<Vec<u8>>,
    config: Option<Vec<u8>>,
    special_tokens_map: Option<Vec<u8>>,
}

impl OwnedFiles {
    /// Those that lie in a folder, of which none has to be there.
    ///
    /// # Errors
    /// When one is there and cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            match crate::files::read_small(&path) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(Error::io("read", path)(e)),
            }
        };
        let (vocab, merges) = (read("vocab.json")?, read("merges.txt")?);
        let tokenizer_json = if vocab.is_some() && merges.is_some() { None } else { read("tokenizer.json")? };
        Ok(OwnedFiles {
            vocab,
            merges,
            tokenizer_json,
            added_tokens: read("added_tokens.json")?,
            config: read("tokenizer_config.json")?,
            special_tokens_map: read("special_tokens_map.json")?,
        })
    }

    /// The same for reading a tokenizer from; `label` is what messages call them.
    pub fn borrow<'a>(&'a self, label: &'a str) -> TokenizerFiles<'a> {
        TokenizerFiles {
            label,
            vocab: self.vocab.as_deref(),
            merges: self.merges.as_deref(),
            tokenizer_json: self.tokenizer_json.as_deref(),
            added_tokens: self.added_tokens.as_deref(),
            config: self.config.as_deref(),
            special_tokens_map: self.special_tokens_map.as_deref(),
        }
    }
}

fn missing(label: &str, file: &str) -> Error {
    Error::model(
        format!("the tokenizer `{label}` has no `{file}`"),
        "a CLIP tokenizer is `vocab.json` with `merges.txt`, or `tokenizer.json`: copy them from the model's repository",
    )
}

pub(super) fn broken(label: &str, file: &str, what: impl Display) -> Error {
    Error::model(
        format!("the tokenizer `{label}` is damaged: {file}: {what}"),
        "copy the tokenizer again from the model's repository",
    )
}
