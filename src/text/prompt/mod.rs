//! A1111's prompt language.
//!
//! [`tags`] come first: LoRAs that a prompt names are no part of its text. [`schedule`] follows: prompt editing turns one prompt
//! into a text for each span of steps. [`attention`] then reads the brackets of each text as weights. `AND` (composable diffusion)
//! is no part of it and stays text; [`has_and`] finds it so that the user can be told.

pub mod attention;
pub mod grammar;
pub mod schedule;
pub mod tags;

/// Whether the prompt holds `AND` as a word of its own, which A1111 would take for composable diffusion.
#[must_use]
pub fn has_and(prompt: &str) -> bool {
    find_word(prompt, "AND").is_some()
}

/// Byte position of the first occurrence of `word` that no letter, digit or underscore touches.
pub(crate) fn find_word(text: &str, word: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).map(|(at, _)| at).find(|&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn and_is_a_word_of_its_own() {
        assert!(has_and("a cat AND a dog"));
        assert!(has_and("one\nAND two"));
        assert!(!has_and("cANDy"));
        assert!(!has_and("A and B"));
        assert!(!has_and("x_AND"));
    }
}
