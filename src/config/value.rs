//! Values of TOML as the texts that options take.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::setting::Kind;

/// What paths of a file are relative to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Base<'a> {
    /// The file's folder; `None` where the file is inside the program, or in the current folder.
    pub folder: Option<&'a Path>,
    /// The user's own folder, for `~/`.
    pub home: Option<&'a Path>,
}

impl Base<'_> {
    /// A path as seen from here. What begins with neither `./` nor `../` nor `~/` may be a name, and stays.
    fn path(&self, text: &str) -> String {
        let joined: Option<PathBuf> = match text.strip_prefix("~/") {
            Some(rest) => self.home.map(|home| home.join(rest)),
            None if text.starts_with("./") || text.starts_with("../") => self.folder.map(|folder| folder.join(text)),
            None => None,
        };
        joined.and_then(|path| path.to_str().map(String::from)).unwrap_or_else(|| text.into())
    }
}

/// The texts of a value.
///
/// # Errors
/// What it should be, "a text".
pub fn texts_of(kind: Kind, value: &DeValue<'_>, base: &Base<'_>) -> Result<Vec<String>, &'static str> {
    match kind {
        Kind::Switch | Kind::Off => value.as_bool().map(|on| vec![on.to_string()]).ok_or("true or false"),
        Kind::Optional => {
            let on = value.as_bool().map(|on| on.to_string());
            on.or_else(|| scalar(value)).map(|text| vec![text]).ok_or("true, false or a value")
        }
        Kind::Text | Kind::Number => scalar(value).map(|text| vec![text]).ok_or("a text or a number"),
        Kind::Path => value.as_str().map(|path| vec![base.path(path)]).ok_or("a text"),
        Kind::Texts => list(value, &|item| scalar(item)).ok_or("a list of texts"),
        Kind::Paths => list(value, &|item| item.as_str().map(|path| base.path(path))).ok_or("a list of texts"),
        Kind::Loras => list(value, &|item| lora(item, base)).ok_or(
            "a list of LoRAs, as `[\"style.safetensors:0.8\"]` or `[{ path = \"style.safetensors\", weight = 0.8 }]`",
        ),
    }
}

fn list(value: &DeValue<'_>, of: &dyn Fn(&DeValue<'_>) -> Option<String>) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| of(item.get_ref())).collect()
}

/// A text, or a number as it is written.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().into()),
        DeValue::Float(number) => Some(number.as_str().into()),
        _ => None,
    }
}

fn lora(value: &DeValue<'_>, base: &Base<'_>) -> Option<String> {
    let Some(table) = value.as_table() else { return value.as_str().map(|text| base.path(text)) };
    let known = ["path", "weight", "text_weight"];
    if table.keys().any(|key| !known.contains(&key.get_ref().as_ref())) {
        return None;
    }
    let path = base.path(field(table, "path")?.as_str()?);
    let number = |key: &str| field(table, key).map(|value| scalar(value).ok_or(())).transpose().ok();
    let (weight, text_weight) = (number("weight")?, number("text_weight")?);
    let weight = weight.unwrap_or_else(|| "1".into());
    Some(match text_weight {
        Some(text_weight) => format!("{path}:{weight}:{text_weight}"),
        None => format!("{path}:{weight}"),
    })
}

fn field<'t>(table: &'t DeTable<'_>, name: &str) -> Option<&'t DeValue<'t>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value.get_ref())
}
