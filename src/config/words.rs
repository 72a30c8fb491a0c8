//! Values as words of a command line.

use super::given::Given;
use super::setting::Kind;

/// The words that give a value; none for a switch that is off.
#[must_use]
pub fn words(given: &Given) -> Vec<String> {
    let option = given.setting.option;
    let on = given.texts.first().is_some_and(|text| text == "true");
    let off = given.texts.first().is_some_and(|text| text == "false");
    match given.setting.kind {
        Kind::Switch | Kind::Optional if on => vec![format!("--{option}")],
        Kind::Off if off => vec![format!("--{option}")],
        Kind::Switch | Kind::Off => Vec::new(),
        Kind::Optional if off => Vec::new(),
        _ => given.texts.iter().map(|text| format!("--{option}={text}")).collect(),
    }
}

/// A value for people: its texts.
#[must_use]
pub fn shown(given: &Given) -> String {
    given.texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{table, Origin};

    #[test]
    fn values_become_words() {
        let of = |option: &str, texts: &[&str]| {
            let texts = texts.iter().map(|text| (*text).into()).collect();
            words(&Given { setting: table::by_option(option).unwrap(), texts, origin: Origin::CommandLine })
        };
        assert_eq!(of("steps", &["7"]), ["--steps=7"]);
        assert_eq!(of("negative-prompt", &["true"]), ["--negative-prompt=true"]);
        assert_eq!(of("lora", &["a:1", "b"]), ["--lora=a:1", "--lora=b"]);
        assert_eq!(of("overwrite", &["true"]), ["--overwrite"]);
        assert!(of("overwrite", &["false"]).is_empty());
        assert_eq!(of("no-paste-back", &["false"]), ["--no-paste-back"]);
        assert!(of("no-paste-back", &["true"]).is_empty());
        assert_eq!(of("only-masked", &["true"]), ["--only-masked"]);
        assert_eq!(of("only-masked", &["16"]), ["--only-masked=16"]);
        assert!(of("only-masked", &["false"]).is_empty());
    }
}
