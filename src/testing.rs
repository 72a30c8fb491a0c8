//! What the tests of all parts share: where the fixtures lie.
//! Tests of one part share more in a `testing` of their own.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

/// A file or folder below `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// What a JSON file there holds.
pub fn json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}
