//! Choices in a prompt, drawn from the seed: `{red|green|blue}` and `__name__`.
//!
//! - `{a|b|c}` becomes one of its options; `{3::a|b}` takes `a` three times as often. Options nest; bars within `[ ]` belong
//!   to the prompt language. Braces without a bar are text, and so is `\{`, whose backslash stays for the prompt parser.
//! - `__name__` becomes a line of `name.txt` in the wildcard folder ([`files`]); lines may hold choices and other names.
//!   Without a folder such words are text.
//!
//! Draws go from left to right, an outer choice before those within it, one number a choice. The numbers are SplitMix64
//! (Steele et al. 2014) started at the seed, so that a seed always gives the same text. A resolved text resolves to itself:
//! the metadata hold it, and repeating a picture draws nothing anew. The pipeline applies this only where brackets are a
//! language ([`crate::request::Weighting::A1111`]).

pub mod files;

use std::collections::HashMap;
use std::path::PathBuf;

use crate::error::{Error, Result};
use files::WildcardFolder;

/// Deeper choices and files within files are refused: they are most likely a circle.
const MAX_DEPTH: usize = 32;
/// More draws for one prompt are refused: files within files can grow without end.
const MAX_DRAWS: usize = 10_000;

/// Resolves the prompts of one picture.
#[derive(Debug)]
pub struct Wildcards {
    folder: Option<WildcardFolder>,
    state: u64,
    draws: usize,
}

impl Wildcards {
    /// Draws for one seed; `folder` holds the files of `__name__`.
    #[must_use]
    pub fn new(seed: u64, folder: Option<PathBuf>) -> Self {
        Wildcards { folder: folder.map(WildcardFolder::new), state: seed, draws: 0 }
    }

    /// The text with all choices made. Prompts of one picture are resolved in turn: prompt, second prompt, negative prompt.
    ///
    /// # Errors
    /// [`Error::Usage`] for a wildcard whose file is missing, empty or outside of the folder, for circles, and for the
    /// `{2$$a|b}` of other programs; [`Error::Io`] for a file that cannot be read.
    pub fn resolve(&mut self, text: &str) -> Result<String> {
        let mut out = String::with_capacity(text.len());
        self.resolve_into(text, 0, &mut out)?;
        Ok(out)
    }

    /// The first `__name__` in a text, which stays as it is when there is no folder.
    #[must_use]
    pub fn named_in(text: &str) -> Option<&str> {
        text.match_indices("__").find_map(|(at, _)| wildcard_name(&text[at..]))
    }

