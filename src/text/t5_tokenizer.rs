//! T5's tokenizer, equal to `T5Tokenizer` of transformers 5: the vocabulary's own normalisation of characters, words at white space,
//! each cut into the pieces of the highest score (a unigram model, Kudo 2018).

use serde::Deserialize;
use serde_json::Value;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{AddedToken, Tokenizer};

use super::vocabulary::broken;
use crate::error::{Error, Result};

/// Pieces and their scores, shared by all published models.
const VOCABULARY: &str = include_str!("../../assets/t5/vocabulary.tsv");
/// The table by which characters are normalised.
const CHARSMAP: &[u8] = include_bytes!("../../assets/t5/charsmap.bin");

/// What a message calls the vocabulary inside the binary.
const EMBEDDED: &str = "embedded T5 vocabulary";

/// The pieces with a meaning of their own, whose ids are fixed in T5.
const SPECIAL: [&str; 3] = ["<pad>", "</s>", "<unk>"];
const PAD: u32 = 0;
const END: u32 = 1;
const UNKNOWN: usize = 2;

/// T5's tokenizer.
#[derive(Debug, Clone)]
pub struct T5Tokenizer {
    inner: Tokenizer,
}

/// A text as the encoder takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct T5Tokens {
    /// As many as were asked for: the text's, the end, padding.
    pub ids: Vec<u32>,
    /// The end of the text that found no place.
    pub cut: Option<String>,
}

#[derive(Deserialize)]
struct TokenizerJson {
    model: Model,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    added_tokens: Vec<Added>,
}

#[derive(Deserialize)]
struct Model {
    vocab: Vec<(String, f64)>,
}

#[derive(Deserialize)]
struct Added {
    content: String,
}

impl T5Tokenizer {
    /// The tokenizer of T5 itself (32100 pieces), for models that bring none.
    ///
    /// # Errors
    /// Never for a sound build: the vocabulary is inside the binary.
    pub fn embedded() -> Result<Self> {
        let piece = |line: &str| {
            let (piece, score) = line.split_once('\t')?;
            // Scores are f32; what is written is the shortest text that gives them.
            Some((piece.to_string(), f64::from(score.parse::<f32>().ok()?)))
        };
        let vocabulary: Option<Vec<(String, f64)>> = VOCABULARY.lines().map(piece).collect();
        let vocabulary = vocabulary.ok_or_else(|| broken(EMBEDDED, "vocabulary.tsv", "a line is no piece"))?;
        let charsmap = Precompiled::from(CHARSMAP).map_err(|e| broken(EMBEDDED, "charsmap.bin", e))?;
        let sentinels =
            vocabulary.iter().map(|(piece, _)| piece.clone()).filter(|piece| piece.starts_with("<extra_id_"));
        let sentinels: Vec<String> = sentinels.collect();
        Self::build(EMBEDDED, vocabulary, Some(charsmap), &sentinels)
    }

    /// The tokenizer of a `tokenizer.json`; `label` is what a message calls its folder. Of the file its pieces, their scores and the
    /// table of characters count, as in transformers; how words are found is the same for all.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is damaged or of another tokenizer.
    pub fn from_json(label: &str, json: &[u8]) -> Result<Self> {
        let file = |e: serde_json::Error| broken(label, "tokenizer.json", e);
        let json: TokenizerJson = serde_json::from_slice(json).map_err(file)?;
        // From text: the library borrows the table from it. Its own message would quote all of it.
        let table = |value: &Value| serde_json::from_str::<Precompiled>(&value.to_string()).ok();
        let table =
            |value| table(value).ok_or_else(|| broken(label, "tokenizer.json", "its table of characters is damaged"));
        let charsmap = precompiled(&json.normalizer).map(table).transpose()?;
        let added: Vec<String> = json.added_tokens.into_iter().map(|added| added.content).collect();
        Self::build(label, json.model.vocab, charsmap, &added)
    }

    fn build(
        label: &str,
        vocabulary: Vec<(String, f64)>,
        charsmap: Option<Precompiled>,
        added: &[String],
    ) -> Result<Self> {
        let damaged = |what: String| broken(label, "vocabulary", what);
        for (id, special) in SPECIAL.iter().enumerate() {
            if vocabulary.get(id).is_none_or(|(piece, _)| piece != special) {
                return Err(damaged(format!("`{special}` is not at its place, {id}")));
            }
        }
        let library = |e: tokenizers::Error| broken(label, "vocabulary", e);
        let mut inner = Tokenizer::new(Unigram::from(vocabulary, Some(UNKNOWN), false).map_err(library)?);
        inner.with_normalizer(charsmap).map_err(library)?;
        let pieces = Metaspace::new('▁', PrependScheme::Always, true);
        inner.with_pre_tokenizer(Some(Sequence::new(vec![WhitespaceSplit.into(), pieces.clone().into()])));
        inner.with_decoder(Some(pieces));
        let special = SPECIAL.into_iter().chain(added.iter().map(String::as_str));
        inner.add_special_tokens(special.map(|token| AddedToken::from(token, true))).map_err(library)?;
        Ok(T5Tokenizer { inner })
    }

