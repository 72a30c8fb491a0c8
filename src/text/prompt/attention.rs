//! Brackets as weights, as A1111's "Original" parser reads them.
//!
//! `(text)` multiplies the weight by 1.1, `[text]` divides by 1.1, `(text:1.3)` multiplies by 1.3; they nest. A backslash makes
//! a bracket literal. `BREAK` outside of brackets ends a chunk. Reference: `parse_prompt_attention` of A1111; where it raises
//! (`(a:1.2.3)`) the colon and the number are text here.

use super::find_word;

const ROUND: f64 = 1.1;
const SQUARE: f64 = 1.0 / 1.1;

/// A run of text with its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The text without brackets; tokenised by itself.
    pub text: String,
    /// 1 is neutral.
    pub weight: f64,
}

impl Piece {
    /// Text of weight 1.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Piece { text: text.into(), weight: 1.0 }
    }

    /// The mark of a chunk's end. Within brackets its weight is no longer -1, and the word is text, as in A1111.
    #[must_use]
    pub fn is_break(&self) -> bool {
        self.text == "BREAK" && self.weight == -1.0
    }
}

/// Splits a prompt into pieces of equal weight; at least one.
#[must_use]
pub fn parse_attention(prompt: &str) -> Vec<Piece> {
    let mut parser = Parser::default();
    let mut rest = prompt;
    while let Some(first) = rest.chars().next() {
        rest = &rest[parser.take(first, rest)..];
    }
    parser.finish()
}

#[derive(Default)]
struct Parser {
    pieces: Vec<Piece>,
    round: Vec<usize>,
    square: Vec<usize>,
}

impl Parser {
    /// Takes one token off the front of `rest` and returns its length in bytes.
    fn take(&mut self, first: char, rest: &str) -> usize {
        match first {
            '\\' => {
                let literal = rest[1..].chars().next().filter(|c| "()[]\\".contains(*c));
                self.pieces.push(Piece::plain(literal.map(String::from).unwrap_or_default()));
                1 + literal.map_or(0, char::len_utf8)
            }
            '(' => {
                self.round.push(self.pieces.len());
                1
            }
            '[' => {
                self.square.push(self.pieces.len());
                1
            }
            ')' => {
                match self.round.pop() {
                    Some(start) => self.multiply(start, ROUND),
                    None => self.text(")"),
                }
                1
            }
            ']' => {
                match self.square.pop() {
                    Some(start) => self.multiply(start, SQUARE),
                    None => self.text("]"),
                }
                1
            }
            ':' => self.colon(rest),
            _ => {
                let end = rest.find(['\\', '(', ')', '[', ']', ':']).unwrap_or(rest.len());
                self.text(&rest[..end]);
                end
            }
        }
    }

    fn colon(&mut self, rest: &str) -> usize {
        let Some((weight, length)) = explicit_weight(rest) else {
            self.text(":");
            return 1;
        };
        match self.round.pop() {
            Some(start) => self.multiply(start, weight),
            None => self.text(&rest[..length]),
        }
        length
    }

    fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = find_word(rest, "BREAK") {
            self.pieces.push(Piece::plain(rest[..at].trim_end()));
            self.pieces.push(Piece { text: "BREAK".into(), weight: -1.0 });
            rest = rest[at + "BREAK".len()..].trim_start();
        }
        self.pieces.push(Piece::plain(rest));
    }

    fn multiply(&mut self, start: usize, factor: f64) {
        for piece in &mut self.pieces[start..] {
            piece.weight *= factor;
        }
    }

    fn finish(mut self) -> Vec<Piece> {
        for start in std::mem::take(&mut self.round) {
            self.multiply(start, ROUND);
        }
        for start in std::mem::take(&mut self.square) {
            self.multiply(start, SQUARE);
        }
        let mut merged: Vec<Piece> = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces {
            match merged.last_mut() {
                Some(last) if last.weight == piece.weight => last.text.push_str(&piece.text),
                _ => merged.push(piece),
            }
        }
        if merged.is_empty() {
            merged.push(Piece::plain(""));
        }
        merged
    }
}

/// `: 1.3 )` at the start of the text: the weight, and the length with colon and bracket.
fn explicit_weight(text: &str) -> Option<(f64, usize)> {
    let body = text.strip_prefix(':')?.trim_start();
    let digits = body.strip_prefix(['+', '-']).unwrap_or(body);
    let end = body.len() - digits.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let weight = body[..end].parse().ok().filter(|w: &f64| w.is_finite())?;
    let rest = body[end..].trim_start().strip_prefix(')')?;
    Some((weight, text.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(prompt: &str) -> Vec<(String, f64)> {
        parse_attention(prompt).into_iter().map(|p| (p.text, p.weight)).collect()
    }

    #[test]
    fn equals_the_table_of_a1111() {
        let table = include_str!("../../../tests/fixtures/prompts/attention.json");
        let table: serde_json::Value = serde_json::from_str(table).unwrap();
        let cases = table["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 104);
        for case in cases {
            let parsed: Vec<(String, f64)> = serde_json::from_value(case["parsed"].clone()).unwrap();
            let found = pieces(case["prompt"].as_str().unwrap());
            assert_eq!(found.len(), parsed.len(), "{}", case["prompt"]);
            for (ours, theirs) in found.iter().zip(&parsed) {
                // serde_json may be wrong in a number's last bit, hence no equality.
                let near = (ours.1 - theirs.1).abs() <= 1e-15 * theirs.1.abs();
                assert!(ours.0 == theirs.0 && near, "{}: {ours:?} {theirs:?}", case["prompt"]);
            }
        }
    }

    #[test]
    fn what_a1111_cannot_read_stays_text() {
        assert_eq!(pieces("(a:1.2.3)"), [("a:1.2.3".to_string(), 1.1)]);
        assert_eq!(pieces("(a:.)"), [("a:.".to_string(), 1.1)]);
        assert_eq!(pieces("(a:)"), [("a:".to_string(), 1.1)]);
        assert_eq!(pieces("(a:-)"), [("a:-".to_string(), 1.1)]);
    }

    #[test]
    fn a_break_in_brackets_is_a_word() {
        let is_break = |prompt| parse_attention(prompt).iter().any(Piece::is_break);
        assert!(is_break("a BREAK b"));
        assert!(!is_break("(a BREAK b)"));
        assert!(!is_break("aBREAKb"));
    }

    #[test]
    fn deep_nesting_does_no_harm() {
        assert_eq!(parse_attention(&"(".repeat(100_000)), [Piece::plain("")]);
    }
}
