//! Where the parts of a PyTorch file lie. Since PyTorch 1.6: an uncompressed zip archive with the pickle `NAME/data.pkl` and the
//! numbers of a storage in `NAME/data/KEY`. Before: five pickles (magic number, version, machine, the values, keys of the
//! storages), then each storage as its length in elements and its numbers.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

use candle_core::DType;

use super::error::PickleError;
use super::machine;
use super::value::Value;

/// The places of a file's parts.
pub(super) struct Archive {
    /// Bytes of the pickle.
    pub pickle: Range<usize>,
    /// Bytes of each storage, by its key.
    pub storages: HashMap<String, Range<usize>>,
}

const PICKLE: &str = "data.pkl";

/// The first pickle of the older format, up to its number's first byte.
pub(super) const OLDER_MAGIC: &[u8] = b"\x80\x02\x8a\x0a";

impl Archive {
    /// Of a file of either format.
    ///
    /// # Errors
    /// When it is neither, or damaged.
    pub fn of(bytes: &[u8]) -> Result<Self, PickleError> {
        if bytes.starts_with(OLDER_MAGIC) {
            return Self::of_older(bytes);
        }
        let entries = entries(bytes)?;
        let roots: Vec<&str> = entries.keys().filter_map(|name| name.strip_suffix(PICKLE)).collect();
        let [root] = roots[..] else {
            return Err(PickleError::damaged(format!("it holds {} files named {PICKLE}", roots.len())));
        };
        let byte_order = entries.get(&format!("{root}byteorder")).map(|range| &bytes[range.clone()]);
        if byte_order.is_some_and(|order| order != b"little") {
            return Err(PickleError::Unsupported("its byte order".into()));
        }
        let pickle = entries[&format!("{root}{PICKLE}")].clone();
        let folder = format!("{root}data/");
        let storages =
            entries.iter().filter_map(|(name, range)| Some((name.strip_prefix(&folder)?.into(), range.clone())));
        Ok(Archive { pickle, storages: storages.collect() })
    }
}

impl Archive {
    fn of_older(bytes: &[u8]) -> Result<Self, PickleError> {
        let place_of = |rest: &[u8]| bytes.len() - rest.len();
        let mut rest = bytes;
        for _ in 0..3 {
            rest = machine::run(rest)?.rest;
        }
        let pickle = place_of(rest);
        let values = machine::run(rest)?;
        let types: HashMap<&str, DType> = values
            .values
            .iter()
            .filter_map(|value| match value {
                Value::Storage(storage) => Some((storage.key, storage.dtype?)),
                _ => None,
            })
            .collect();
        let end = place_of(values.rest);
        let keys = machine::run(values.rest)?;
        let Value::Seq(ids) = &keys.values[keys.root] else {
            return Err(PickleError::damaged("the list of storages is missing"));
        };
        let mut storages = HashMap::new();
        let mut rest = keys.rest;
        for id in ids {
            let Value::Str(key) = keys.values[*id] else {
                return Err(PickleError::damaged("a storage without a name"));
            };
            let dtype = types
                .get(key)
                .ok_or_else(|| PickleError::Unsupported(format!("the number type of storage `{key}`")))?;
            let (numbers, behind) = older_storage(rest, *dtype)
                .ok_or_else(|| PickleError::damaged(format!("storage `{key}` ends early")))?;
            let start = place_of(behind) - numbers;
            storages.insert(key.to_string(), start..start + numbers);
            rest = behind;
        }
        Ok(Archive { pickle: pickle..end, storages })
    }
}

/// The length in bytes of the storage at the front, and what follows it.
fn older_storage(rest: &[u8], dtype: DType) -> Option<(usize, &[u8])> {
    let (count, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*count)).ok()?.checked_mul(dtype.size_in_bytes())?;
    Some((length, rest.get(length..)?))
}

/// The bytes of all entries, checked to lie within the file.
fn entries(bytes: &[u8]) -> Result<HashMap<String, Range<usize>>, PickleError> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(PickleError::damaged)?;
    let mut entries = HashMap::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(PickleError::damaged)?;
        let name = entry.name().map_err(PickleError::damaged)?.into_owned();
        if entry.compression() != zip::CompressionMethod::Stored {
            return Err(PickleError::Unsupported(format!("its compression of `{name}`")));
        }
        let range = entry.data_start().and_then(|start| {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(entry.size()).ok()?)?;
            (end <= bytes.len()).then_some(start..end)
        });
        let range = range.ok_or_else(|| PickleError::damaged(format!("`{name}` lies outside of the file")))?;
        entries.insert(name, range);
    }
    Ok(entries)
}
