//! A prompt's tokens in chunks of the text encoder's length, a weight a token.
//!
//! A chunk is start, up to 75 tokens, end, padding. Reference: A1111's `tokenize_line` with `comma_padding_backtrack` 20: a
//! chunk that runs over ends behind its last comma, if that is near. `BREAK` ends a chunk.

use super::prompt::attention::Piece;
use super::tokenizer::ClipTokenizer;
use crate::error::Result;

/// How many tokens back a comma may lie for a chunk to end there.
const COMMA_BACKTRACK: usize = 20;

/// A word that stands for vectors of its own (textual inversion).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The word's tokens, at least one; recognised wherever they follow each other.
    pub ids: Vec<u32>,
    /// Places that its vectors take, 1 to 75.
    pub vectors: usize,
}

/// A vector that takes the place of a token's embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injected {
    /// Which place of the chunk, start included.
    pub place: usize,
    /// Which trigger.
    pub trigger: usize,
    /// Which of its vectors.
    pub vector: usize,
}

/// What the text encoder reads at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Token ids, as many as the encoder has places; 0 where a vector is injected.
    pub ids: Vec<u32>,
    /// A weight a place; 1 for start, end and padding.
    pub weights: Vec<f64>,
    /// Vectors in place of tokens.
    pub injected: Vec<Injected>,
}

impl Chunk {
    /// Whether no weight differs from 1.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.weights.iter().all(|weight| *weight == 1.0)
    }
}

/// Puts texts into chunks.
#[derive(Debug, Clone, Copy)]
pub struct Chunker<'a> {
    /// The tokenizer of the encoder.
    pub tokenizer: &'a ClipTokenizer,
    /// Words that stand for vectors.
    pub triggers: &'a [Trigger],
    /// Places of a chunk with start and end, 3 at least; 77 in all published models.
    pub places: usize,
}

impl Chunker<'_> {
    /// The chunk of an empty text, which pads shorter prompts.
    #[must_use]
    pub fn empty(&self) -> Chunk {
        self.finish(&[])
    }

    /// All chunks of a prompt, at least one.
    ///
    /// # Errors
    /// When the tokenizer cannot read a piece.
    pub fn chunks(&self, pieces: &[Piece]) -> Result<Vec<Chunk>> {
        let chunks = self.fill(pieces, COMMA_BACKTRACK)?;
        Ok(chunks.iter().map(|places| self.finish(places)).collect())
    }

    /// The first chunk of a prompt, cut at its last place as diffusers does (no backtracking), and the text that does not
    /// fit: `None` when all does. Vectors of one word are never parted: a word that does not fit is cut whole.
    ///
    /// # Errors
    /// When the tokenizer cannot read a piece.
    pub fn truncated(&self, pieces: &[Piece]) -> Result<(Chunk, Option<String>)> {
        let chunks = self.fill(pieces, 0)?;
        let cut = chunks[1..].concat();
        let words: Vec<u32> = cut.iter().flat_map(|place| self.spelling(place)).collect();
        let text = (!words.is_empty()).then(|| self.tokenizer.decode(&words));
        Ok((self.finish(&chunks[0]), text))
    }

    /// Tokens between start and end.
    fn capacity(&self) -> usize {
        self.places - 2
    }

    fn fill(&self, pieces: &[Piece], backtrack: usize) -> Result<Vec<Vec<Place>>> {
        let mut filler = Filler { capacity: self.capacity(), backtrack, ..Filler::default() };
        for piece in pieces {
            if piece.is_break() {
                filler.next_chunk();
                continue;
            }
            let ids = self.tokenizer.encode(&piece.text)?;
            let mut at = 0;
            while at < ids.len() {
                let is_comma = Some(ids[at]) == self.tokenizer.comma();
                filler.make_room(is_comma);
                if let Some(trigger) = self.trigger_at(&ids[at..]) {
                    filler.push_vectors(trigger, self.triggers[trigger].vectors, piece.weight);
                    at += self.triggers[trigger].ids.len();
                } else {
                    filler.push(Place { source: Source::Token(ids[at]), weight: piece.weight });
                    at += 1;
                }
            }
        }
        Ok(filler.into_chunks())
    }

    /// The longest word that stands at the front of the tokens.
    fn trigger_at(&self, ids: &[u32]) -> Option<usize> {
        let matching = self.triggers.iter().enumerate().filter(|(_, trigger)| ids.starts_with(&trigger.ids));
        matching.max_by_key(|(_, trigger)| trigger.ids.len()).map(|(index, _)| index)
    }

    /// The tokens that a place came from; those of a word once, at its first vector.
    fn spelling(&self, place: &Place) -> Vec<u32> {
        match place.source {
            Source::Token(id) => vec![id],
            Source::Vector { trigger, vector: 0 } => self.triggers[trigger].ids.clone(),
            Source::Vector { .. } => Vec::new(),
        }
    }

    fn finish(&self, places: &[Place]) -> Chunk {
        let mut chunk = Chunk { ids: vec![self.tokenizer.bos()], weights: vec![1.0], injected: Vec::new() };
        for place in places {
            let id = match place.source {
                Source::Token(id) => id,
                Source::Vector { trigger, vector } => {
                    chunk.injected.push(Injected { place: chunk.ids.len(), trigger, vector });
                    0
                }
            };
            chunk.ids.push(id);
            chunk.weights.push(place.weight);
        }
        chunk.ids.push(self.tokenizer.eos());
        chunk.ids.resize(self.places, self.tokenizer.pad());
        chunk.weights.resize(self.places, 1.0);
        chunk
    }
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Token(u32),
    Vector { trigger: usize, vector: usize },
}

