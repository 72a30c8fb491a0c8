//! [`Settings`]: what the environment says about the hub. The variables are those of Python's `huggingface_hub`, so that both
//! use one cache and one token.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::read_small;

/// The hub, unless `HF_ENDPOINT` names another.
pub const HUB: &str = "https://huggingface.co";

/// How long a silent connection is waited for, as in Python.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// A token. It is never shown, not even for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// `None` for what cannot be a token: nothing, or text that would not fit into one header line.
    fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())).then(|| Secret(text.into()))
    }

    /// The value of an `Authorization` header.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What the environment says about the hub.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The hub's address, without a slash at its end (`HF_ENDPOINT`).
    pub endpoint: String,
    /// Where repositories are kept (`HF_HUB_CACHE`, or `hub` in `HF_HOME`).
    pub cache: PathBuf,
    /// Where hashes of large files are kept (`sdgen/sha256` in `XDG_CACHE_HOME`).
    pub hashes: PathBuf,
    /// Where it is kept where the files of pictures lay (`sdgen/places` in `XDG_CACHE_HOME`).
    pub places: PathBuf,
    /// The hub's token (`HF_TOKEN`, or the file `token` in `HF_HOME`).
    pub token: Option<Secret>,
    /// CivitAI's token (`CIVITAI_TOKEN`).
    pub civitai_token: Option<Secret>,
    /// No network (`HF_HUB_OFFLINE`).
    pub offline: bool,
    /// How long a silent connection is waited for (`HF_HUB_DOWNLOAD_TIMEOUT`).
    pub read_timeout: Duration,
    /// The pause before the second attempt (`SDGEN_RETRY_PAUSE`); each further one is twice as long.
    pub pause: Duration,
    /// Certificates that are trusted instead of the ones inside the program (`SSL_CERT_FILE`).
    pub certificates: Option<PathBuf>,
}

impl Settings {
    /// The settings of this process.
    #[must_use]
    pub fn from_env() -> Self {
        Self::of(|name| std::env::var_os(name), std::env::home_dir())
    }

    /// The settings of any environment.
    pub fn of(environment: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let home = home.unwrap_or_default();
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let path = |name: &str| set(name).map(|value| expand(Path::new(&value), &home));
        let seconds = |name: &str, otherwise| {
            let given = text(name).and_then(|value| value.trim().parse().ok());
            given.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(otherwise)
        };
        let caches = path("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache"));
        let hf_home = path("HF_HOME").unwrap_or_else(|| caches.join("huggingface"));
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| hf_home.join("token"));
        let stored = || read_small(&token_file).ok().and_then(|bytes| Secret::new(std::str::from_utf8(&bytes).ok()?));
        let given = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).and_then(|token| Secret::new(&token));
        Settings {
            endpoint: text("HF_ENDPOINT").map_or_else(|| HUB.into(), |url| url.trim_end_matches('/').into()),
            cache: cache.unwrap_or_else(|| hf_home.join("hub")),
            hashes: caches.join("sdgen").join("sha256"),
            places: caches.join("sdgen").join("places"),
            token: given.or_else(stored),
            civitai_token: text("CIVITAI_TOKEN").and_then(|token| Secret::new(&token)),
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            read_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT", READ_TIMEOUT),
            pause: seconds("SDGEN_RETRY_PAUSE", PAUSE),
            certificates: path("SSL_CERT_FILE"),
        }
    }
}

/// What Python takes for yes.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str())
}

fn expand(path: &Path, home: &Path) -> PathBuf {
    path.strip_prefix("~").map_or_else(|_| path.into(), |rest| home.join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        Settings::of(find, Some("/home/me".into()))
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cache = |variables| settings(variables).cache;
        assert_eq!(cache(&[]), Path::new("/home/me/.cache/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/x")]), Path::new("/home/me/hf/hub"));
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/c"), ("HF_HOME", "/h")]), Path::new("/c"));
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/c"), ("HF_HUB_CACHE", "/d")]), Path::new("/d"));
        assert_eq!(cache(&[("HF_HOME", "")]), Path::new("/home/me/.cache/huggingface/hub"));
    }

    #[test]
    fn tokens_come_from_the_environment_or_a_file_and_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("token"), "hf_stored\n").unwrap();
        let bearer = |variables: &[(&str, &str)]| settings(variables).token.map(|token| token.bearer());
        assert_eq!(bearer(&[("HF_HOME", home)]).as_deref(), Some("Bearer hf_stored"));
        assert_eq!(bearer(&[("HF_HOME", home), ("HF_TOKEN", " hf_given ")]).as_deref(), Some("Bearer hf_given"));
        assert_eq!(bearer(&[("HF_HOME", "/nowhere"), ("HF_TOKEN", "a\r\nHost: b")]), None);
        assert!(!format!("{:?}", settings(&[("HF_TOKEN", "hf_given")])).contains("hf_given"));
    }

    #[test]
    fn the_rest_has_pythons_defaults() {
        let plain = settings(&[]);
        assert_eq!((plain.endpoint.as_str(), plain.offline), (HUB, false));
        assert_eq!((plain.read_timeout, plain.pause), (READ_TIMEOUT, PAUSE));
        assert_eq!(plain.hashes, Path::new("/home/me/.cache/sdgen/sha256"));
        let given = settings(&[
            ("HF_ENDPOINT", "http://127.0.0.1:80/"),
            ("HF_HUB_OFFLINE", "true"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "2.5"),
            ("SDGEN_RETRY_PAUSE", "-1"),
        ]);
        assert_eq!((given.endpoint.as_str(), given.offline), ("http://127.0.0.1:80", true));
        assert_eq!((given.read_timeout, given.pause), (Duration::from_millis(2500), PAUSE));
        assert!(!settings(&[("HF_HUB_OFFLINE", "0")]).offline);
    }
}
