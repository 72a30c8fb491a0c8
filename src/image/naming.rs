//! Text as part of a file name that every system takes: Linux, macOS, Windows and what they share disks with.

/// Characters of a value in a name: several fit into the 255 bytes a name may have.
const MOST_CHARACTERS: usize = 60;
const MOST_BYTES: usize = 100;

/// Names that Windows keeps for devices, with any extension.
const RESERVED: &[&str] = &[
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// A value (a model's name) made safe: nothing that separates folders, names a drive or controls a terminal, no dots or
/// spaces at the ends, bounded; "untitled" when nothing is left.
pub(super) fn safe_value(text: &str) -> String {
    let unsafe_in_names = |c: char| c.is_control() || is_invisible(c) || "/\\:*?\"<>|".contains(c);
    let replaced: String = text.chars().map(|c| if unsafe_in_names(c) { '_' } else { c }).collect();
    nonempty(ends_trimmed(&bounded(ends_trimmed(&replaced))))
}

/// A prompt as a name: letters and digits of any language in lower case, hyphens between, bounded at a word's end.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        let longer = slug.chars().count() + 1 + word.chars().count();
        if !slug.is_empty() && (longer > MOST_CHARACTERS || slug.len() + 1 + word.len() > MOST_BYTES) {
            break;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word);
    }
    nonempty(&bounded(&slug))
}

/// A file or folder name that Windows does not take for a device: `con.png` becomes `con_.png`.
pub(super) fn unreserved(name: &str) -> String {
    let (stem, rest) = name.split_at(name.find('.').unwrap_or(name.len()));
    if RESERVED.contains(&stem.trim_end().to_lowercase().as_str()) {
        format!("{stem}_{rest}")
    } else {
        name.into()
    }
}

/// Characters that change how a name is shown without being seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn ends_trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c == '.' || c.is_whitespace())
}

fn bounded(text: &str) -> String {
    let mut bounded = String::new();
    for c in text.chars().take(MOST_CHARACTERS) {
        if bounded.len() + c.len_utf8() > MOST_BYTES {
            break;
        }
        bounded.push(c);
    }
    bounded
}

fn nonempty(text: &str) -> String {
    if text.is_empty() { "untitled" } else { text }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_hold_nothing_a_path_understands() {
        for (value, safe) in [
            ("sd-v1.5", "sd-v1.5"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "untitled"),
            ("", "untitled"),
            (" .a. ", "a"),
            ("C:\\x", "C__x"),
            ("a\0b\u{1b}[2Jc\nd", "a_b_[2Jc_d"),
            ("a\u{202e}gnp.exe", "a_gnp.exe"),
            ("日本 語", "日本 語"),
        ] {
            assert_eq!(safe_value(value), safe, "{value:?}");
        }
    }

    #[test]
    fn slugs_are_words_and_hyphens() {
        for (prompt, slugged) in [
            ("a red apple", "a-red-apple"),
            ("  (A Cat:1.2), <lora:x:0.5>!! ", "a-cat-1-2-lora-x-0-5"),
            ("Größe 日本語 🍎", "größe-日本語"),
            ("🍎", "untitled"),
            ("", "untitled"),
            ("../..", "untitled"),
        ] {
            assert_eq!(slug(prompt), slugged);
        }
    }

    #[test]
    fn long_texts_are_bounded() {
        let words = slug(&"word ".repeat(100));
        assert!(words.ends_with("word") && words.chars().count() <= MOST_CHARACTERS, "{words}");
        assert!(words.chars().count() > MOST_CHARACTERS - 5);
        for text in ["x".repeat(10_000), "語".repeat(10_000), "🦀".repeat(10_000)] {
            assert!(slug(&text).len() <= MOST_BYTES);
            assert!(safe_value(&text).len() <= MOST_BYTES);
            assert!(safe_value(&text).len() > MOST_CHARACTERS - 5);
        }
    }

    #[test]
    fn device_names_of_windows_are_avoided() {
        for (name, safe) in [
            ("con.png", "con_.png"),
            ("NUL", "NUL_"),
            ("com1.a.png", "com1_.a.png"),
            ("aux .png", "aux _.png"),
            ("console.png", "console.png"),
            ("a-con.png", "a-con.png"),
        ] {
            assert_eq!(unreserved(name), safe);
        }
    }
}
