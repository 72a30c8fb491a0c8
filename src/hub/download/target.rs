//! [`Target`]: what a user asks to be fetched.

use super::address::{escape, origin, unescape};
use crate::hub::registry::{self, Entry};
use crate::hub::settings::{Settings, HUB};
use crate::hub::RepoId;
use crate::{Error, Result};

/// What a user asks to be fetched.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A model with a short name.
    Alias(&'static Entry),
    /// A repository, or one file of it.
    Repo(RepoId),
    /// A file at an address.
    Address(String),
}

impl Target {
    /// Reads a short name, a repository's name or an address. Addresses of pages that people copy (a repository, a file's page
    /// on the hub, a model's page on CivitAI) become what they show.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is none of them.
    pub fn parse(text: &str, settings: &Settings) -> Result<Self> {
        if text.contains("://") {
            return address(text, settings);
        }
        if let Some(entry) = registry::by_alias(text) {
            return Ok(Target::Alias(entry));
        }
        RepoId::parse(text).map(Target::Repo).map_err(|e| match registry::nearest(text) {
            Some(near) if !text.contains('/') => {
                let hint = format!("did you mean `{near}`? `sdgen download --list` shows all short names");
                Error::usage(format!("there is no model `{text}`"), hint)
            }
            _ if text.contains('/') => e,
            _ => Error::usage(
                format!("there is no model `{text}`"),
                "`sdgen download --list` shows all short names; others are named `org/name` or `https://...`",
            ),
        })
    }
}

fn address(text: &str, settings: &Settings) -> Result<Target> {
    // As browsers do with what is pasted.
    let text = text.trim().replace(' ', "%20");
    let text = text.as_str();
    let Some(of) = origin(text) else {
        let hint = "addresses begin with `https://`";
        return Err(Error::usage(format!("`{text}` is no address of a file on the web"), hint));
    };
    let (bare, fragment) = text.split_once('#').map_or((text, ""), |(bare, f)| (bare, f));
    let (bare, query) = bare.split_once('?').unwrap_or((bare, ""));
    let path = bare.splitn(4, '/').nth(3).unwrap_or_default().trim_end_matches('/');
    if Some(&of) == origin(&settings.endpoint).as_ref() || Some(&of) == origin(HUB).as_ref() {
        return hub_page(text, path, fragment, settings);
    }
    if of.1 == "civitai.com" && path.starts_with("models/") {
        let version = query.split('&').find_map(|pair| pair.strip_prefix("modelVersionId="));
        let digits = version.filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()));
        return match digits {
            Some(id) => Ok(Target::Address(format!("https://civitai.com/api/download/models/{id}"))),
            None => Err(Error::usage(
                "that is the page of a model, which may have several versions",
                "copy the address of its download button: `https://civitai.com/api/download/models/...`",
            )),
        };
    }
    Ok(Target::Address(text.into()))
}

/// An address of the hub: of a repository, of a revision of it, or of a file.
fn hub_page(text: &str, path: &str, fragment: &str, settings: &Settings) -> Result<Target> {
    let steps: Vec<String> = path.split('/').map(unescape).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    match steps.as_slice() {
        [org, name] => RepoId::parse(&format!("{org}/{name}")).map(Target::Repo),
        [org, name, "tree", revision @ ..] if !revision.is_empty() => {
            RepoId::parse(&format!("{org}/{name}@{}", revision.join("/"))).map(Target::Repo)
        }
        [org, name, "blob" | "resolve", rest @ ..] if rest.len() > 1 => {
            let mark = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
            let file = escape(&rest.join("/"));
            Ok(Target::Address(format!("{}/{org}/{name}/resolve/{file}{mark}", settings.endpoint)))
        }
        _ => Ok(Target::Address(text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Target> {
        Target::parse(text, &Settings::of(|_| None, None))
    }

    #[test]
    fn names_repositories_and_addresses_are_told_apart() {
        assert!(matches!(parsed("sd15").unwrap(), Target::Alias(entry) if entry.alias == "sd15"));
        assert_eq!(parsed("a/b@c").unwrap(), Target::Repo(RepoId::parse("a/b@c").unwrap()));
        assert_eq!(parsed("https://x.example/y").unwrap(), Target::Address("https://x.example/y".into()));
        assert!(parsed("sdlx").unwrap_err().hint().unwrap().contains("`sdxl`"));
        for text in ["", "zebra", "../x", "ftp://a/b", "file:///etc/passwd"] {
            assert_eq!(parsed(text).unwrap_err().exit_code(), 2, "{text}");
        }
    }

    #[test]
    fn pages_become_what_they_show() {
        let repo = |text: &str| Target::Repo(RepoId::parse(text).unwrap());
        let file = |text: &str| Target::Address(text.into());
        for (page, target) in [
            ("https://huggingface.co/a/b", repo("a/b")),
            ("https://huggingface.co/a/b/tree/refs%2Fpr%2F1", repo("a/b@refs/pr/1")),
            ("https://huggingface.co/a/b/blob/main/c/d e.x", file("https://huggingface.co/a/b/resolve/main/c/d%20e.x")),
            (
                "https://huggingface.co/a/b/resolve/main/c%20d?download=true",
                file("https://huggingface.co/a/b/resolve/main/c%20d"),
            ),
            ("https://civitai.com/models/1/name?modelVersionId=22", file("https://civitai.com/api/download/models/22")),
        ] {
            assert_eq!(parsed(page).unwrap(), target, "{page}");
        }
        assert!(parsed("https://civitai.com/models/1/name").is_err());
    }
}