#[derive(Debug, Clone, Copy)]
struct Place {
    source: Source,
    weight: f64,
}

#[derive(Default)]
struct Filler {
    capacity: usize,
    backtrack: usize,
    done: Vec<Vec<Place>>,
    current: Vec<Place>,
    last_comma: Option<usize>,
}

impl Filler {
    fn next_chunk(&mut self) {
        self.done.push(std::mem::take(&mut self.current));
        self.last_comma = None;
    }

    /// Ends the chunk when it is full, behind its last comma if that is near.
    fn make_room(&mut self, is_comma: bool) {
        let length = self.current.len();
        if is_comma {
            self.last_comma = Some(length);
        }
        if length < self.capacity {
            return;
        }
        let near = self.last_comma.filter(|comma| !is_comma && length - comma <= self.backtrack);
        let moved = near.map_or_else(Vec::new, |comma| self.current.split_off(comma + 1));
        self.next_chunk();
        self.current = moved;
    }

    fn push(&mut self, place: Place) {
        self.current.push(place);
    }

    fn push_vectors(&mut self, trigger: usize, vectors: usize, weight: f64) {
        if self.current.len() + vectors > self.capacity {
            self.next_chunk();
        }
        let place = |vector| Place { source: Source::Vector { trigger, vector }, weight };
        self.current.extend((0..vectors).map(place));
    }

