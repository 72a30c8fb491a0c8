//! Where files of settings are: in the current folder, and in the folder that the system has for a user's settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The name of a file of settings.
pub const FILE_NAME: &str = "sdgen.toml";

/// What a run finds around it. Empty, there is nothing but the command line.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The variables.
    pub variables: Vec<(OsString, OsString)>,
    /// The user's folder of settings for this program.
    pub user: Option<PathBuf>,
    /// The user's own folder.
    pub home: Option<PathBuf>,
    /// Whether files of the current folder count.
    pub here: bool,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let user = user_folder(|name| std::env::var_os(name), home.as_deref());
        Surroundings { variables: std::env::vars_os().collect(), user, home, here: true }
    }

    /// A variable that is set to something.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value)
    }
}

/// `sdgen` in `XDG_CONFIG_HOME` where that is set, in `%APPDATA%` on Windows, `~/Library/Application Support` on macOS, `~/.config`
/// elsewhere.
fn user_folder(variable: impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Option<PathBuf> {
    let set = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || match () {
        () if cfg!(windows) => set("APPDATA"),
        () if cfg!(target_os = "macos") => home.map(|home| home.join("Library").join("Application Support")),
        () => home.map(|home| home.join(".config")),
    };
    set("XDG_CONFIG_HOME").or_else(usual).map(|folder| folder.join("sdgen"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(any(windows, target_os = "macos")))]
    fn the_users_folder_is_where_the_system_has_it() {
        let folder = |set: Option<&str>| user_folder(|_| set.map(Into::into), Some(Path::new("/home/me")));
        assert_eq!(folder(None), Some("/home/me/.config/sdgen".into()));
        assert_eq!(folder(Some("/x")), Some("/x/sdgen".into()));
        // As its specification says: what is relative is to be ignored.
        assert_eq!(folder(Some("x")), Some("/home/me/.config/sdgen".into()));
        assert_eq!(user_folder(|_| None, None), None);
    }
}
