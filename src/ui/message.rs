//! Messages for people: `warning: ...`, `error: ...` and, after an empty line, `hint: ...`, as uv and cargo print them.

use std::fmt::Write;

/// When messages are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Even into a file
    Always,
    /// Not at all
    Never,
}

impl ColorChoice {
    /// Whether to colour. With `Auto`, in this order: `NO_COLOR` (<https://no-color.org>) and `TERM=dumb` say no,
    /// `CLICOLOR_FORCE` says yes, `CLICOLOR=0` says no, and otherwise a terminal decides.
    pub fn allows(self, is_terminal: bool, environment: impl Fn(&str) -> Option<String>) -> bool {
        let set = |name| environment(name).filter(|value| !value.is_empty());
        match self {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if set("NO_COLOR").is_some() || set("TERM").as_deref() == Some("dumb") => false,
            ColorChoice::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            ColorChoice::Auto if set("CLICOLOR").as_deref() == Some("0") => false,
            ColorChoice::Auto => is_terminal,
        }
    }
}

/// What kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Note,
    Warning,
    Error,
    Hint,
}

impl Level {
    /// The label and its colour as a terminal's "select graphic rendition" parameters.
    fn label(self) -> (&'static str, &'static str) {
        match self {
            Level::Note => ("note", "1;36"),
            Level::Warning => ("warning", "1;33"),
            Level::Error => ("error", "1;31"),
            Level::Hint => ("hint", "1;36"),
        }
    }
}

/// `label: text`, without control characters. Further lines are indented, so that no text can pass for a message.
pub(super) fn labelled(level: Level, text: &str, color: bool) -> String {
    let (label, parameters) = level.label();
    let mut lines = text.lines();
    let first = clean(lines.next().unwrap_or_default());
    let mut message =
        if color { format!("\u{1b}[{parameters}m{label}:\u{1b}[0m {first}") } else { format!("{label}: {first}") };
    for line in lines {
        let _ = write!(message, "\n  {}", clean(line).trim_start());
    }
    message
}

/// A line that cannot command the terminal: prompts, file names and tensor names come from anywhere. Control characters are
/// shown as `U+FFFD`, and so are those that reorder or hide text.
#[must_use]
pub fn clean(line: &str) -> String {
    let hides = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    line.chars().map(|c| if c != '\t' && (c.is_control() || hides(c)) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_a_label_and_indented_lines() {
        assert_eq!(labelled(Level::Warning, "cut", false), "warning: cut");
        assert_eq!(labelled(Level::Error, "missing:\n  a\nb\n", false), "error: missing:\n  a\n  b");
        assert_eq!(labelled(Level::Note, "", false), "note: ");
        assert_eq!(labelled(Level::Error, "x", true), "\u{1b}[1;31merror:\u{1b}[0m x");
    }

    #[test]
    fn no_text_commands_the_terminal() {
        let hostile = "a\u{1b}[2Jb\u{9b}31mc\u{7}\r\u{202e}d\u{0}\u{7f}\nhint: run this";
        let message = labelled(Level::Error, hostile, false);
        assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "{message:?}");
        assert!(message.ends_with("\n  hint: run this"), "{message:?}");
        assert_eq!(clean("café 🍎\t日本"), "café 🍎\t日本");
    }

    #[test]
    fn the_environment_decides_on_colour() {
        let allows = |choice: ColorChoice, terminal, variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            choice.allows(terminal, find)
        };
        use ColorChoice::{Always, Auto, Never};
        assert!(allows(Auto, true, &[]));
        assert!(!allows(Auto, false, &[]));
        assert!(!allows(Auto, true, &[("NO_COLOR", "1")]));
        assert!(allows(Auto, true, &[("NO_COLOR", "")]), "an empty one counts as unset");
        assert!(!allows(Auto, true, &[("TERM", "dumb")]));
        assert!(allows(Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!allows(Auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!allows(Auto, false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
        assert!(!allows(Auto, true, &[("CLICOLOR", "0")]));
        assert!(allows(Always, false, &[("NO_COLOR", "1")]));
        assert!(!allows(Never, true, &[("CLICOLOR_FORCE", "1")]));
    }
}
