//! Reading A1111's `parameters` text. Followed: AUTOMATIC1111/stable-diffusion-webui v1.10.1,
//! `parse_generation_parameters`, without the defaults it adds for absent fields.

use super::infotext::Infotext;

/// The start of the negative prompt.
const NEGATIVE: &str = "Negative prompt:";

/// With fewer fields the last line is taken for a part of the prompt.
const LEAST_FIELDS: usize = 3;

impl Infotext {
    /// Takes a text apart. Any text gives something: one without settings is all prompt. As in A1111, spaces around lines
    /// and empty lines at the ends are lost.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let (prompts, last) = text.rsplit_once('\n').unwrap_or(("", text));
        let fields = fields(last);
        if fields.len() < LEAST_FIELDS {
            let (prompt, negative) = prompts_of(text);
            return Infotext { prompt, negative, fields: Vec::new() };
        }
        let (prompt, negative) = prompts_of(prompts);
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        Infotext { prompt, negative, fields: fields.map(|(name, value)| (name.into(), unquote(value))).collect() }
    }
}

/// The prompt and the negative prompt in the lines above the settings.
fn prompts_of(text: &str) -> (String, String) {
    let (mut prompt, mut negative) = (String::new(), String::new());
    let mut in_negative = false;
    for line in text.split('\n').map(str::trim) {
        let after_label = line.strip_prefix(NEGATIVE);
        in_negative |= after_label.is_some();
        let target = if in_negative { &mut negative } else { &mut prompt };
        if !target.is_empty() {
            target.push('\n');
        }
        target.push_str(after_label.map_or(line, str::trim));
    }
    (prompt, negative)
}

/// All matches of A1111's `\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)` in a line, values still quoted.
fn fields(line: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_word) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_word(c) && !matches!(c, ' ' | '-' | '/')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(after) = after.strip_prefix(':').filter(|_| name.chars().nth(1).is_some()) else {
            // No other start within this run of name characters could match either: all of them end where it ends.
            rest = after;
            continue;
        };
        let after = after.trim_start();
        let length = quoted_length(after).unwrap_or_else(|| after.find(',').unwrap_or(after.len()));
        found.push((name, &after[..length]));
        rest = after[length..].strip_prefix(',').unwrap_or(&after[length..]);
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the quoted value that `text` starts with, when it is closed, not empty, and followed by a comma or the end.
fn quoted_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    let close = inner.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    })?;
    let after = &inner[close + 1..];
    let complete = close > 0 && (after.is_empty() || after.starts_with(','));
    complete.then_some(close + 2)
}

/// A JSON string's content; anything else as it is.
fn unquote(value: &str) -> String {
    serde_json::from_str(value).unwrap_or_else(|_| value.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Cases = Vec<(String, BTreeMap<String, String>)>;

    /// Texts with what A1111's parser reads from them.
    fn reference(list: &str) -> Cases {
        let file: serde_json::Value = crate::testing::json("metadata/infotext.json");
        serde_json::from_value(file[list].clone()).unwrap()
    }

    /// As A1111 returns it: one map, sizes in two fields.
    fn as_reference(text: &Infotext) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        for (name, value) in &text.fields {
            let digits = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_digit());
            match value.split_once('x').filter(|(w, h)| digits(w) && digits(h)) {
                Some((width, height)) => {
                    map.insert(format!("{name}-1"), width.into());
                    map.insert(format!("{name}-2"), height.into());
                }
                None => drop(map.insert(name.clone(), value.clone())),
            }
        }
        map.insert("Prompt".into(), text.prompt.clone());
        map.insert("Negative prompt".into(), text.negative.clone());
        map
    }

    #[test]
    fn texts_read_as_a1111_reads_them() {
        let cases = [reference("written"), reference("wild")].concat();
        assert_eq!(cases.len(), 64);
        for (text, expected) in cases {
            assert_eq!(as_reference(&Infotext::parse(&text)), expected, "{text}");
        }
    }

    #[test]
    fn texts_of_a1111_are_written_back_as_they_were() {
        let mut same = 0;
        for (text, _) in reference("written") {
            // What the parser cannot keep: spaces around lines, a field without a value, a prompt that looks like a label.
            let lossy = ["none kept", "trailing space", "ends with newline", "Negative prompt: inside"];
            if !lossy.iter().any(|start| text.starts_with(start)) {
                assert_eq!(Infotext::parse(&text).to_string().trim_start(), text);
                same += 1;
            }
        }
        assert_eq!(same, 44);
    }

    /// What A1111's reader makes of the last line: its expression, and its rule for quotes.
    fn by_expression(line: &str) -> Vec<(String, String)> {
        let expression = fancy_regex::Regex::new(r#"\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)"#).unwrap();
        let field = |captures: fancy_regex::Captures<'_>| {
            let value = captures[2].to_string();
            let is_quoted = value.starts_with('"') && value.ends_with('"');
            let text = if is_quoted { serde_json::from_str(&value).unwrap() } else { value };
            (captures[1].to_string(), text)
        };
        expression.captures_iter(line).map(|captures| field(captures.unwrap())).collect()
    }

    #[test]
    fn the_expression_of_a1111_reads_what_is_written() {
        let prompt = "a \"red\" apple, Steps: 3, (shiny:1.2),\nsecond line: \u{1f34e}, {a}, \\(b\\)";
        for model in ["v1-5", "one, two: \"three\"", "line\nbreak", "back\\slash, \u{1f34e}", "a: b"] {
            let fields = [("Steps", "20"), ("Sampler", "DPM++ 2M"), ("CFG scale", "7.5"), ("Model", model)];
            let fields = [&fields[..], &[("Lora hashes", "a: 0123, b: 4567"), ("Version", "sdgen 1.2.3")]].concat();
            let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let text = Infotext { prompt: prompt.into(), negative: "blurry, \"dark\"".into(), fields };
            let written = text.to_string();
            let (before, last) = written.rsplit_once('\n').unwrap();
            assert_eq!(by_expression(last), text.fields, "{written}");
            assert_eq!(before, format!("{prompt}\nNegative prompt: blurry, \"dark\""));
            assert_eq!(Infotext::parse(&written), text);
        }
    }

    #[test]
    fn the_last_of_equal_fields_counts() {
        let text = Infotext::parse("a\nSteps: 1, Seed: 2, Steps: 3");
        assert_eq!(text.get("Steps"), Some("3"));
        assert_eq!(text.get("Sampler"), None);
    }

    #[test]
    fn hostile_texts_take_no_time() {
        let long = "a ".repeat(1_000_000);
        assert_eq!(Infotext::parse(&long).fields, []);
        let names = "ab: \", ".repeat(400_000);
        assert!(Infotext::parse(&names).fields.len() > 1);
        let escapes = format!("ab: {}", "\"\\".repeat(500_000));
        assert_eq!(Infotext::parse(&escapes).fields, []);
    }
}
