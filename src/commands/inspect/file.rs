//! What a file of tensors is stored as.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::nn::ParamSource;
use crate::weights;

/// How many tensors of a source there are of each type of number, by the type's name.
#[must_use]
pub fn types(source: &dyn ParamSource) -> BTreeMap<String, usize> {
    let mut types = BTreeMap::new();
    for name in source.names() {
        *types.entry(source.stored_type(&name).unwrap_or_default()).or_insert(0) += 1;
    }
    types
}

/// What a file is by its first bytes and its name: "safetensors", "pickle", "gguf", ... `None` when it cannot be read.
#[must_use]
pub fn container(path: &Path) -> Option<&'static str> {
    if weights::is_index(&path.to_string_lossy()) {
        return Some("safetensors");
    }
    let mut start = [0; 16];
    let mut file = File::open(path).ok()?;
    let mut length = 0;
    while length < start.len() {
        match file.read(&mut start[length..]).ok()? {
            0 => break,
            read => length += read,
        }
    }
    Some(container_of(&start[..length]))
}

/// As [`container`], of the first 16 bytes.
#[must_use]
pub fn container_of(start: &[u8]) -> &'static str {
    match start {
        [b'G', b'G', b'U', b'F', ..] => "gguf",
        [b'P', b'K', 3, 4, ..] | [0x80, 2, 0x8a, 0x0a, ..] => "pickle",
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpeg",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        [_, _, _, _, _, _, 0, 0, b'{', ..] => "safetensors",
        _ => "unknown",
    }
}
