//! [`Setting`]: what is said of one in the table: its place in files, its option and variable, and which other settings it goes with or
//! against.

use std::borrow::Cow;

/// What a value of a setting is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text, a name.
    Text,
    /// A number, or a word that stands for one.
    Number,
    /// A file or folder, or the name of one; `./`, `../` and `~/` are read as seen from the file with the setting.
    Path,
    /// True or false.
    Switch,
    /// True or false, for an option that turns off.
    Off,
    /// True, false, or the value of an option that can do without.
    Optional,
    /// Texts.
    Texts,
    /// Files or folders.
    Paths,
    /// LoRAs: `"file:0.8"`, or tables with `path`, `weight` and `text_weight`.
    Loras,
}

/// The tables of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Which model paints, and what changes it.
    Model,
    /// What to paint.
    Prompt,
    /// How to get from noise to the picture.
    Sampling,
    /// The picture's size, and pictures that come in.
    Image,
    /// ControlNets.
    Control,
    /// Where pictures go.
    Output,
    /// On what the work is done.
    Compute,
    /// What the program says.
    General,
}

impl Section {
    /// All of them.
    pub const ALL: [Section; 8] = [
        Section::Model,
        Section::Prompt,
        Section::Sampling,
        Section::Image,
        Section::Control,
        Section::Output,
        Section::Compute,
        Section::General,
    ];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Section::Model => "model",
            Section::Prompt => "prompt",
            Section::Sampling => "sampling",
            Section::Image => "image",
            Section::Control => "control",
            Section::Output => "output",
            Section::Compute => "compute",
            Section::General => "general",
        }
    }
}

/// A setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its table in files.
    pub section: Section,
    /// The option that it is, without dashes: where it lands in the request or the machine's options is what the option does.
    pub option: &'static str,
    /// Its key in files, where that is not the option's name with underscores.
    key: Option<&'static str>,
    /// What a value is.
    pub kind: Kind,
    /// The setting about which it says more. Where a file gives both, it is given up with it.
    pub of: Option<&'static str>,
    /// The setting that says otherwise: one that comes from nearer ends this one.
    pub rival: Option<&'static str>,
    /// The option that takes a switch back, without dashes.
    pub undo: Option<&'static str>,
    /// Whether it is about this machine or terminal, and has no place in a preset.
    pub local: bool,
}

pub(super) const fn setting(section: Section, option: &'static str, kind: Kind) -> Setting {
    Setting { section, option, key: None, kind, of: None, rival: None, undo: None, local: false }
}

pub(super) const fn switch(section: Section, option: &'static str, kind: Kind, undo: &'static str) -> Setting {
    Setting { undo: Some(undo), ..setting(section, option, kind) }
}

impl Setting {
    pub(super) const fn key_is(self, key: &'static str) -> Self {
        Setting { key: Some(key), ..self }
    }

    pub(super) const fn of(self, of: &'static str) -> Self {
        Setting { of: Some(of), ..self }
    }

    pub(super) const fn rival(self, rival: &'static str) -> Self {
        Setting { rival: Some(rival), ..self }
    }

    pub(super) const fn local(self) -> Self {
        Setting { local: true, ..self }
    }

    /// Its key in files.
    #[must_use]
    pub fn key(&self) -> Cow<'static, str> {
        self.key.map_or_else(|| self.positive().replace('-', "_").into(), Cow::Borrowed)
    }

    /// The option, or for one that turns off, what it turns off.
    fn positive(&self) -> &'static str {
        match (self.kind, self.undo) {
            (Kind::Off, Some(undo)) => undo,
            _ => self.option,
        }
    }

    /// Its name: section and key.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.section.name(), self.key())
    }

    /// Whether a file may call it so: by its key, or by the option's name.
    #[must_use]
    pub fn is_called(&self, key: &str) -> bool {
        self.key() == key || (self.kind != Kind::Off && self.option.replace('-', "_") == key)
    }

    /// Its variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("SDGEN_{}", self.positive().to_uppercase().replace('-', "_"))
    }

    /// Whether it takes several values.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.kind, Kind::Texts | Kind::Paths | Kind::Loras)
    }
}
