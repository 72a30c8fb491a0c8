//! The header of a safetensors file, checked against the file before any of it is believed.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use candle_core::DType;
use serde::Deserialize;

use super::shape::elements;
use super::{sniff, WeightsError};

/// The longest header that the format allows.
const LONGEST_HEADER: u64 = 100_000_000;

/// What a header says.
pub(super) struct Header {
    /// The tensors by name.
    pub(super) entries: HashMap<String, Entry>,
    /// Words beside them.
    pub(super) metadata: BTreeMap<String, String>,
}

/// A tensor's type, shape and place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) stored: Stored,
    pub(super) shape: Vec<usize>,
    /// Bytes of the file.
    pub(super) bytes: Range<usize>,
}

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// In a type that candle has.
    As(DType),
    /// In the upper halves of f16 numbers, which candle does not have.
    F8E5M2,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The tensors of the safetensors file `bytes`, which messages call `file`.
///
/// # Errors
/// When the file is anything but a complete safetensors file with types that are known.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Header, WeightsError> {
    sniff::refuse_other_formats(file, bytes)?;
    let (mut header, data_start) = header_of(file, bytes)?;
    let metadata = header.remove("__metadata__").map(words).unwrap_or_default();
    let mut entries = Vec::with_capacity(header.len());
    for (name, value) in header {
        entries.push((check_entry(file, &name, value, data_start)?, name));
    }
    entries.sort_by_key(|(entry, _)| (entry.bytes.start, entry.bytes.end));
    check_places(file, bytes.len(), data_start, &entries)?;
    Ok(Header { entries: entries.into_iter().map(|(entry, name)| (name, entry)).collect(), metadata })
}

/// The words of `__metadata__`; what is no word there has no meaning in the format.
fn words(metadata: serde_json::Value) -> BTreeMap<String, String> {
    let serde_json::Value::Object(fields) = metadata else { return BTreeMap::new() };
    fields.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_string()))).collect()
}

/// The header's JSON, and where the data begins.
fn header_of(file: &str, bytes: &[u8]) -> Result<(serde_json::Map<String, serde_json::Value>, usize), WeightsError> {
    let have = bytes.len() as u64;
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(WeightsError::NotSafetensors { file: file.into(), reason: format!("it has {have} bytes") });
    };
    let length = u64::from_le_bytes(*length);
    if rest.first().is_some_and(|first| *first != b'{') || length < 2 {
        return Err(WeightsError::NotSafetensors {
            file: file.into(),
            reason: "it does not begin with a header".into(),
        });
    }
    if length > have - 8 {
        return Err(WeightsError::HeaderTooLarge { file: file.into(), header: length, have });
    }
    let bad = |reason: String| WeightsError::BadHeader { file: file.into(), reason };
    if length > LONGEST_HEADER {
        return Err(bad(format!("it takes {length} bytes; the format allows {LONGEST_HEADER}")));
    }
    let length = length as usize;
    let header = serde_json::from_slice(&rest[..length]).map_err(|e| bad(e.to_string()))?;
    Ok((header, 8 + length))
}

fn check_entry(file: &str, name: &str, value: serde_json::Value, data_start: usize) -> Result<Entry, WeightsError> {
    let bad = |reason: String| WeightsError::BadTensor { file: file.into(), tensor: name.into(), reason };
    let raw: RawEntry = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
    let Some((stored, width)) = stored_type(&raw.dtype) else {
        return Err(WeightsError::UnsupportedDtype { file: file.into(), tensor: name.into(), dtype: raw.dtype });
    };
    let (start, end) = raw.data_offsets;
    let size = elements(&raw.shape).and_then(|count| count.checked_mul(width));
    let place = end.checked_sub(start);
    if size.is_none() || size != place {
        return Err(bad(format!("{} {:?} does not fill the bytes {start} to {end}", raw.dtype, raw.shape)));
    }
    let bytes = start.checked_add(data_start).zip(end.checked_add(data_start));
    let (start, end) = bytes.ok_or_else(|| bad("its place is beyond any file".into()))?;
    Ok(Entry { stored, shape: raw.shape, bytes: start..end })
}

/// Tensors follow each other without gap or overlap and end where the file ends.
fn check_places(file: &str, have: usize, data_start: usize, entries: &[(Entry, String)]) -> Result<(), WeightsError> {
    let need = entries.last().map_or(data_start, |(entry, _)| entry.bytes.end);
    if have < need {
        return Err(WeightsError::Truncated { file: file.into(), have: have as u64, need: need as u64 });
    }
    let mut expected = data_start;
    for (entry, name) in entries {
        if entry.bytes.start != expected {
            let reason =
                if entry.bytes.start < expected { "it overlaps another tensor" } else { "there is a gap before it" };
            return Err(WeightsError::BadTensor { file: file.into(), tensor: name.clone(), reason: reason.into() });
        }
        expected = entry.bytes.end;
    }
    if have > need {
        let reason = format!("the file has {have} bytes, its tensors end at {need}");
        return Err(WeightsError::BadHeader { file: file.into(), reason });
    }
    Ok(())
}

/// The type that a header calls `name`, and its bytes a number.
fn stored_type(name: &str) -> Option<(Stored, usize)> {
    let dtype = match name {
        "F64" => DType::F64,
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "F8_E4M3" => DType::F8E4M3,
        "F8_E5M2" => return Some((Stored::F8E5M2, 1)),
        "I64" => DType::I64,
        "I32" => DType::I32,
        "I16" => DType::I16,
        "U32" => DType::U32,
        "U8" | "BOOL" => DType::U8,
        _ => return None,
    };
    Some((Stored::As(dtype), dtype.size_in_bytes()))
}
