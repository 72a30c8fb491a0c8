//! The licence that a model's folder names: the first lines of its `README.md`, as the hub reads them.

use std::path::Path;

use crate::files::read_small;

/// The licence in the YAML lines that a folder's `README.md` begins with: `license`, and where that is "other", `license_name`.
#[must_use]
pub fn licence_of_readme(folder: &Path) -> Option<String> {
    let bytes = read_small(&folder.join("README.md")).ok()?;
    in_front_matter(&String::from_utf8_lossy(&bytes))
}

fn in_front_matter(text: &str) -> Option<String> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    lines.next().filter(|line| line.trim_end() == "---")?;
    let lines: Vec<&str> = lines.take_while(|line| line.trim_end() != "---").collect();
    let field = |name: &str| {
        let value_of =
            |line: &&'_ str| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_string());
        let (at, value) = lines.iter().enumerate().find_map(|(at, line)| Some((at, value_of(line)?)))?;
        // A list, too, may stand there: its first entry is taken.
        let first = lines.get(at + 1).and_then(|line| line.trim().strip_prefix("- "));
        let value = if value.is_empty() { first? } else { &value };
        let value = value.trim_matches(['"', '\'', '[', ']', ' ']);
        (!value.is_empty()).then(|| value.to_string())
    };
    match field("license") {
        Some(licence) if licence != "other" => Some(licence),
        other => field("license_name").or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_name_the_licence() {
        for (text, licence) in [
            ("---\nlicense: openrail++\ntags:\n- x\n---\n# Model\n", Some("openrail++")),
            ("---\nlicense: other\nlicense_name: \"flux-1-dev\"\nlicense_link: LICENSE.md\n---", Some("flux-1-dev")),
            ("---\r\nlicense:\r\n- mit\r\n- gpl\r\n---\r\n", Some("mit")),
            ("---\nlicense: other\n---", Some("other")),
            ("---\ntags: [a]\n---\nlicense: mit\n", None),
            ("license: mit\n", None),
            ("---\nlicense:\n---", None),
            ("", None),
        ] {
            assert_eq!(in_front_matter(text).as_deref(), licence, "{text}");
        }
    }
}
