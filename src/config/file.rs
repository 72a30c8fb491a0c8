//! Files of settings: TOML, each value checked for its shape and kept with its line. What a value may be, its option says later.

use toml::de::{DeTable, DeValue};
use toml::Spanned;

use super::given::{Given, Origin};
use super::merge::split_schedulers;
use super::setting::{Section, Setting};
use super::table::SETTINGS;
use super::value::{texts_of, Base};
use crate::{suggest, Error, Result};

/// The version of the layout.
const SCHEMA: &str = "1";

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Settings of a user or a project.
    Settings,
    /// A preset: nothing in it is about a machine.
    Preset,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SettingsFile {
    /// What it gives itself.
    pub given: Vec<Given>,
    /// The preset from which it takes the rest, and the line that says so.
    pub extends: Option<(String, usize)>,
    /// What it is for, in a sentence.
    pub description: Option<String>,
}

/// Reads the text of a file. `name` is what the user knows it by, `base` what its paths are relative to.
///
/// # Errors
/// [`Error::Usage`] with the line of what is no TOML, unknown or of another shape.
pub fn read_file(text: &str, name: &str, base: &Base<'_>, kind: FileKind) -> Result<SettingsFile> {
    let reader = Reader { text, name, base, kind };
    let root = DeTable::parse(text).map_err(|e| reader.no_toml(&e))?;
    let mut file = SettingsFile::default();
    reader.root(root.get_ref(), &mut file)?;
    split_schedulers(&mut file.given);
    Ok(file)
}

/// A file being read.
struct Reader<'a> {
    text: &'a str,
    name: &'a str,
    base: &'a Base<'a>,
    kind: FileKind,
}

