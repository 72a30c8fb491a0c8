//! [`Client`]: requests with redirects, tokens and retries.
//!
//! A token goes to the server it is for and to no other: redirects are followed here, one by one, and each is looked at anew.

use std::fs;
use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, ETAG, IF_RANGE, LOCATION, RANGE, RETRY_AFTER, USER_AGENT};
use ureq::http::{HeaderMap, Response};
use ureq::tls::{parse_pem, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::address::{host, join, origin, quote, shown};
use super::error::{is_no_host, reason};
use super::reply::{text, Reply};
use super::{DownloadError, Event, Report};
use crate::hub::settings::{Secret, Settings};
use crate::{Error, Result};

/// As browsers do.
const MOST_REDIRECTS: usize = 10;

/// Attempts in a row that bring nothing, before it is a failure.
const ATTEMPTS: u32 = 5;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is read whole: the listing of a large repository has a tenth of it.
const LARGEST_TEXT: u64 = 64 << 20;

/// Where a CivitAI account makes its tokens.
const CIVITAI_ACCOUNT: &str = "https://civitai.com/user/account";

/// What a request is about, for errors.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The repository, when there is one.
    pub repo: Option<String>,
    /// What is fetched, with its kind: "file `x`".
    pub what: String,
}

/// Makes requests.
pub struct Client {
    agent: Agent,
    /// Whether anyone ever answered.
    reached: AtomicBool,
    /// What the environment says.
    pub settings: Settings,
}

