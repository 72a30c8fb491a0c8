//! What the hub says about a repository: its commit and its files, with their sizes and hashes.

use serde::Deserialize;
use serde_json::Value;

use super::address::{escape, host};
use super::client::{not_understood, Client, Subject};
use super::{DownloadError, Report};
use crate::hub::digest::Digest;
use crate::hub::repo::is_inside;
use crate::hub::RepoId;
use crate::{Error, Result};

/// A repository at one commit.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// All files.
    pub files: Vec<ListedFile>,
}

/// A file as the hub lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedFile {
    /// Its path inside the repository.
    pub path: String,
    /// Bytes.
    pub size: Option<u64>,
    /// What its content is.
    pub digest: Option<Digest>,
}

#[derive(Deserialize)]
struct ModelInfo {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    #[serde(rename = "rfilename")]
    path: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

/// Asks the hub for a repository's files.
///
/// # Errors
/// When the hub does not show it, or names files that lead out of their folder.
pub fn list(client: &Client, id: &RepoId, report: Report<'_>) -> Result<Listing> {
    let endpoint = &client.settings.endpoint;
    // With slashes escaped: a revision may hold some.
    let revision = escape(&id.revision).replace('/', "%2F");
    let url = format!("{endpoint}/api/models/{}/revision/{revision}?blobs=true", id.name);
    let subject =
        Subject { repo: Some(id.name.clone()), what: format!("repository `{}` at `{}`", id.name, id.revision) };
    let text = client.text(&url, &subject, report)?;
    parse(&text).map_err(|problem| match problem {
        Problem::Hostile(name) => DownloadError::Hostile { from: id.name.clone(), name }.into(),
        Problem::Unclear(why) => not_understood(endpoint, &subject, &why),
    })
}

/// The address of a file at a commit.
pub fn file_url(client: &Client, repo: &str, commit: &str, path: &str) -> String {
    format!("{}/{repo}/resolve/{commit}/{}", client.settings.endpoint, escape(path))
}

impl Listing {
    /// Makes sure that size and hash of a file are known: what the listing lacks, the file's own address says.
    ///
    /// # Errors
    /// When it does not.
    pub fn complete(
        client: &Client,
        repo: &str,
        commit: &str,
        file: &mut ListedFile,
        report: Report<'_>,
    ) -> Result<()> {
        if file.size.is_some() && file.digest.is_some() {
            return Ok(());
        }
        let url = file_url(client, repo, commit, &file.path);
        let subject = Subject { repo: Some(repo.into()), what: format!("file `{}`", file.path) };
        let reply = client.persistently(report, |_| client.get(&url, Some("bytes=0-0"), None, &subject))?;
        file.digest = reply.linked_hash.as_deref().and_then(Digest::parse).or(file.digest.take());
        file.size = reply.extent().1.or(file.size);
        if file.size.is_none() || file.digest.is_none() {
            let message = format!("{} says neither size nor hash of `{}`", host(&url), file.path);
            let hint = "unset `HF_ENDPOINT`: this server does not answer as the hub does";
            return Err(DownloadError::Choice { what: message, hint: hint.into() }.into());
        }
        Ok(())
    }
}

enum Problem {
    Hostile(String),
    Unclear(String),
}

fn parse(text: &str) -> Result<Listing, Problem> {
    let info: ModelInfo = serde_json::from_str(text).map_err(|e| {
        let page = text.trim_start().starts_with('<');
        Problem::Unclear(if page { "it is a web page".into() } else { format!("it is no listing of files: {e}") })
    })?;
    if !matches!(Digest::parse(&info.sha), Some(Digest::Git(_))) {
        return Err(Problem::Unclear(format!("`{}` is no commit", info.sha)));
    }
    let files = info.siblings.into_iter().map(|file| {
        if !is_inside(&file.path) {
            return Err(Problem::Hostile(file.path));
        }
        let (size, hash) = match file.lfs {
            Some(lfs) => (Some(lfs.size), Some(lfs.sha256)),
            None => (file.size, file.blob_id),
        };
        Ok(ListedFile { path: file.path, size, digest: hash.as_deref().and_then(Digest::parse) })
    });
    Ok(Listing { commit: info.sha.to_ascii_lowercase(), files: files.collect::<Result<_, _>>()? })
}

/// The components that a `model_index.json` names.
///
/// # Errors
/// When it is no such file.
pub fn components(index: &str) -> Result<Vec<String>> {
    let index: serde_json::Map<String, Value> = serde_json::from_str(index).map_err(|e| {
        Error::model(format!("`model_index.json` is not understood: {e}"), "take the model from another repository")
    })?;
    let is_component = |value: &Value| value.as_array().is_some_and(|pair| pair.get(1).is_some_and(Value::is_string));
    Ok(index.into_iter().filter(|(_, value)| is_component(value)).map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read() {
        let text = r#"{ "sha": "AAAAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "gated": "auto", "siblings": [
            { "rfilename": "a/b.json", "size": 3, "blobId": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" },
            { "rfilename": "c", "size": 4, "blobId": "dd", "lfs":
              { "sha256": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "size": 5, "pointerSize": 1 } },
            { "rfilename": "bare" } ] }"#;
        let listing = parse(text).ok().unwrap();
        assert_eq!(listing.commit, "a".repeat(40));
        let file = |path: &str, size, digest| ListedFile { path: path.into(), size, digest };
        assert_eq!(
            listing.files,
            [
                file("a/b.json", Some(3), Digest::parse(&"b".repeat(40))),
                file("c", Some(5), Digest::parse(&"e".repeat(64))),
                file("bare", None, None),
            ]
        );
    }

    #[test]
    fn hostile_and_unclear_listings_are_refused() {
        let with = |sha: &str, name: &str| {
            let text = serde_json::json!({ "sha": sha, "siblings": [{ "rfilename": name }] }).to_string();
            match parse(&text) {
                Ok(_) => "sound",
                Err(Problem::Hostile(_)) => "hostile",
                Err(Problem::Unclear(_)) => "unclear",
            }
        };
        let commit = "a".repeat(40);
        assert_eq!(with(&commit, "a/..b/c d.json"), "sound");
        for name in ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "C:x", "", "a//b"] {
            assert_eq!(with(&commit, name), "hostile", "{name}");
        }
        assert_eq!(with("../../x", "a"), "unclear");
        assert!(matches!(parse("<html>"), Err(Problem::Unclear(why)) if why.contains("page")));
    }

    #[test]
    fn components_are_what_has_a_class() {
        let index = r#"{ "_class_name": "X", "force": true, "unet": ["diffusers", "UNet2DConditionModel"],
            "image_encoder": [null, null], "vae": ["diffusers", "AutoencoderKL"] }"#;
        assert_eq!(components(index).unwrap(), ["unet", "vae"]);
        assert!(components("[]").is_err());
    }
}
