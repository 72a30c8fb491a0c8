//! [`DownloadError`]: what can go wrong on the way from the network, and what the user can do about it.
//!
//! Addresses are shown without their query and user, which may hold secrets.

use std::path::PathBuf;
use std::time::Duration;

use crate::hub::size;

/// A download that failed.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No connection, or one that broke and did not come back.
    #[error("{host} {what}")]
    Network {
        /// Whose.
        host: String,
        /// What happened: "cannot be reached: ...".
        what: String,
        /// Whether nothing else is to be expected: nobody of that name ever answered, or it is not who it says.
        lasting: bool,
    },
    /// The server has a problem of its own.
    #[error("{host} answered with {status}{what}")]
    Server {
        /// Who.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What it said, after a colon.
        what: String,
    },
    /// The server wants fewer requests.
    #[error("{host} asks to come back later: too many requests (429)")]
    TooMany {
        /// Who.
        host: String,
        /// When to come back, if it said so.
        wait: Option<Duration>,
    },
    /// A token is missing or not accepted.
    #[error("{host} wants {} for {what} (401)", if *.given { "another token" } else { "a token" })]
    Token {
        /// Who.
        host: String,
        /// The repository or file, its name in backticks.
        what: String,
        /// The variable that holds the token.
        variable: &'static str,
        /// Where a token is made.
        page: String,
        /// Whether a token was sent.
        given: bool,
    },
    /// A licence has to be accepted first.
    #[error("`{what}` is gated: its licence has to be accepted first")]
    Gated {
        /// The repository.
        what: String,
        /// Where the licence is accepted.
        page: String,
        /// Whether a token was sent.
        given: bool,
    },
    /// The server refuses.
    #[error("{host} refuses {what} (403){why}")]
    Refused {
        /// Who.
        host: String,
        /// The repository or file, its name in backticks.
        what: String,
        /// What it said, after a colon.
        why: String,
    },
    /// There is no such thing.
    #[error("{host} has no {what}")]
    Missing {
        /// Who.
        host: String,
        /// The repository, revision or file, with its kind.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// An answer that is not what was asked for.
    #[error("the answer of {host} for {what} is not understood: {why}")]
    NotUnderstood {
        /// Who.
        host: String,
        /// What was asked for.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// Content that is not what was announced.
    #[error("`{what}` arrived damaged: its {digest} is {found}, and should be {expected}")]
    Checksum {
        /// The file.
        what: String,
        /// The kind of checksum.
        digest: &'static str,
        /// As announced.
        expected: String,
        /// As it came.
        found: String,
    },
    /// A length that is not what was announced.
    #[error("`{what}` has {found} bytes, and should have {expected}")]
    Length {
        /// The file.
        what: String,
        /// As announced.
        expected: u64,
        /// As it came, or as the server says now.
        found: u64,
    },
    /// A name that leads out of its folder.
    #[error("`{from}` names a file `{name}`, which leads out of its folder")]
    Hostile {
        /// The repository or host.
        from: String,
        /// The name.
        name: String,
    },
    /// The disk is too full.
    #[error("this takes {}, and {} are free in `{}`", size(*.need), size(*.have), place.display())]
    Space {
        /// Bytes that are still to be fetched.
        need: u64,
        /// Bytes that are free.
        have: u64,
        /// Where.
        place: PathBuf,
    },
    /// There is something, but not one model.
    #[error("{what}")]
    Choice {
        /// What is there.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// The network is not to be used.
    #[error("`{what}` is not in the cache, and the network is not to be used")]
    Offline {
        /// The model.
        what: String,
    },
    /// Something else lies where the file would go.
    #[error("`{}` is there already, with other content", path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// Some of several downloads failed; each was told when it failed.
    #[error("{failed} of {total} downloads failed")]
    Several {
        /// Downloads that failed.
        failed: usize,
        /// Downloads that were asked for.
        total: usize,
    },
}

/// The longest that a server may make us wait.
const PATIENCE: Duration = Duration::from_secs(300);

impl DownloadError {
    /// Whether another attempt may go better; if so, and the server said when, after what time.
    #[must_use]
    pub fn retry(&self) -> Option<Option<Duration>> {
        match self {
            DownloadError::Network { lasting: false, .. } => Some(None),
            DownloadError::Server { status: 408 | 500..=599, .. } => Some(None),
            DownloadError::TooMany { wait, .. } if wait.is_none_or(|wait| wait <= PATIENCE) => Some(*wait),
            _ => None,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            DownloadError::Network { what, .. } if what.contains("certificate") => {
                "behind a proxy that opens connections, name its certificates with `SSL_CERT_FILE`".into()
            }
            DownloadError::Network { .. } => {
                "check the connection and `HTTPS_PROXY`; run the command again to go on where it stopped".into()
            }
            DownloadError::Server { .. } => "try again later: what has arrived is kept".into(),
            DownloadError::TooMany { wait: Some(wait), .. } => {
                format!("try again in {} s; with a token (`HF_TOKEN`) the limits are higher", wait.as_secs())
            }
            DownloadError::TooMany { .. } => "try again later; with a token (`HF_TOKEN`) the limits are higher".into(),
            DownloadError::Token { variable, page, given: false, .. } => {
                format!("make a token at {page} and set `{variable}`; if the name is wrong, the answer is the same")
            }
            DownloadError::Token { variable, page, .. } => {
                format!("check the token in `{variable}` at {page}; if the name is wrong, the answer is the same")
            }
            DownloadError::Gated { page, given: true, .. } => format!("accept the licence at {page}, then try again"),
            DownloadError::Gated { page, .. } => {
                format!("accept the licence at {page}, then set `HF_TOKEN` to a token of that account")
            }
            DownloadError::Refused { .. } => "look at its page in a browser: it may want more than a token".into(),
            DownloadError::Missing { hint, .. } | DownloadError::Choice { hint, .. } => hint.clone(),
            DownloadError::NotUnderstood { .. } => {
                "a proxy or a login page may stand between; check `HF_ENDPOINT` and the address".into()
            }
            DownloadError::Checksum { .. } | DownloadError::Length { .. } => {
                "try again; if it stays, the server or a proxy changes files: take another source".into()
            }
            DownloadError::Hostile { .. } => "do not use it".into(),
            DownloadError::Space { .. } => {
                "free some space, or set `HF_HOME` (for an address, `--output`) to a folder on another disk".into()
            }
            DownloadError::Offline { .. } => "leave out `--offline` and `HF_HUB_OFFLINE` to fetch it".into(),
            DownloadError::Occupied { .. } => "move it away, or give another folder with `--output`".into(),
            DownloadError::Several { .. } => return None,
        })
    }
}

/// Whether the system knows no address of a host, which it has no kind of error for. That it cannot ask for now is another answer.
pub(super) fn is_no_host(e: &std::io::Error) -> bool {
    let text = e.to_string();
    text.contains("failed to lookup address") && !text.contains("emporary")
}

/// What happened, without the address, which the error names.
pub(super) fn reason(e: ureq::Error) -> String {
    match e {
        ureq::Error::HostNotFound => "there is no such host".into(),
        ureq::Error::Timeout(_) => "it does not answer".into(),
        ureq::Error::Io(e) if is_no_host(&e) => "there is no such host".into(),
        ureq::Error::Io(e) => e.to_string(),
        ureq::Error::ConnectProxyFailed(_) => "the proxy refuses".into(),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "the address is wrong".into(),
        e => e.to_string(),
    }
}
