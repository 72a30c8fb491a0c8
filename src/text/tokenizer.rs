//! CLIP's tokenizer, equal to `CLIPTokenizer` of transformers 5: NFC, white space collapsed, Unicode lower case, no ftfy,
//! byte-level BPE with ends of words.

use std::path::Path;

use tokenizers::models::bpe::{Vocab, BPE};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, Replace, Sequence as Normalizers, NFC};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::vocabulary::{broken, OwnedFiles, TokenizerFiles, Vocabulary, END};
use crate::error::{Error, Result};

/// What CLIP takes for a word: special tokens, English contractions, letters, one digit, other signs.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The mark of a word's end in the vocabulary.
const END_OF_WORD: &str = "</w>";

/// What a text is padded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// The end token: Stable Diffusion 1.x, the first encoder of SDXL, SD3 and FLUX.
    End,
    /// `!`, whose id is 0: Stable Diffusion 2.x, the second encoder of SDXL and SD3.
    Zero,
}

/// CLIP's tokenizer with its special tokens.
#[derive(Debug, Clone)]
pub struct ClipTokenizer {
    inner: Tokenizer,
    bos: u32,
    eos: u32,
    pad: u32,
    comma: Option<u32>,
    max_length: usize,
}

impl ClipTokenizer {
    /// The tokenizer of the original CLIP (49408 tokens), for models that bring none.
    ///
    /// # Errors
    /// Never for a sound build: the vocabulary is inside the binary.
    pub fn embedded(padding: Padding) -> Result<Self> {
        let pad = match padding {
            Padding::End => END,
            Padding::Zero => "!",
        };
        Self::of_vocabulary("embedded CLIP vocabulary", Vocabulary::of_clip(pad)?)
    }

    /// The tokenizer in a folder of a diffusers model (`tokenizer/`, `tokenizer_2/`).
    ///
    /// # Errors
    /// [`Error::Model`] when a file is missing or damaged, [`Error::Io`] when one cannot be read.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        Self::from_files(&OwnedFiles::read(folder)?.borrow(&folder.display().to_string()))
    }

    /// The tokenizer of files in memory.
    ///
    /// # Errors
    /// [`Error::Model`] when a file is missing or damaged.
    pub fn from_files(files: &TokenizerFiles) -> Result<Self> {
        Self::of_vocabulary(files.label, Vocabulary::of_files(files)?)
    }

    fn of_vocabulary(label: &str, vocabulary: Vocabulary) -> Result<Self> {
        let id = |token: &str| {
            let id = vocabulary.tokens.get(token).copied();
            id.ok_or_else(|| broken(label, "vocabulary", format!("the special token `{token}` is not in it")))
        };
        let (bos, eos, pad) = (id(&vocabulary.bos)?, id(&vocabulary.eos)?, id(&vocabulary.pad)?);
        let comma = vocabulary.tokens.get(",</w>").copied();
        let max_length = vocabulary.max_length;
        let inner = build(vocabulary).map_err(|e| broken(label, "vocabulary", e))?;
        Ok(ClipTokenizer { inner, bos, eos, pad, comma, max_length })
    }

    /// Token ids of a text, without start, end and padding, of any length.
    ///
    /// # Errors
    /// [`Error::Model`] when the vocabulary lacks a byte of the text and its unknown token too.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false).map_err(|e| {
            Error::model(
                format!("the tokenizer cannot read the prompt: {e}"),
                "the model's tokenizer files are incomplete",
            )
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text that the ids stand for, lower case, one space between words.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        // Fails for no ids: unknown ones are left out and bytes that are no UTF-8 replaced.
        let text = self.inner.decode(ids, false).unwrap_or_default();
        text.replace(END_OF_WORD, " ").trim().to_string()
    }

    /// The id of a token as the vocabulary writes it (`apple</w>`).
    #[must_use]
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The start token.
    #[must_use]
    pub fn bos(&self) -> u32 {
        self.bos
    }

    /// The end token.
    #[must_use]
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// What fills the places behind the end token.
    #[must_use]
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// The comma as a word of its own, if the vocabulary has it.
    #[must_use]
    pub fn comma(&self) -> Option<u32> {
        self.comma
    }

    /// Places of the text encoder with start and end: 77 in all published models.
    #[must_use]
    pub fn max_length(&self) -> usize {
        self.max_length
    }
}

