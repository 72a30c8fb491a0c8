//! Files at plain addresses, CivitAI's among them: fetched into a folder of the user's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::address::{host, shown, unescape};
use super::client::{not_understood, Client, Subject};
use super::job::{check_space, hold};
use super::transfer::Transfer;
use super::{DownloadError, Event, Report};
use crate::hub::digest::{Digest, Hasher};
use crate::{Error, Result};

/// The longest name of a file, in bytes: most systems allow 255, and ours gets an ending while it is not whole.
const LONGEST_NAME: usize = 200;

/// A file at an address, as the server announces it.
#[derive(Debug, Clone)]
pub struct WebFile {
    url: String,
    /// Its name, safe in any folder.
    pub name: String,
    /// Bytes, if the server says so.
    pub size: Option<u64>,
    digest: Option<Digest>,
    validator: Option<String>,
}

impl WebFile {
    /// Asks the server. An address may end in `#sha256=...`, which the content has to have.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or shows a web page.
    pub fn ask(client: &Client, address: &str, report: Report<'_>) -> Result<Self> {
        let (url, fragment) = address.split_once('#').unwrap_or((address, ""));
        let given = fragment.strip_prefix("sha256=").map(|hex| {
            let digest = Digest::parse(hex).filter(|digest| matches!(digest, Digest::Sha256(_)));
            digest.ok_or_else(|| Error::usage(format!("`{hex}` is no SHA-256"), "give 64 hexadecimal digits"))
        });
        let given = given.transpose()?;
        let subject = Subject { repo: None, what: format!("`{}`", shown(url)) };
        let reply = client.persistently(report, |_| client.get(url, Some("bytes=0-0"), None, &subject))?;
        if reply.is_page() {
            return Err(not_understood(url, &subject, "it is a web page, not a file"));
        }
        let stated = reply.linked_hash.as_deref().and_then(Digest::parse).filter(|d| matches!(d, Digest::Sha256(_)));
        let named = reply.header("content-disposition").and_then(disposition_name);
        let last = shown(url).rsplit('/').next().map(unescape).unwrap_or_default();
        let name = named.as_deref().and_then(safe_name).or_else(|| safe_name(&last));
        Ok(WebFile {
            name: name.ok_or_else(|| not_understood(url, &subject, "it says no name for the file"))?,
            size: reply.extent().1,
            digest: given.or(stated),
            validator: reply.validator().map(Into::into),
            url: url.into(),
        })
    }

    /// Fetches the file into a folder, and returns where it is and its SHA-256.
    ///
    /// # Errors
    /// When it cannot be had, is damaged, or another file has its name.
    pub fn fetch(&self, client: &Client, folder: &Path, report: Report<'_>) -> Result<PathBuf> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let (place, part) = (folder.join(&self.name), folder.join(self.part_name()));
        if let Some(size) = self.size.filter(|_| !place.exists()) {
            let have = fs::metadata(&part).map_or(0, |part| part.len());
            check_space(folder, size.saturating_sub(have))?;
        }
        let held = hold(&part, &self.name, report)?;
        if place.exists() {
            let _ = fs::remove_file(&part);
            let bytes = self.same_bytes(&place)?;
            report(Event::Bytes(bytes as i64));
            report(Event::Note(format!("`{}` is there already", place.display())));
            return Ok(place);
        }
        let transfer = Transfer {
            url: self.url.clone(),
            subject: Subject { repo: None, what: format!("`{}`", shown(&self.url)) },
            name: self.name.clone(),
            size: self.size,
            digest: self.digest.clone(),
            validator: self.validator.clone(),
            part: part.clone(),
            stop: &AtomicBool::new(false),
        };
        let digest = transfer.run(client, report)?;
        fs::rename(&part, &place).map_err(Error::io("write", &place))?;
        drop(held);
        if self.digest.is_none() {
            report(Event::Note(format!(
                "{} states no checksum; SHA-256 of `{}`: {}",
                host(&self.url),
                self.name,
                digest.hex()
            )));
        }
        let bytes = fs::metadata(&place).map_or(0, |file| file.len());
        report(Event::File { name: self.name.clone(), bytes, digest });
        Ok(place)
    }

