//! Settings as TOML: what `config` and `preset show` print, and `preset save` writes.

use std::fmt::Write;

use toml::Value;

use super::given::{Given, Origin};
use super::setting::{Kind, Section};
use super::table::SETTINGS;

/// A file that gives these values; with `origins`, each with where it comes from behind it.
#[must_use]
pub fn to_toml(given: &[Given], origins: bool) -> String {
    let mut text = "schema = 1\n".to_string();
    for section in Section::ALL {
        let lines: Vec<(String, &Origin)> = SETTINGS
            .iter()
            .filter(|setting| setting.section == section)
            .filter_map(|setting| given.iter().find(|given| given.setting == setting))
            .map(|given| (format!("{} = {}", given.setting.key(), value(given)), &given.origin))
            .collect();
        let widest = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
        for (index, (line, origin)) in lines.iter().enumerate() {
            // Writing into a string cannot fail.
            if index == 0 {
                let _ = write!(text, "\n[{}]\n", section.name());
            }
            let _ = if origins { writeln!(text, "{line:widest$}  # {origin}") } else { writeln!(text, "{line}") };
        }
    }
    text
}

/// The value as a file has it.
#[must_use]
pub fn value(given: &Given) -> Value {
    let text = |text: &String| Value::String(text.clone());
    match (given.setting.kind, given.texts.as_slice()) {
        (Kind::Texts | Kind::Paths | Kind::Loras, texts) => Value::Array(texts.iter().map(text).collect()),
        (kind, [one]) => scalar(kind, one),
        (_, texts) => Value::String(texts.join(", ")),
    }
}

fn scalar(kind: Kind, text: &str) -> Value {
    let on = (text == "true" || text == "false").then(|| Value::Boolean(text == "true"));
    let number = || {
        let whole = text.parse().ok().map(Value::Integer);
        // A whole number beyond those of TOML would lose digits.
        let float = || text.parse().ok().filter(|x: &f64| x.is_finite() && text.parse::<u64>().is_err());
        whole.or_else(|| float().map(Value::Float))
    };
    let value = match kind {
        Kind::Switch | Kind::Off => on,
        Kind::Optional => on.or_else(number),
        Kind::Number => number(),
        _ => None,
    };
    value.unwrap_or_else(|| Value::String(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{read_file, table, Base, FileKind};

    #[test]
    fn what_is_written_is_read_again() {
        let values: &[(&str, &[&str])] = &[
            ("model", &["a \"b\"\\c"]),
            ("lora", &["a:0.5", "b"]),
            ("prompt", &["line\nbreak, \u{1f34e} \u{7f} \u{1b}"]),
            ("steps", &["7"]),
            ("guidance", &["7.5"]),
            ("eta", &["1"]),
            ("seed", &["18446744073709551615"]),
            ("original-size", &["64x64"]),
            ("no-paste-back", &["false"]),
            ("only-masked", &["16"]),
            ("intermediates", &["true"]),
        ];
        let origin = Origin::CommandLine;
        let given: Vec<Given> = values
            .iter()
            .map(|(option, texts)| Given {
                setting: table::by_option(option).unwrap(),
                texts: texts.iter().map(|text| (*text).into()).collect(),
                origin: origin.clone(),
            })
            .collect();
        for origins in [false, true] {
            let text = to_toml(&given, origins);
            let read = read_file(&text, "x", &Base::default(), FileKind::Preset).unwrap().given;
            for given in &given {
                let back = read.iter().find(|back| back.setting == given.setting).unwrap();
                assert_eq!(back.texts, given.texts, "{text}");
            }
            assert_eq!(read.len(), given.len());
            assert_eq!(text.matches("# command line").count(), if origins { given.len() } else { 0 });
        }
    }
}