fn build(vocabulary: Vocabulary) -> tokenizers::Result<Tokenizer> {
    let bpe = BPE::builder()
        .vocab_and_merges(vocabulary.tokens.into_iter().collect::<Vocab>(), vocabulary.merges)
        .end_of_word_suffix(END_OF_WORD.into())
        .unk_token(vocabulary.eos.clone())
        .build()?;
    let mut tokenizer = Tokenizer::new(bpe);
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ")?;
    tokenizer.with_normalizer(Some(Normalizers::new(vec![NFC.into(), spaces.into(), Lowercase.into()])))?;
    let words = Split::new(SplitPattern::Regex(WORDS.into()), SplitDelimiterBehavior::Removed, true)?;
    let bytes = ByteLevel::default().add_prefix_space(false);
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let special = [vocabulary.bos, vocabulary.eos].map(|token| AddedToken::from(token, true).normalized(true));
    tokenizer.add_special_tokens(special)?;
    for (token, id) in vocabulary.added {
        tokenizer.add_tokens([AddedToken::from(token.clone(), false)])?;
        if tokenizer.token_to_id(&token) != Some(id) {
            return Err(
                format!("the added token `{token}` has the id {id}, which does not follow the vocabulary").into()
            );
        }
    }
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fixture, json};
    use crate::text::vocabulary::START;

    #[derive(serde::Deserialize)]
    struct Table {
        rows: Vec<Row>,
    }

    #[derive(serde::Deserialize)]
    struct Row {
        prompt: String,
        clip: Vec<u32>,
        clip_small: Vec<u32>,
    }

    fn small_folder() -> std::path::PathBuf {
        fixture("models/sd15/tokenizer")
    }

    fn small(file: &str) -> Vec<u8> {
        std::fs::read(small_folder().join(file)).unwrap()
    }

    fn with_ends(tokenizer: &ClipTokenizer, text: &str) -> Vec<u32> {
        let ids = tokenizer.encode(text).unwrap();
        [vec![tokenizer.bos()], ids, vec![tokenizer.eos()]].concat()
    }

    #[test]
    fn ids_equal_those_of_transformers_with_both_vocabularies() {
        let table: Table = json("tokenizers/clip.json");
        let full = ClipTokenizer::embedded(Padding::End).unwrap();
        let small = ClipTokenizer::from_folder(&small_folder()).unwrap();
        assert_eq!(table.rows.len(), 64);
        for row in table.rows {
            assert_eq!(with_ends(&full, &row.prompt), row.clip, "full: {:?}", row.prompt);
            assert_eq!(with_ends(&small, &row.prompt), row.clip_small, "small: {:?}", row.prompt);
        }
    }

    #[test]
    fn special_tokens_of_the_embedded_vocabulary() {
        let end = ClipTokenizer::embedded(Padding::End).unwrap();
        assert_eq!((end.bos(), end.eos(), end.pad(), end.max_length()), (49406, 49407, 49407, 77));
        assert_eq!((end.comma(), end.token_id("cat</w>")), (Some(267), Some(2368)));
        assert_eq!(ClipTokenizer::embedded(Padding::Zero).unwrap().pad(), 0);
    }

    #[test]
    fn decoding_gives_the_words_back() {
        let tokenizer = ClipTokenizer::embedded(Padding::End).unwrap();
        let ids = tokenizer.encode("A Café, supercalifragilistic 東京").unwrap();
        assert_eq!(tokenizer.decode(&ids), "a café , supercalifragilistic 東京");
        assert_eq!(tokenizer.decode(&[]), "");
    }

    #[test]
    fn tokenizer_json_is_read_like_the_two_files() {
        let vocab: serde_json::Value = serde_json::from_slice(&small("vocab.json")).unwrap();
        let merges = String::from_utf8(small("merges.txt")).unwrap();
        let lines: Vec<&str> = merges.lines().skip(1).collect();
        let pairs: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
        let two_files = ClipTokenizer::from_folder(&small_folder()).unwrap();
        for merges in [serde_json::json!(lines), serde_json::json!(pairs)] {
            let added = serde_json::json!([{ "id": 798, "content": START }, { "id": 800, "content": "<my-style>" }]);
            let json = serde_json::json!({ "added_tokens": added, "model": { "vocab": vocab, "merges": merges } });
            let bytes = serde_json::to_vec(&json).unwrap();
            let files = TokenizerFiles { label: "t", tokenizer_json: Some(&bytes), ..Default::default() };
            let tokenizer = ClipTokenizer::from_files(&files).unwrap();
            let text = "A red apple, the table";
            assert_eq!(tokenizer.encode(text).unwrap(), two_files.encode(text).unwrap());
            assert_eq!(tokenizer.encode("<my-style>").unwrap(), [800]);
        }
    }

    #[test]
    fn padding_comes_from_the_small_files() {
        let (vocab, merges) = (small("vocab.json"), small("merges.txt"));
        let pad = |config: &str, map: &str| {
            let files = TokenizerFiles {
                label: "t",
                vocab: Some(&vocab),
                merges: Some(&merges),
                config: Some(config.as_bytes()),
                special_tokens_map: Some(map.as_bytes()),
                ..Default::default()
            };
            let tokenizer = ClipTokenizer::from_files(&files).unwrap();
            (tokenizer.pad(), tokenizer.max_length())
        };
        assert_eq!(pad(r#"{"pad_token": "!"}"#, "{}"), (0, 77));
        assert_eq!(pad("{}", "{}"), (799, 77));
        assert_eq!(pad(r#"{"pad_token": "<|endoftext|>"}"#, r#"{"pad_token": {"content": "!"}}"#), (0, 77));
        let newer = r#"{"pad_token": "<|endoftext|>", "added_tokens_decoder": {}, "model_max_length": 1e30}"#;
        assert_eq!(pad(newer, r#"{"pad_token": "!"}"#), (799, 77));
        assert_eq!(pad(r#"{"model_max_length": 40}"#, "{}"), (799, 40));
    }

    #[test]
    fn faulty_files_are_named() {
        let vocab = small("vocab.json");
        let error = |files: TokenizerFiles| ClipTokenizer::from_files(&files).unwrap_err().to_string();
        let base = TokenizerFiles { label: "my/tokenizer", vocab: Some(&vocab), ..Default::default() };
        assert_eq!(error(base), "the tokenizer `my/tokenizer` has no `merges.txt`");
        let no_vocab = TokenizerFiles { vocab: None, merges: Some(b"a b"), ..base };
        assert_eq!(error(no_vocab), "the tokenizer `my/tokenizer` has no `vocab.json`");
        let strange = TokenizerFiles { merges: Some(b"#version: 0.2\ni n\nin</w> quux\n"), ..base };
        assert!(error(strange).contains("merges.txt: `quux` is not in the vocabulary"));
        let no_pair = TokenizerFiles { merges: Some(b"#version: 0.2\nin\n"), ..base };
        assert!(error(no_pair).contains("merges.txt: line 2 is no pair"));
        let no_json = TokenizerFiles { vocab: Some(b"{\"a\": "), merges: Some(b"a b"), ..base };
        assert!(error(no_json).contains("vocab.json: EOF while parsing"));
        let no_special = TokenizerFiles { vocab: Some(b"{\"a\": 0}"), merges: Some(b""), ..base };
        assert!(error(no_special).contains("the special token `<|startoftext|>` is not in it"));
        let json = br#"{"model": {"vocab": {}, "merges": ["ab"]}}"#;
        let no_merge = TokenizerFiles { label: "t", tokenizer_json: Some(json), ..Default::default() };
        assert!(error(no_merge).contains("`ab` is no merge"));
        let missing = ClipTokenizer::from_folder(Path::new("no/such/folder")).unwrap_err();
        assert_eq!((missing.exit_code(), missing.hint().is_some()), (3, true));
    }
}
