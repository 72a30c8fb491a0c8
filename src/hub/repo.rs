//! [`RepoId`]: the name of a repository on the hub, as users write it.

use std::fmt;

use crate::{Error, Result};

/// The branch that is meant when none is named.
pub const MAIN: &str = "main";

/// What a user may write: `org/name`, `org/name@revision`, `org/name/path/to/file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoId {
    /// `org/name`.
    pub name: String,
    /// A branch, a tag or a commit.
    pub revision: String,
    /// One file inside the repository.
    pub file: Option<String>,
}

impl RepoId {
    /// Reads a name.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is none, or climbs out of a folder.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(
                format!("`{text}` is no repository's name"),
                "repositories are named `org/name`, `org/name@revision` or, for one file, `org/name/file`",
            )
        };
        let (path, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let mut parts = path.splitn(3, '/');
        let (Some(org), Some(name), file) = (parts.next(), parts.next(), parts.next()) else { return Err(wrong()) };
        let sound = is_name(org) && is_name(name) && is_inside(revision) && file.is_none_or(is_inside);
        if !sound {
            return Err(wrong());
        }
        Ok(RepoId { name: format!("{org}/{name}"), revision: revision.into(), file: file.map(Into::into) })
    }

    /// The same revision and file elsewhere.
    #[must_use]
    pub fn of(name: &str) -> Self {
        RepoId { name: name.into(), revision: MAIN.into(), file: None }
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(file) = &self.file {
            write!(f, "/{file}")?;
        }
        if self.revision != MAIN {
            write!(f, "@{}", self.revision)?;
        }
        Ok(())
    }
}

/// Whether a part of a repository's name is one by the hub's rules.
fn is_name(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !part.is_empty()
        && part.len() <= 96
        && part.chars().all(allowed)
        && !part.starts_with(['-', '.'])
        && !part.ends_with(['-', '.'])
        && !part.contains("..")
        && !part.contains("--")
}

/// Whether a path stays inside its folder on every system: no root, no drive, no step up, no empty step.
#[must_use]
pub fn is_inside(path: &str) -> bool {
    let step = |step: &str| {
        !matches!(step, "" | "." | "..") && !step.contains(['\\', ':']) && !step.chars().any(char::is_control)
    };
    path.split('/').all(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_an_owner_a_revision_and_a_file() {
        let id = RepoId::parse("org/name").unwrap();
        assert_eq!((id.name.as_str(), id.revision.as_str(), id.file), ("org/name", "main", None));
        let id = RepoId::parse("org/name.v1-5/a/b.safetensors@refs/pr/1").unwrap();
        assert_eq!((id.name.as_str(), id.revision.as_str()), ("org/name.v1-5", "refs/pr/1"));
        assert_eq!(id.file.as_deref(), Some("a/b.safetensors"));
        assert_eq!(id.to_string(), "org/name.v1-5/a/b.safetensors@refs/pr/1");
        assert_eq!(RepoId::parse("org/name@main").unwrap().to_string(), "org/name");
    }

    #[test]
    fn names_that_climb_are_none() {
        for text in [
            "",
            "sd15",
            "/a/b",
            "./a",
            "../a/b",
            "a/../b",
            "a/b/../c",
            "a/b/",
            "a/b//c",
            "a/b@",
            "a/b@../../x",
            "a/b@x\\y",
            "a b/c",
            "a/b/c:d",
            "a/b\\c",
            "-a/b",
            "a/.b",
            "a--b/c",
            "a/b/c\nd",
            "~/models",
        ] {
            assert!(RepoId::parse(text).is_err(), "{text}");
        }
    }
}