    fn into_chunks(mut self) -> Vec<Vec<Place>> {
        if !self.current.is_empty() || self.done.is_empty() {
            self.next_chunk();
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::prompt::attention::parse_attention;
    use crate::text::tokenizer::Padding;

    const WORDS: &str = "castle river mountain forest lantern copper velvet marble harbor orchard ";

    fn tokenizer() -> ClipTokenizer {
        ClipTokenizer::embedded(Padding::End).unwrap()
    }

    fn words(count: usize) -> String {
        WORDS.split(' ').filter(|w| !w.is_empty()).cycle().take(count).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tokens_and_weights_equal_the_table_of_a1111() {
        let table = include_str!("../../tests/fixtures/prompts/attention.json");
        let table: serde_json::Value = serde_json::from_str(table).unwrap();
        let tokenizer = tokenizer();
        let chunker = Chunker { tokenizer: &tokenizer, triggers: &[], places: 77 };
        for case in table["cases"].as_array().unwrap() {
            let prompt = case["prompt"].as_str().unwrap();
            let chunks = chunker.chunks(&parse_attention(prompt)).unwrap();
            let expected = case["chunks"].as_array().unwrap();
            assert_eq!(chunks.len(), expected.len(), "{prompt}");
            for (chunk, expected) in chunks.iter().zip(expected) {
                let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
                let weights: Vec<f64> = serde_json::from_value(expected["weights"].clone()).unwrap();
                assert_eq!(chunk.ids, ids, "{prompt}");
                // serde_json may be wrong in a number's last bit, hence no equality.
                let near = chunk.weights.iter().zip(&weights).all(|(a, b)| (a - b).abs() <= 1e-15 * b.abs());
                assert!(near && chunk.weights.len() == weights.len(), "{prompt}");
            }
        }
    }

    #[test]
    fn padding_is_the_tokenizers_own() {
        let tokenizer = ClipTokenizer::embedded(Padding::Zero).unwrap();
        let chunker = Chunker { tokenizer: &tokenizer, triggers: &[], places: 77 };
        let chunk = &chunker.chunks(&[Piece::plain("a cat")]).unwrap()[0];
        assert_eq!(chunk.ids[..5], [49406, 320, 2368, 49407, 0]);
        assert_eq!((chunk.ids.len(), chunk.ids[76]), (77, 0));
        assert_eq!(chunker.empty().ids[..3], [49406, 49407, 0]);
    }

    #[test]
    fn truncation_keeps_75_tokens_and_tells_the_rest() {
        let tokenizer = tokenizer();
        let chunker = Chunker { tokenizer: &tokenizer, triggers: &[], places: 77 };
        let whole = chunker.truncated(&[Piece::plain(words(75))]).unwrap();
        assert_eq!((whole.0.ids[76], whole.1), (49407, None));
        // A comma near the end moves nothing.
        let text = format!("{}, red apple and (pear", words(74));
        let (chunk, cut) = chunker.truncated(&[Piece::plain(text)]).unwrap();
        assert_eq!(chunk.ids[75..], [267, 49407]);
        assert_eq!(cut.as_deref(), Some("red apple and ( pear"));
    }

    #[test]
    fn vectors_stay_together_and_take_their_weight() {
        let tokenizer = tokenizer();
        let triggers = [
            Trigger { ids: tokenizer.encode("my-style").unwrap(), vectors: 4 },
            Trigger { ids: tokenizer.encode("my").unwrap(), vectors: 1 },
        ];
        let chunker = Chunker { tokenizer: &tokenizer, triggers: &triggers, places: 77 };
        let chunks = chunker.chunks(&parse_attention("a (My-Style:1.2) cat")).unwrap();
        let places: Vec<usize> = chunks[0].injected.iter().map(|v| v.place).collect();
        assert_eq!(places, [2, 3, 4, 5]);
        assert!(chunks[0].injected.iter().enumerate().all(|(i, v)| (v.trigger, v.vector) == (0, i)));
        assert_eq!(chunks[0].ids[..8], [49406, 320, 0, 0, 0, 0, 2368, 49407]);
        assert_eq!(chunks[0].weights[1..7], [1.0, 1.2, 1.2, 1.2, 1.2, 1.0]);

        let at_the_end = format!("{} my-style cat", words(73));
        let chunks = chunker.chunks(&[Piece::plain(&at_the_end)]).unwrap();
        assert_eq!((chunks[0].injected.len(), chunks[1].injected.len()), (0, 4));
        assert_eq!(chunks[0].ids[74], 49407);
        let (chunk, cut) = chunker.truncated(&[Piece::plain(&at_the_end)]).unwrap();
        assert!(chunk.injected.is_empty());
        assert_eq!(cut.as_deref(), Some("my - style cat"));
    }

    #[test]
    fn vectors_move_with_the_text_behind_a_comma() {
        let tokenizer = tokenizer();
        let triggers = [Trigger { ids: tokenizer.encode("mystyle").unwrap(), vectors: 2 }];
        let chunker = Chunker { tokenizer: &tokenizer, triggers: &triggers, places: 77 };
        let text = format!("{}, mystyle {}", words(70), words(5));
        let chunks = chunker.chunks(&[Piece::plain(text)]).unwrap();
        assert!(chunks[0].injected.is_empty());
        assert_eq!(chunks[1].injected.iter().map(|v| v.place).collect::<Vec<_>>(), [1, 2]);
    }
}