impl Reader<'_> {
    fn root(&self, root: &DeTable<'_>, file: &mut SettingsFile) -> Result<()> {
        for (key, value) in root {
            let (key, line) = (key.get_ref().as_ref(), self.line(key.span().start));
            let text = || value.get_ref().as_str().map(String::from).ok_or_else(|| self.wrong(line, key, "a text"));
            match key {
                "schema" => self.schema(value, line)?,
                "extends" => file.extends = Some((text()?, line)),
                "description" => file.description = Some(text()?),
                "defaults" if self.kind == FileKind::Settings => {
                    self.root(value.get_ref().as_table().ok_or_else(|| self.wrong(line, key, "a table"))?, file)?;
                }
                _ => {
                    let section = Section::ALL.into_iter().find(|section| section.name() == key);
                    let section = section.ok_or_else(|| self.unknown_section(line, key))?;
                    let table = value.get_ref().as_table().ok_or_else(|| self.wrong(line, key, "a table"))?;
                    self.section(section, table, file)?;
                }
            }
        }
        Ok(())
    }

    fn schema(&self, value: &Spanned<DeValue<'_>>, line: usize) -> Result<()> {
        match value.get_ref().as_integer() {
            Some(number) if number.as_str() == SCHEMA => Ok(()),
            _ => Err(Error::usage(
                format!("{}:{line}: this sdgen reads files of schema {SCHEMA} only", self.name),
                format!("write `schema = {SCHEMA}`, or update sdgen"),
            )),
        }
    }

    fn section(&self, section: Section, table: &DeTable<'_>, file: &mut SettingsFile) -> Result<()> {
        for (key, value) in table {
            let (key, line) = (key.get_ref().as_ref(), self.line(key.span().start));
            let setting = self.setting(section, key, line)?;
            if file.given.iter().any(|given| given.setting == setting) {
                let message = format!("{}:{line}: `{}` is given twice", self.name, setting.name());
                return Err(Error::usage(message, "leave one of them out"));
            }
            let texts = texts_of(setting.kind, value.get_ref(), self.base);
            let texts = texts.map_err(|what| self.wrong(line, key, what))?;
            file.given.push(Given { setting, texts, origin: self.origin(line) });
        }
        Ok(())
    }

    fn setting(&self, section: Section, key: &str, line: usize) -> Result<&'static Setting> {
        let found = SETTINGS.iter().find(|setting| setting.section == section && setting.is_called(key));
        let Some(setting) = found else { return Err(self.unknown_key(section, key, line)) };
        if setting.local && self.kind == FileKind::Preset {
            return Err(Error::usage(
                format!("{}:{line}: `{key}` is about a machine, and presets are for any", self.name),
                "leave it out here, and write it into sdgen.toml or give the option",
            ));
        }
        Ok(setting)
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File { name: self.name.into(), line }
    }

    fn line(&self, at: usize) -> usize {
        self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
    }

    fn unknown_section(&self, line: usize, key: &str) -> Error {
        let names = Section::ALL.iter().filter(|section| self.takes(**section)).map(|section| section.name());
        let names: Vec<&str> = names.chain(["schema", "extends", "description"]).collect();
        // Most likely a setting that stands outside of its table.
        let settings = SETTINGS.iter().filter(|setting| setting.is_called(key)).map(Setting::name).next();
        let hint = match (settings, suggest::nearest(key, &names)) {
            (Some(setting), _) => {
                format!("it is `{setting}`: write it below `[{}]`", setting.split('.').next().unwrap_or_default())
            }
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => format!("one of: {}", names.join(", ")),
        };
        Error::usage(format!("{}:{line}: unknown key `{key}`", self.name), hint)
    }

    fn unknown_key(&self, section: Section, key: &str, line: usize) -> Error {
        let settings = || SETTINGS.iter().filter(|setting| self.kind == FileKind::Settings || !setting.local);
        let own: Vec<String> = settings().filter(|s| s.section == section).map(|s| s.key().into_owned()).collect();
        let elsewhere = settings().find(|setting| setting.is_called(key)).map(Setting::name);
        let hint = match (elsewhere, suggest::nearest(key, &own)) {
            (Some(name), _) => format!("it is `{name}`"),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => format!("one of: {}", own.join(", ")),
        };
        Error::usage(format!("{}:{line}: unknown key `{key}` in [{}]", self.name, section.name()), hint)
    }

    fn takes(&self, section: Section) -> bool {
        self.kind == FileKind::Settings || SETTINGS.iter().any(|setting| setting.section == section && !setting.local)
    }

    fn wrong(&self, line: usize, key: &str, what: &str) -> Error {
        Error::usage(format!("{}:{line}: `{key}` is not {what}", self.name), format!("give it {what}"))
    }

    fn no_toml(&self, e: &toml::de::Error) -> Error {
        let line = self.line(e.span().map_or(0, |span| span.start));
        let message = format!("{}:{line}: no TOML: {}", self.name, e.message());
        Error::usage(
            message,
            "write `key = value` below `[table]`, texts in quotes: `steps = 20`, `sampler = \"euler\"`",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str, kind: FileKind) -> Result<SettingsFile> {
        let base = Base { folder: Some(Path::new("/f")), home: Some(Path::new("/home/me")) };
        read_file(text, "x.toml", &base, kind)
    }

    fn refused(text: &str) -> String {
        let error = read(text, FileKind::Preset).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
        format!("{error} | {}", error.hint().unwrap())
    }

    #[test]
    fn values_are_kept_with_their_lines() {
        let text = "schema = 1\nextends = \"base\"\ndescription = 'For photos'\n[model]\npath = \"./a.safetensors\"\nvae = \"~/v\"\n\
                    unet = \"org/name\"\nloras = [\"a:0.5\", { path = \"./b.pt\", weight = 0.8, text_weight = 0.5 }, { path = \"c\" }]\n\
                    [sampling]\nsampler = \"dpm++2m-karras\"\nsteps = 1_0\nguidance = 7.50\nseed = 18446744073709551615\n\
                    [image]\npaste_back = false\nonly_masked = true\n";
        let file = read(text, FileKind::Preset).unwrap();
        assert_eq!(file.extends, Some(("base".into(), 2)));
        assert_eq!(file.description.as_deref(), Some("For photos"));
        let mut given: Vec<String> = file
            .given
            .iter()
            .map(|given| format!("{} {} {}", given.origin, given.setting.name(), given.texts.join(" & ")))
            .collect();
        given.sort();
        let expected = [
            "x.toml:10 sampling.sampler dpm++2m",
            "x.toml:10 sampling.schedule karras",
            "x.toml:11 sampling.steps 10",
            "x.toml:12 sampling.guidance 7.50",
            "x.toml:13 sampling.seed 18446744073709551615",
            "x.toml:15 image.paste_back false",
            "x.toml:16 image.only_masked true",
            "x.toml:5 model.path /f/./a.safetensors",
            "x.toml:6 model.vae /home/me/v",
            "x.toml:7 model.unet org/name",
            "x.toml:8 model.loras a:0.5 & /f/./b.pt:0.8:0.5 & c:1",
        ];
        assert_eq!(given, expected);
    }

    #[test]
    fn names_of_options_will_do_and_defaults_are_a_table() {
        let file = read("[defaults.sampling]\nscheduler = 'euler'\nsigmas = 'beta'\n", FileKind::Settings).unwrap();
        let names: Vec<String> = file.given.iter().map(|given| given.setting.name()).collect();
        assert_eq!(names, ["sampling.sampler", "sampling.schedule"]);
        assert!(refused("[defaults.sampling]\nsteps = 1").contains("x.toml:1: unknown key `defaults`"));
    }

    #[test]
    fn what_is_unknown_is_refused_with_its_line_and_what_is_near() {
        for (text, expected) in [
            ("[sampling]\n\nstepz = 3", "x.toml:3: unknown key `stepz` in [sampling] | did you mean `steps`?"),
            ("[samplin]\nsteps = 3", "x.toml:1: unknown key `samplin` | did you mean `sampling`?"),
            ("steps = 3", "x.toml:1: unknown key `steps` | it is `sampling.steps`: write it below `[sampling]`"),
            ("[prompt]\nsteps = 3", "x.toml:2: unknown key `steps` in [prompt] | it is `sampling.steps`"),
            ("[compute]\ndevice = 'cpu'", "x.toml:2: `device` is about a machine"),
            ("[general]\nquiet = true", "x.toml:2: `quiet` is about a machine"),
            ("schema = 2", "x.toml:1: this sdgen reads files of schema 1 only"),
            ("[sampling]\nsampler = 'a'\nscheduler = 'b'", "`sampling.sampler` is given twice"),
            ("[sampling]\nsteps = true", "x.toml:2: `steps` is not a text or a number"),
            ("[output]\noverwrite = 'yes'", "x.toml:2: `overwrite` is not true or false"),
            ("[model]\nloras = [{ file = 'a' }]", "x.toml:2: `loras` is not a list of LoRAs"),
            ("[model]\nloras = [{ path = 'a', weight = true }]", "x.toml:2: `loras` is not a list of LoRAs"),
            ("[model]\npath = 3", "x.toml:2: `path` is not a text"),
            ("sampling = 3", "x.toml:1: `sampling` is not a table"),
            ("[sampling]\nsteps = ", "x.toml:2: no TOML: "),
            ("[sampling]\nsteps = 1\nsteps = 2", "x.toml:3: no TOML: "),
        ] {
            let said = refused(text);
            assert!(said.contains(expected), "{text}: {said}");
        }
        assert!(refused("[sampling]\nzebra = 1").contains("one of: steps, guidance"));
    }

    #[test]
    fn hostile_files_end() {
        for text in ["[".repeat(100_000), "a.".repeat(100_000), format!("a = {}", "[".repeat(100_000)), "\0".into()] {
            assert!(read(&text, FileKind::Preset).is_err());
        }
    }
}