    /// Pieces, those that were added included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The ids of a text for `places` places, the end token always among them.
    ///
    /// # Errors
    /// [`Error::Model`] when the tokenizer library fails.
    pub fn encode(&self, text: &str, places: usize) -> Result<T5Tokens> {
        let encoding = self.inner.encode_fast(text, false).map_err(|e| {
            Error::model(
                format!("the T5 tokenizer cannot read the prompt: {e}"),
                "the model's tokenizer files are incomplete",
            )
        })?;
        let all = encoding.get_ids();
        let kept = all.len().min(places.saturating_sub(1));
        let mut ids = all[..kept].to_vec();
        ids.push(END);
        ids.resize(places, PAD);
        // Fails for no ids: unknown ones are left out.
        let cut = (kept < all.len()).then(|| self.inner.decode(&all[kept..], false).unwrap_or_default());
        Ok(T5Tokens { ids, cut })
    }
}

/// The table of characters in a normaliser, which may be one of several in a row.
fn precompiled(normalizer: &Value) -> Option<&Value> {
    if normalizer["type"] == "Precompiled" {
        return Some(normalizer);
    }
    normalizer["normalizers"].as_array()?.iter().find_map(precompiled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fixture, json};

    /// Prompt, ids of the whole vocabulary, ids of the small one.
    fn rows() -> Vec<(String, Vec<u32>, Vec<u32>)> {
        json("tokenizers/t5.json")
    }

    fn differing(tokenizer: &T5Tokenizer, expected: impl Fn(usize) -> Vec<u32>) -> Vec<String> {
        let rows = rows();
        let differs = |(index, (prompt, ..)): &(usize, &(String, Vec<u32>, Vec<u32>))| {
            let expected = expected(*index);
            let tokens = tokenizer.encode(prompt, expected.len()).unwrap();
            tokens.ids != expected || tokens.cut.is_some()
        };
        rows.iter().enumerate().filter(differs).map(|(_, (prompt, ..))| prompt.clone()).collect()
    }

    #[test]
    fn ids_equal_the_reference() {
        let rows = rows();
        assert!(rows.len() > 60);
        let whole = T5Tokenizer::embedded().unwrap();
        assert_eq!(differing(&whole, |i| rows[i].1.clone()), Vec::<String>::new());
    }

    #[test]
    fn a_model_s_own_vocabulary_and_table_of_characters_count() {
        let rows = rows();
        let json = std::fs::read(fixture("models/flux-dev/tokenizer_2/tokenizer.json")).unwrap();
        let small = T5Tokenizer::from_json("flux-dev", &json).unwrap();
        // That model's tokenizer has no such table: what the table would change differs, and nothing else.
        let differing = differing(&small, |i| rows[i].2.clone());
        assert!((1..=7).contains(&differing.len()), "{differing:?}");
        assert!(
            differing.iter().any(|prompt| prompt.contains('½'))
                && differing.iter().all(|prompt| !prompt.is_ascii() || prompt.contains('\u{1}'))
        );
    }

    #[test]
    fn the_table_of_characters_is_read_from_a_file() {
        let charsmap = Precompiled::from(CHARSMAP).unwrap();
        let normalizer = serde_json::to_value(&charsmap).unwrap();
        let vocabulary: Vec<(&str, f64)> = VOCABULARY
            .lines()
            .map(|line| line.split_once('\t').unwrap())
            .map(|(p, s)| (p, s.parse().unwrap()))
            .collect();
        let json = serde_json::json!({
            "normalizer": { "type": "Sequence", "normalizers": [normalizer] },
            "model": { "vocab": vocabulary },
        });
        let tokenizer = T5Tokenizer::from_json("t5", json.to_string().as_bytes()).unwrap();
        let ids = |tokenizer: &T5Tokenizer| tokenizer.encode("½ cup ﬁ", 12).unwrap();
        assert_eq!(ids(&tokenizer), ids(&T5Tokenizer::embedded().unwrap()));
    }

    #[test]
    fn what_is_too_long_is_cut_before_the_end_and_told() {
        let tokenizer = T5Tokenizer::embedded().unwrap();
        let tokens = tokenizer.encode("a red apple on a table", 4).unwrap();
        assert_eq!((tokens.ids[3], tokens.ids.len()), (END, 4));
        assert_eq!(tokens.cut.as_deref(), Some("apple on a table"));
        let whole = tokenizer.encode("a red apple on a table", 9).unwrap();
        assert_eq!(whole.ids[..3], tokens.ids[..3]);
        assert_eq!((&whole.ids[6..], whole.cut), (&[9, 953, END][..], None));
        assert_eq!(tokenizer.encode(" ", 3).unwrap().ids, [END, PAD, PAD]);
    }

    #[test]
    fn faulty_files_are_named() {
        let error = |json: &str| T5Tokenizer::from_json("my/tokenizer", json.as_bytes()).unwrap_err().to_string();
        assert!(error("{").contains("`my/tokenizer` is damaged: tokenizer.json"));
        let table =
            r#"{"model": {"vocab": []}, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}"#;
        assert!(error(table).contains("its table of characters is damaged"));
        assert!(error(r#"{"model": {"vocab": {"a": 1}}}"#).contains("tokenizer.json"));
        assert!(
            error(r#"{"model": {"vocab": [["<pad>", 0.0], ["a", 1.0]]}}"#).contains("`</s>` is not at its place, 1")
        );
    }
}
