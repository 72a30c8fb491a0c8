//! `SDGEN_*` variables.

use std::ffi::OsString;

use super::given::{Given, Layer, Origin};
use super::merge::split_schedulers;
use super::setting::Kind;
use super::table::SETTINGS;
use crate::{suggest, Error, Result};

/// What all of them begin with.
const START: &str = "SDGEN_";
/// Variables that are no settings: the file of settings, the preset, and those of the kernels, downloads and shards.
const OTHERS: [&str; 5] = ["SDGEN_CONFIG_FILE", "SDGEN_PRESET", "SDGEN_ISA", "SDGEN_RETRY_PAUSE", "SDGEN_SHARDS"];
/// What stands between the values of a list.
const SEPARATOR: char = ';';

/// The settings among the variables, and warnings about those that look like some. An empty variable is none.
///
/// # Errors
/// [`Error::Usage`] for a value that is no text, and for a switch that is neither on nor off.
pub fn read_variables(variables: &[(OsString, OsString)]) -> Result<(Layer, Vec<String>)> {
    let mut layer = Layer { name: "the environment".into(), ..Layer::default() };
    let mut warnings = Vec::new();
    let set = variables.iter().filter(|(_, value)| !value.is_empty());
    for (name, value) in set.filter_map(|(name, value)| Some((name.to_str()?, value))) {
        if !name.starts_with(START) || OTHERS.contains(&name) || name.starts_with("SDGEN_TEST_") {
            continue;
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) else {
            warnings.push(unknown(name));
            continue;
        };
        let Some(value) = value.to_str() else {
            return Err(Error::usage(format!("`{name}` is not valid UTF-8"), "set it to a text, or unset it"));
        };
        let texts = match setting.kind {
            Kind::Switch | Kind::Off => vec![switch(name, value)?.to_string()],
            _ if setting.is_list() => value.split(SEPARATOR).map(|text| text.trim().to_string()).collect(),
            _ => vec![value.to_string()],
        };
        layer.given.push(Given { setting, texts, origin: Origin::Variable(name.into()) });
    }
    split_schedulers(&mut layer.given);
    Ok((layer, warnings))
}

fn unknown(name: &str) -> String {
    let known = SETTINGS.iter().map(super::Setting::variable).chain(OTHERS.map(Into::into));
    match suggest::nearest(name, known) {
        Some(near) => format!("`{name}` has no effect: it is no variable of sdgen; did you mean `{near}`?"),
        None => format!("`{name}` has no effect: it is no variable of sdgen"),
    }
}

fn switch(name: &str, value: &str) -> Result<bool> {
    let refused = || Error::usage(format!("`{name}`: `{value}` is neither on nor off"), "give `1` or `0`");
    is_on(value).ok_or_else(refused)
}

/// Whether the value of a switch turns it on; `None` where it is no value of a switch.
#[must_use]
pub fn is_on(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<(Vec<String>, Vec<String>)> {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let (layer, warnings) = read_variables(&variables)?;
        let given = layer.given.iter().map(|g| format!("{} {}: {}", g.origin, g.setting.name(), g.texts.join(" & ")));
        Ok((given.collect(), warnings))
    }

    #[test]
    fn variables_are_settings_by_their_names() {
        let variables = [
            ("SDGEN_STEPS", "7"),
            ("HOME", "/x"),
            ("SDGEN_LORA", "a:0.5; b"),
            ("SDGEN_OVERWRITE", "Yes"),
            ("SDGEN_PASTE_BACK", "0"),
            ("SDGEN_MODEL", ""),
            ("SDGEN_ISA", "scalar"),
        ];
        let expected = [
            "SDGEN_STEPS sampling.steps: 7",
            "SDGEN_LORA model.loras: a:0.5 & b",
            "SDGEN_OVERWRITE output.overwrite: true",
            "SDGEN_PASTE_BACK image.paste_back: false",
        ];
        assert_eq!(read(&variables).unwrap(), (expected.map(Into::into).to_vec(), Vec::new()));
    }

    #[test]
    fn what_is_unknown_is_told_and_what_is_no_switch_refused() {
        let (given, warnings) = read(&[("SDGEN_STEP", "7"), ("SDGEN_ZZZ", "1")]).unwrap();
        assert!(given.is_empty());
        assert!(warnings[0].contains("did you mean `SDGEN_STEPS`?") && warnings[1].contains("`SDGEN_ZZZ`"));
        assert!(read(&[("SDGEN_OVERWRITE", "maybe")]).unwrap_err().to_string().contains("maybe"));
    }
}
