//! [`Reply`]: an answer's content, and what its headers say of it.

use std::io::Read;

use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use ureq::http::HeaderMap;
use ureq::Body;

/// What a server answered: 200 or 206.
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// The hash of the file as the hub states it, before it redirects to where the content lies.
    pub linked_hash: Option<String>,
}

impl Reply {
    /// The content.
    pub fn reader(self) -> impl Read {
        self.body.into_with_config().limit(u64::MAX).reader()
    }

    /// Where the content begins, and how long all of it is: `Content-Range` of a part, or `Content-Length` of the whole.
    pub fn extent(&self) -> (u64, Option<u64>) {
        if self.status == 206 {
            let range = text(&self.headers, CONTENT_RANGE.as_str()).and_then(|range| range.strip_prefix("bytes "));
            let (part, whole) = range.and_then(|range| range.split_once('/')).unwrap_or(("", ""));
            let from = part.split('-').next().and_then(|from| from.parse().ok());
            return (from.unwrap_or(u64::MAX), whole.parse().ok());
        }
        (0, text(&self.headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok()))
    }

    /// What identifies exactly this content, so that a part of it can be continued.
    pub fn validator(&self) -> Option<&str> {
        text(&self.headers, ETAG.as_str()).filter(|etag| etag.starts_with('"'))
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }

    /// Whether this is a page for people.
    pub fn is_page(&self) -> bool {
        text(&self.headers, CONTENT_TYPE.as_str()).is_some_and(|kind| kind.trim_start().starts_with("text/html"))
    }
}

/// A header's text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
