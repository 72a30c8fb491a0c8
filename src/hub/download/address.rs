//! Addresses on the web, as far as downloads need them: whose they are, where a redirect leads, how they are shown.

use std::fmt::Write;

/// The longest text from a server that an error repeats.
const LONGEST_QUOTE: usize = 200;

/// Scheme, host and port: a token goes to no other.
pub fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: ureq::http::Uri = url.split('#').next()?.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().or(match scheme.as_str() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    })?;
    let host = uri.host().filter(|host| !host.is_empty())?;
    Some((scheme, host.to_ascii_lowercase(), port))
}

/// The host, for messages.
pub fn host(url: &str) -> String {
    origin(url).map_or_else(|| "the server".into(), |(_, host, _)| host)
}

/// An address without user, query and fragment, which may hold secrets.
pub fn shown(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = bare.split_once("://") else { return bare.into() };
    let (authority, path) = rest.split_once('/').map_or((rest, String::new()), |(a, p)| (a, format!("/{p}")));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// Where a `Location` leads from an address.
pub fn join(base: &str, location: &str) -> Option<String> {
    let base = base.split(['?', '#']).next()?;
    let (scheme, rest) = base.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let has_scheme = location.split_once("://").is_some_and(|(s, _)| s.bytes().all(|b| b.is_ascii_alphanumeric()));
    Some(if has_scheme {
        location.into()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        format!("{scheme}://{authority}/{folder}{location}")
    })
}

/// A path with what addresses cannot hold written as `%XX`.
pub fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            escaped.push(byte.into());
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// `%XX` read back.
pub fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        if let Some(byte) = digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a server said, as the end of a sentence.
pub fn quote(text: &str) -> String {
    let text = text.trim();
    let end = text.char_indices().nth(LONGEST_QUOTE).map_or(text.len(), |(end, _)| end);
    if text.is_empty() {
        String::new()
    } else {
        format!(": {}", &text[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_scheme_host_and_port() {
        let of = |scheme: &str, host: &str, port| Some((scheme.to_string(), host.to_string(), port));
        assert_eq!(origin("https://Huggingface.co/a?b#c"), of("https", "huggingface.co", 443));
        assert_eq!(origin("http://127.0.0.1:8080/a"), of("http", "127.0.0.1", 8080));
        assert_eq!(origin("https://huggingface.co@evil.example/"), of("https", "evil.example", 443));
        for none in ["ftp://a/b", "huggingface.co/a", "https://", "", "/a"] {
            assert_eq!(origin(none), None, "{none}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("https://me:secret@a.example/b/c?token=secret#secret"), "https://a.example/b/c");
        assert_eq!(shown("https://a.example?token=secret"), "https://a.example");
    }

    #[test]
    fn redirects_are_followed_from_where_they_stand() {
        let from = |location| join("https://a.example:1/b/c?d", location).unwrap();
        assert_eq!(from("https://x.example/y"), "https://x.example/y");
        assert_eq!(from("//x.example/y"), "https://x.example/y");
        assert_eq!(from("/y?z=http://w"), "https://a.example:1/y?z=http://w");
        assert_eq!(from("y"), "https://a.example:1/b/y");
        assert_eq!(join("https://a.example", "y").unwrap(), "https://a.example/y");
    }

    #[test]
    fn paths_are_escaped_and_read_back() {
        assert_eq!(escape("a b/ä#?%.x"), "a%20b/%C3%A4%23%3F%25.x");
        assert_eq!(unescape("a%20b/%C3%A4%23%3F%25.x"), "a b/ä#?%.x");
        assert_eq!(unescape("100%"), "100%");
        assert_eq!(unescape("%zz%4"), "%zz%4");
    }

    #[test]
    fn quotes_are_short() {
        assert_eq!(quote(" "), "");
        assert_eq!(quote("no"), ": no");
        assert_eq!(quote(&"ä".repeat(999)), format!(": {}", "ä".repeat(LONGEST_QUOTE)));
    }
}