impl Client {
    /// A client with the settings' timeouts, certificates and the environment's proxy.
    ///
    /// # Errors
    /// When the certificates of `SSL_CERT_FILE` cannot be read.
    pub fn new(settings: Settings) -> Result<Self> {
        let mut tls = TlsConfig::builder();
        if let Some(file) = &settings.certificates {
            let pem = fs::read(file).map_err(Error::io("read", file))?;
            let certificates = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates.collect())));
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(settings.read_timeout))
            .timeout_per_write(Some(settings.read_timeout))
            .build();
        Ok(Client { agent: config.into(), reached: AtomicBool::new(false), settings })
    }

    /// Asks for an address: all of it, or what follows `from` bytes of the content with this validator.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer with the content.
    pub fn get(&self, url: &str, range: Option<&str>, validator: Option<&str>, subject: &Subject) -> Result<Reply> {
        let mut url = url.to_string();
        let mut linked_hash = None;
        for _ in 0..=MOST_REDIRECTS {
            let response = self.send(&url, range, validator)?;
            linked_hash = linked_hash.or_else(|| self.linked_hash(&url, response.headers()));
            let status = response.status().as_u16();
            let location = text(response.headers(), LOCATION.as_str()).filter(|_| (300..400).contains(&status));
            let Some(location) = location else {
                let (parts, body) = response.into_parts();
                let reply = Reply { status, headers: parts.headers, body, linked_hash };
                return if status == 200 || status == 206 {
                    Ok(reply)
                } else {
                    Err(self.refusal(&url, reply, subject))
                };
            };
            let next = join(&url, location).filter(|next| may_follow(&url, next));
            url = next.ok_or_else(|| not_understood(&url, subject, "it redirects to where it must not"))?;
        }
        Err(not_understood(&url, subject, "it redirects without end"))
    }

    /// A text of moderate size.
    ///
    /// # Errors
    /// As [`Self::get`], after several attempts where that may help.
    pub fn text(&self, url: &str, subject: &Subject, report: Report<'_>) -> Result<String> {
        self.persistently(report, |_| {
            let reply = self.get(url, None, None, subject)?;
            let mut bytes = Vec::new();
            let read = reply.reader().take(LARGEST_TEXT).read_to_end(&mut bytes);
            read.map_err(|e| lost(url, &e))?;
            String::from_utf8(bytes).map_err(|_| not_understood(url, subject, "it is no text"))
        })
    }

    /// Tries until it works, or the errors are such that trying again is no use, or too many came in a row. An attempt sets
    /// its argument when it got somewhere: the count begins anew.
    ///
    /// # Errors
    /// The last error.
    pub fn persistently<T>(&self, report: Report<'_>, mut attempt: impl FnMut(&mut bool) -> Result<T>) -> Result<T> {
        let mut failures = 0;
        loop {
            let mut progress = false;
            let error = match attempt(&mut progress) {
                Err(Error::Download(e)) => e,
                result => return result,
            };
            failures = if progress { 1 } else { failures + 1 };
            let Some(told) = error.retry().filter(|_| failures < ATTEMPTS) else { return Err(error.into()) };
            let pause =
                told.unwrap_or_else(|| self.settings.pause.saturating_mul(1 << (failures - 1)).min(LONGEST_PAUSE));
            report(Event::Note(format!("{error}; trying again in {} s", pause.as_secs_f64().ceil())));
            thread::sleep(pause);
        }
    }

    fn send(&self, url: &str, range: Option<&str>, validator: Option<&str>) -> Result<Response<Body>> {
        let agent = format!("{}/{}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        // A compressed answer has no length, and cannot be continued.
        let mut request = self.agent.get(url).header(USER_AGENT, agent).header(ACCEPT_ENCODING, "identity");
        if let Some(token) = self.token(url) {
            request = request.header(AUTHORIZATION, token.bearer());
        }
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        if let Some(validator) = validator.filter(|_| range.is_some()) {
            request = request.header(IF_RANGE, validator);
        }
        let response = request.call().map_err(|e| {
            let lasting = match &e {
                ureq::Error::HostNotFound => !self.reached.load(Ordering::Relaxed),
                ureq::Error::Io(e) if e.kind() == ErrorKind::ConnectionRefused => !self.reached.load(Ordering::Relaxed),
                ureq::Error::Io(e) if is_no_host(e) => !self.reached.load(Ordering::Relaxed),
                // A certificate that is not trusted.
                ureq::Error::Io(e) => e.kind() == ErrorKind::InvalidData,
                e => matches!(e, ureq::Error::BadUri(_) | ureq::Error::Http(_)),
            };
            DownloadError::Network { host: host(url), what: format!("cannot be reached: {}", reason(e)), lasting }
        })?;
        self.reached.store(true, Ordering::Relaxed);
        Ok(response)
    }

    /// The token for an address: the hub's for the hub, CivitAI's for CivitAI, encrypted, and none for anyone else.
    fn token(&self, url: &str) -> Option<&Secret> {
        if self.is_hub(url) {
            return self.settings.token.as_ref();
        }
        self.settings.civitai_token.as_ref().filter(|_| is_civitai(url))
    }

    /// Whether an address is one of the hub.
    pub fn is_hub(&self, url: &str) -> bool {
        let origin_of_url = origin(url);
        origin_of_url.is_some() && origin_of_url == origin(&self.settings.endpoint)
    }

    fn linked_hash(&self, url: &str, headers: &HeaderMap) -> Option<String> {
        let stated = text(headers, "x-linked-etag").or_else(|| text(headers, ETAG.as_str()))?;
        let hash = stated.trim_start_matches("W/").trim_matches('"');
        self.is_hub(url).then(|| hash.to_string())
    }

    /// The error for an answer without content.
    fn refusal(&self, url: &str, reply: Reply, subject: &Subject) -> Error {
        let (host, what) = (host(url), subject.what.clone());
        let said = |name| reply.header(name).unwrap_or_default();
        let code = said("x-error-code").to_string();
        let gated = || DownloadError::Gated {
            what: subject.repo.clone().unwrap_or_else(|| shown(url)),
            page: format!("{}/{}", self.settings.endpoint, subject.repo.as_deref().unwrap_or_default()),
            given: self.settings.token.is_some(),
        };
        let error = match reply.status {
            401 | 403 if code == "GatedRepo" => gated(),
            401 => {
                let given = self.token(url).is_some();
                let (variable, page) = if is_civitai(url) {
                    ("CIVITAI_TOKEN", CIVITAI_ACCOUNT.into())
                } else {
                    ("HF_TOKEN", format!("{}/settings/tokens", self.settings.endpoint))
                };
                let what = subject.repo.as_ref().map_or(what, |repo| format!("`{repo}`"));
                DownloadError::Token { host, what, variable, page, given }
            }
            403 => DownloadError::Refused { host, what, why: quote(said("x-error-message")) },
            404 | 410 => {
                let hint = match code.as_str() {
                    "RevisionNotFound" => "give another revision: a branch, a tag or a commit",
                    _ => "check the name",
                };
                DownloadError::Missing { host, what, hint: hint.into() }
            }
            429 => {
                DownloadError::TooMany { host, wait: said(RETRY_AFTER.as_str()).parse().ok().map(Duration::from_secs) }
            }
            status => DownloadError::Server { host, status, what: quote(said("x-error-message")) },
        };
        error.into()
    }
}