    fn resolve_into(&mut self, text: &str, depth: usize, out: &mut String) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::usage("the prompt's wildcards never end", "look for a file that names itself"));
        }
        if self.draws > MAX_DRAWS {
            let message = format!("the prompt makes more than {MAX_DRAWS} choices");
            return Err(Error::usage(
                message,
                "give a shorter one, and look for a file of wildcards that names itself",
            ));
        }
        let braces = matching_braces(text);
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            let mut next = at + c.len_utf8();
            match c {
                '\\' => {
                    next += text[next..].chars().next().map_or(0, char::len_utf8);
                    out.push_str(&text[at..next]);
                }
                '{' => match braces.get(&at).map(|end| options(&text[at..*end])) {
                    Some(options) if options.len() > 1 => {
                        next = at + options.iter().map(|option| option.len() + 1).sum::<usize>() + 1;
                        let option = self.choose(&options)?;
                        self.resolve_into(option, depth + 1, out)?;
                    }
                    _ => out.push(c),
                },
                '_' => match (wildcard_name(rest), &mut self.folder) {
                    (Some(name), Some(folder)) => {
                        next = at + name.len() + 4;
                        let lines = folder.lines(name)?;
                        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                        let line = self.choose(&lines)?;
                        self.resolve_into(line, depth + 1, out)?;
                    }
                    _ => out.push(c),
                },
                _ => out.push(c),
            }
            at = next;
        }
        Ok(())
    }

    /// One of the options, without its weight.
    fn choose<'o>(&mut self, options: &[&'o str]) -> Result<&'o str> {
        if let Some(option) = options.iter().find(|option| option.contains("$$")) {
            return Err(Error::usage(
                format!("`{{{option}|...`: several choices at once are not supported"),
                "write a `{a|b}` for each, or `\\{` for a brace",
            ));
        }
        let weighted: Vec<(f64, &str)> = options.iter().map(|option| split_weight(option)).collect();
        let total: f64 = weighted.iter().map(|(weight, _)| weight).sum();
        let mut left = self.draw() * total;
        for (weight, option) in &weighted {
            left -= weight;
            if left < 0.0 {
                return Ok(option);
            }
        }
        // Only weights that are all 0, or rounding, lead here.
        Ok(weighted.last().map_or("", |(_, option)| option))
    }

    /// A number in 0..1 of 53 bits.
    fn draw(&mut self) -> f64 {
        self.draws += 1;
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Where each closed brace opens, and the place behind its end.
fn matching_braces(text: &str) -> HashMap<usize, usize> {
    let mut open = Vec::new();
    let mut found = HashMap::new();
    for (at, c) in unescaped(text) {
        match c {
            '{' => open.push(at),
            '}' => found.extend(open.pop().map(|start| (start, at + 1))),
            _ => {}
        }
    }
    found
}

/// The texts between the bars of `{...}`, those of inner brackets aside.
fn options(group: &str) -> Vec<&str> {
    let inner = &group[1..group.len() - 1];
    let (mut depth, mut start) = (0usize, 0);
    let mut found = Vec::new();
    for (at, c) in unescaped(inner) {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                found.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&inner[start..]);
    found
}

/// The characters that no backslash stands before.
fn unescaped(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut escaped = false;
    text.char_indices().filter(move |(_, c)| {
        let keep = !escaped;
        escaped = !escaped && *c == '\\';
        keep
    })
}

/// `2::red` is (2, "red"); without a weight it is 1.
fn split_weight(option: &str) -> (f64, &str) {
    let weighted = option.split_once("::").and_then(|(weight, text)| {
        let weight = weight.trim();
        let is_number = weight.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        let weight = weight.parse().ok().filter(|w: &f64| is_number && w.is_finite())?;
        Some((weight, text))
    });
    weighted.unwrap_or((1.0, option))
}

/// The name of `__name__` at the start of the text.
fn wildcard_name(text: &str) -> Option<&str> {
    let body = text.strip_prefix("__")?;
    let (name, _) = body.split_once("__")?;
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '.');
    (!name.is_empty() && name.chars().all(is_part)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(seed: u64, text: &str) -> String {
        Wildcards::new(seed, None).resolve(text).unwrap()
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("hair")).unwrap();
        std::fs::write(dir.path().join("colour.txt"), "# colours\nred\n\n  blue  \n").unwrap();
        std::fs::write(dir.path().join("hair/style.txt"), "\u{feff}long __colour__ hair\n").unwrap();
        std::fs::write(dir.path().join("circle.txt"), "x __circle__\n").unwrap();
        std::fs::write(dir.path().join("empty.txt"), "# nothing\n").unwrap();
        dir
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // First outputs for the seed 1234567 of the reference implementation (Vigna), top 53 bits.
        let mut wildcards = Wildcards::new(1_234_567, None);
        let expected = [6_457_827_717_110_365_317u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for value in expected {
            assert_eq!(wildcards.draw(), (value >> 11) as f64 / (1u64 << 53) as f64);
        }
    }

    #[test]
    fn a_seed_always_gives_the_same_text_and_seeds_differ() {
        let text = "a {red|green|blue} {cat|dog}";
        assert_eq!(resolve(7, text), resolve(7, text));
        let all: std::collections::BTreeSet<String> = (0..100).map(|seed| resolve(seed, text)).collect();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn nested_and_weighted_choices() {
        let count = |text: &str, word: &str| (0..1000).filter(|seed| resolve(*seed, text) == word).count();
        let halves = count("{a|{b|c}}", "a");
        assert!((400..600).contains(&halves), "{halves}");
        let three_quarters = count("{3::a|b}", "a");
        assert!((700..800).contains(&three_quarters), "{three_quarters}");
        assert_eq!(count("{0::a|b}", "a"), 0);
        let text = resolve(1, "{[x|y]|[x|y]} end");
        assert_eq!(text, "[x|y] end");
    }

    #[test]
    fn what_is_no_choice_stays_text() {
        for text in
            ["{word}", "a {b", "b} c", r"\{a|b\}", "{}", "__colour__", "a|b", "{ {x} }", "é{ü", "trailing \\", "____"]
        {
            assert_eq!(resolve(1, text), text);
        }
        let resolved = resolve(5, "{a|b} {x {c|d} y}");
        assert_eq!(resolve(99, &resolved), resolved);
    }

    #[test]
    fn several_choices_at_once_are_refused() {
        let error = Wildcards::new(1, None).resolve("{2$$a|b|c}").unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn names_are_lines_of_files() {
        let dir = folder();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut wildcards = Wildcards::new(seed, Some(dir.path().into()));
            seen.insert(wildcards.resolve("a __hair/style__, {__colour__|green}").unwrap());
        }
        assert_eq!(seen.len(), 6, "{seen:?}");
        assert!(seen.contains("a long blue hair, red"));
    }

    #[test]
    fn faulty_names_are_told() {
        let dir = folder();
        let error = |text: &str| Wildcards::new(1, Some(dir.path().into())).resolve(text).unwrap_err();
        for text in ["__../colour__", "__/etc/passwd__", "__hair/../colour__", "__a//b__"] {
            assert!(error(text).to_string().contains("leaves the wildcard folder"), "{text}");
        }
        assert_eq!(error("__color__").to_string(), "there is no wildcard `__color__`");
        assert_eq!(error("__color__").hint().unwrap(), "did you mean `__colour__`?");
        assert_eq!(error("__hair/styl__").hint().unwrap(), "did you mean `__hair/style__`?");
        assert!(error("__empty__").to_string().contains("has no lines"));
        assert!(error("__circle__").to_string().contains("never end"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_folder_is_refused() {
        let (dir, outside) = (folder(), tempfile::NamedTempFile::new().unwrap());
        std::fs::write(outside.path(), "secret\n").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link.txt")).unwrap();
        let error = Wildcards::new(1, Some(dir.path().into())).resolve("__link__").unwrap_err();
        assert!(error.to_string().contains("leaves the wildcard folder"));
    }
}