    /// Whether the file is in a folder, so that nothing is to be fetched.
    ///
    /// # Errors
    /// When another file has its name there.
    pub fn is_in(&self, folder: &Path) -> Result<bool> {
        let place = folder.join(&self.name);
        if !place.exists() {
            return Ok(false);
        }
        self.same_bytes(&place).map(|_| true)
    }

    /// How long the file is that has the name, which has to be this one.
    fn same_bytes(&self, place: &Path) -> Result<u64> {
        let bytes = fs::metadata(place).map_err(Error::io("read", place))?.len();
        let mut same = self.size == Some(bytes);
        if let Some(digest) = self.digest.as_ref().filter(|_| same) {
            let mut hasher = Hasher::new(Some(digest), Some(bytes));
            let mut file = fs::File::open(place).map_err(Error::io("read", place))?;
            crate::hub::digest::feed(&mut file, &mut hasher).map_err(Error::io("read", place))?;
            same = hasher.finish() == *digest;
        }
        if !same {
            return Err(DownloadError::Occupied { path: place.into() }.into());
        }
        Ok(bytes)
    }

    /// What the file is called while it is not whole. What another version of it left has another name.
    fn part_name(&self) -> String {
        let mut hasher = Hasher::new(None, None);
        for text in [Some(self.url.as_str()), self.validator.as_deref(), self.digest.as_ref().map(Digest::hex)] {
            hasher.update(text.unwrap_or_default().as_bytes());
            hasher.update(b"\0");
        }
        let digest = hasher.finish();
        format!(".{}.{}.incomplete", self.name, &digest.hex()[..8])
    }
}

/// The name in a `Content-Disposition`: `filename*=UTF-8''...` before `filename=...` (RFC 6266).
fn disposition_name(header: &str) -> Option<String> {
    let parameter = |key: &str| {
        let at = header.to_ascii_lowercase().find(&format!("{key}="))?;
        Some(header[at + key.len() + 1..].trim_start())
    };
    if let Some((_, name)) = parameter("filename*").and_then(|value| value.split(';').next()?.split_once("''")) {
        return Some(unescape(name.trim()));
    }
    let value = parameter("filename")?;
    let name = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split(';').next(),
    };
    name.map(|name| name.trim().to_string())
}

/// A name that is safe in any folder on any system: its last step, without what shells, terminals and Windows choke on.
fn safe_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let hides = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let clean: String = last
        .chars()
        .filter(|c| !hides(*c))
        .map(|c| if matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*') { '_' } else { c })
        .collect();
    let clean = clean.trim_matches(|c: char| c.is_whitespace() || c == '.');
    let mut end = clean.len();
    if end > LONGEST_NAME {
        end = (0..=LONGEST_NAME).rev().find(|end| clean.is_char_boundary(*end)).unwrap_or(0);
    }
    // The ending says what the file is: it stays.
    let short = match Path::new(clean).extension().and_then(|e| e.to_str()).filter(|_| end < clean.len()) {
        Some(ending) if ending.len() < 16 => format!("{}.{ending}", clean[..end].trim_end_matches('.')),
        _ => clean[..end].to_string(),
    };
    Some(short.trim_start_matches('-').to_string()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_disposition() {
        for (header, name) in [
            ("attachment; filename=\"a b.safetensors\"", Some("a b.safetensors")),
            ("attachment; filename=a.safetensors; x=y", Some("a.safetensors")),
            ("attachment; filename=\"plain\"; filename*=UTF-8''%C3%A4.ckpt", Some("ä.ckpt")),
            ("inline", None),
        ] {
            assert_eq!(disposition_name(header).as_deref(), name, "{header}");
        }
    }

    #[test]
    fn names_are_made_safe() {
        for (name, safe) in [
            ("a.safetensors", "a.safetensors"),
            ("../../.bashrc", "bashrc"),
            ("C:\\Windows\\a.exe", "a.exe"),
            ("a:b?.x", "a_b_.x"),
            ("-rf", "rf"),
            ("a\u{202e}b\n.x", "ab.x"),
        ] {
            assert_eq!(safe_name(name).as_deref(), Some(safe), "{name:?}");
        }
        for name in ["", "..", "/", "a/..", "...", " "] {
            assert_eq!(safe_name(name), None, "{name:?}");
        }
        let long = safe_name(&format!("{}.safetensors", "ä".repeat(300))).unwrap();
        assert!(long.len() <= LONGEST_NAME + 16 && long.ends_with(".safetensors"), "{long}");
    }
}