/// An error for an answer that makes no sense.
pub fn not_understood(url: &str, subject: &Subject, why: &str) -> Error {
    DownloadError::NotUnderstood { host: host(url), what: subject.what.clone(), why: why.into() }.into()
}

/// An error for a connection that broke while content came.
pub fn lost(url: &str, e: &std::io::Error) -> Error {
    DownloadError::Network { host: host(url), what: format!("broke the connection: {e}"), lasting: false }.into()
}

fn is_civitai(url: &str) -> bool {
    origin(url).is_some_and(|(scheme, host, _)| scheme == "https" && host == "civitai.com")
}

/// Never from an encrypted connection to a plain one, and only to the web.
fn may_follow(from: &str, to: &str) -> bool {
    match (origin(from), origin(to)) {
        (Some((from, ..)), Some((to, ..))) => to == "https" || (to == "http" && from == "http"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(variables: &'static [(&str, &str)]) -> Client {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
        Client::new(Settings::of(find, None)).unwrap()
    }

    #[test]
    fn tokens_go_only_to_whom_they_are_for() {
        let client = client(&[("HF_TOKEN", "hf"), ("CIVITAI_TOKEN", "civ")]);
        let token = |url| client.token(url).map(Secret::bearer);
        assert_eq!(token("https://huggingface.co/a/b").as_deref(), Some("Bearer hf"));
        assert_eq!(token("https://civitai.com/api/download/models/1").as_deref(), Some("Bearer civ"));
        for url in [
            "http://huggingface.co/a",
            "https://huggingface.co:444/a",
            "https://huggingface.co.evil.example/a",
            "https://huggingface.co@evil.example/a",
            "https://cdn-lfs.huggingface.co/a",
            "http://civitai.com/a",
            "https://civitai.com.evil.example/a",
            "nonsense",
        ] {
            assert_eq!(token(url), None, "{url}");
        }
    }

    /// Each name that nobody has was once tried five times, with pauses between.
    #[test]
    fn a_host_that_there_is_not_is_told_from_one_that_cannot_be_asked_for() {
        let said = |text: &str| std::io::Error::other(format!("failed to lookup address information: {text}"));
        assert!(is_no_host(&said("Name or service not known")));
        assert!(is_no_host(&said("nodename nor servname provided, or not known")));
        assert!(!is_no_host(&said("Temporary failure in name resolution")));
        assert!(!is_no_host(&ErrorKind::ConnectionRefused.into()));
        assert_eq!(reason(ureq::Error::Io(said("Name or service not known"))), "there is no such host");
    }

    #[test]
    fn redirects_do_not_lose_encryption() {
        assert!(may_follow("https://a.example", "https://b.example"));
        assert!(may_follow("http://a.example", "https://b.example"));
        assert!(!may_follow("https://a.example", "http://a.example"));
        assert!(!may_follow("http://a.example", "file:///etc/passwd"));
    }
}
