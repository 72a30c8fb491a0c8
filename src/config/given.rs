//! Values of settings, and where they come from.

use std::fmt;
use std::path::PathBuf;

use super::setting::Setting;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An option.
    CommandLine,
    /// A variable of the environment.
    Variable(String),
    /// The recipe of a picture.
    Recipe(PathBuf),
    /// A line of a file, by the name under which the user knows it.
    File {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::CommandLine => f.write_str("command line"),
            Origin::Variable(name) => f.write_str(name),
            Origin::Recipe(picture) => write!(f, "{}", picture.display()),
            Origin::File { name, line } => write!(f, "{name}:{line}"),
        }
    }
}

/// A value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// The setting.
    pub setting: &'static Setting,
    /// What its option takes: one text, or one for each time that the option is given. Of switches `true` or `false`.
    pub texts: Vec<String>,
    /// Where it comes from.
    pub origin: Origin,
}

impl Given {
    /// A value of one text.
    pub fn new(setting: &'static Setting, text: impl Into<String>, origin: Origin) -> Self {
        Given { setting, texts: vec![text.into()], origin }
    }

    /// What an error calls it: the variable, or the place in the file and the key.
    #[must_use]
    pub fn named(&self) -> String {
        match &self.origin {
            Origin::CommandLine => format!("`--{}`", self.setting.option),
            Origin::Variable(name) => format!("`{name}`"),
            Origin::Recipe(_) | Origin::File { .. } => format!("{}: `{}`", self.origin, self.setting.key()),
        }
    }
}

/// The values of one source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layer {
    /// The source: `the environment`, `./sdgen.toml`.
    pub name: String,
    /// Its values; a setting is there once.
    pub given: Vec<Given>,
    /// Whether the user said by an option that it counts; what comes uncalled is told.
    pub called: bool,
}

impl Layer {
    /// The value of a setting.
    #[must_use]
    pub fn get(&self, option: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.setting.option == option)
    }
}
