//! The header of a GGUF file, checked against the file before any of it is believed.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::kind::Kind;
use super::reader::{Bad, Reader, Result, Value};
use crate::weights::shape::elements;
use crate::weights::WeightsError;

/// The first bytes of the format.
pub const MAGIC: &[u8] = b"GGUF";

/// Bytes that tensors are aligned to when the file does not say.
const ALIGNMENT: usize = 32;
/// The least alignment that the format allows.
const LEAST_ALIGNMENT: usize = 8;
/// ggml's tensors have no more dimensions.
const MOST_DIMENSIONS: u32 = 4;
/// The bytes that a tensor's entry takes at least: the lengths of its name and shape, its type and its place.
const LEAST_ENTRY: usize = 8 + 4 + 4 + 8;
/// The bytes that a value of the metadata takes at least.
const LEAST_VALUE: usize = 8 + 4 + 1;
/// Shapes that ComfyUI-GGUF changed to make room for quantisation, by the tensors' names.
const ORIGINAL_SHAPE: &str = "comfy.gguf.orig_shape.";

/// What a header says.
pub(super) struct Header {
    pub(super) tensors: HashMap<String, Entry>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// A tensor's type, shape and place. Dimensions are in the order of other programs: ggml counts from the innermost.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) shape: Vec<usize>,
    /// Bytes of the file.
    pub(super) bytes: Range<usize>,
}

/// An entry as it is stored.
struct Raw<'a> {
    name: &'a str,
    shape: Vec<usize>,
    kind: u32,
    offset: u64,
}

impl Header {
    /// The header of `bytes`, which messages call `file`.
    pub(super) fn parse(file: &str, bytes: &[u8]) -> std::result::Result<Self, WeightsError> {
        let mut reader = Reader::new(bytes);
        let (metadata, raw) = read(&mut reader, bytes.len()).map_err(|bad| WeightsError::BadHeader {
            file: file.into(),
            reason: match bad {
                Bad::Ends => format!("the GGUF file, of {} bytes, ends before its header does", bytes.len()),
                Bad::Is(what) => what,
            },
        })?;
        let alignment = alignment(&metadata).map_err(|reason| WeightsError::BadHeader { file: file.into(), reason })?;
        let start = reader.at().next_multiple_of(alignment);
        let mut tensors = HashMap::with_capacity(raw.len());
        let mut need = 0;
        for raw in raw {
            let bad = |reason: String| WeightsError::BadTensor { file: file.into(), tensor: raw.name.into(), reason };
            let kind = Kind::of(raw.kind).map_err(|dtype| WeightsError::UnsupportedDtype {
                file: file.into(),
                tensor: raw.name.into(),
                dtype,
            })?;
            let bytes = place(&raw, kind, start, alignment).map_err(bad)?;
            let shape = shape(&raw, &metadata).map_err(bad)?;
            need = need.max(bytes.end);
            if tensors.insert(raw.name.to_string(), Entry { kind, shape, bytes }).is_some() {
                return Err(bad("there are two of that name".into()));
            }
        }
        if need > bytes.len() {
            let (have, need) = (bytes.len() as u64, need as u64);
            return Err(WeightsError::Truncated { file: file.into(), have, need });
        }
        check_overlaps(file, &tensors)?;
        Ok(Header { tensors, metadata: words(metadata) })
    }
}

/// Everything in front of the numbers.
fn read<'a>(reader: &mut Reader<'a>, have: usize) -> Result<(HashMap<&'a str, Value>, Vec<Raw<'a>>)> {
    let _magic = reader.u32()?;
    match reader.u32()? {
        2 | 3 => {}
        1 => return Err(Bad::Is("it is of version 1, which is not read any more".into())),
        swapped if swapped.swap_bytes() <= 3 => {
            return Err(Bad::Is("it was written for processors of the other byte order".into()))
        }
        version => return Err(Bad::Is(format!("it is of version {version}, which is not known"))),
    }
    let (tensors, values) = (reader.count()?, reader.count()?);
    let fits = |count: usize, least: usize| count.checked_mul(least).is_some_and(|bytes| bytes <= have);
    if !fits(tensors, LEAST_ENTRY) || !fits(values, LEAST_VALUE) {
        return Err(Bad::Is(format!("{tensors} tensors and {values} values do not fit into {have} bytes")));
    }
    let mut metadata = HashMap::with_capacity(values);
    for _ in 0..values {
        metadata.insert(reader.text()?, reader.value()?);
    }
    let raw = (0..tensors).map(|_| entry(reader)).collect::<Result<_>>()?;
    Ok((metadata, raw))
}

fn entry<'a>(reader: &mut Reader<'a>) -> Result<Raw<'a>> {
    let name = reader.text()?;
    let dimensions = reader.u32()?;
    if dimensions > MOST_DIMENSIONS {
        return Err(Bad::Is(format!("tensor `{name}` has {dimensions} dimensions")));
    }
    let mut shape = (0..dimensions).map(|_| reader.count()).collect::<Result<Vec<_>>>()?;
    shape.reverse();
    Ok(Raw { name, shape, kind: reader.u32()?, offset: reader.u64()? })
}

fn alignment(metadata: &HashMap<&str, Value>) -> std::result::Result<usize, String> {
    let alignment = match metadata.get("general.alignment") {
        None => return Ok(ALIGNMENT),
        Some(Value::Int(alignment)) => usize::try_from(*alignment).ok(),
        Some(_) => None,
    };
    let fits = |alignment: &usize| alignment.is_power_of_two() && (LEAST_ALIGNMENT..=1 << 20).contains(alignment);
    alignment.filter(fits).ok_or_else(|| "its alignment is none".into())
}

/// Where a tensor's bytes lie.
fn place(raw: &Raw, kind: Kind, start: usize, alignment: usize) -> std::result::Result<Range<usize>, String> {
    let (numbers, size) = kind.block();
    let beyond = || "its place is beyond any file".to_string();
    let count = elements(&raw.shape).ok_or_else(beyond)?;
    if !raw.shape.last().copied().unwrap_or(1).is_multiple_of(numbers) {
        return Err(format!("its rows, of shape {:?}, are not whole blocks of {numbers}", raw.shape));
    }
    let offset = usize::try_from(raw.offset).map_err(|_| beyond())?;
    if !offset.is_multiple_of(alignment) {
        return Err(format!("its place, {offset}, is not a multiple of {alignment}"));
    }
    let length = (count / numbers).checked_mul(size).ok_or_else(beyond)?;
    let start = start.checked_add(offset).ok_or_else(beyond)?;
    Ok(start..start.checked_add(length).ok_or_else(beyond)?)
}

/// A tensor's shape: the original one where the writer changed it.
fn shape(raw: &Raw, metadata: &HashMap<&str, Value>) -> std::result::Result<Vec<usize>, String> {
    let Some(original) = metadata.get(format!("{ORIGINAL_SHAPE}{}", raw.name).as_str()) else {
        return Ok(raw.shape.clone());
    };
    let sides = match original {
        Value::Ints(sides) => sides.iter().map(|side| usize::try_from(*side).ok()).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    sides
        .filter(|sides| elements(sides) == elements(&raw.shape))
        .ok_or_else(|| format!("its original shape is not one of {:?}", raw.shape))
}

/// No two tensors share bytes: small files with many large tensors are made to fill memory.
fn check_overlaps(file: &str, tensors: &HashMap<String, Entry>) -> std::result::Result<(), WeightsError> {
    let mut places: Vec<(&String, &Range<usize>)> = tensors.iter().map(|(name, entry)| (name, &entry.bytes)).collect();
    places.sort_by_key(|(_, bytes)| (bytes.start, bytes.end));
    match places.windows(2).find(|pair| pair[1].1.start < pair[0].1.end) {
        Some(pair) => Err(WeightsError::BadTensor {
            file: file.into(),
            tensor: pair[1].0.clone(),
            reason: "it overlaps another tensor".into(),
        }),
        None => Ok(()),
    }
}

/// What of the metadata can be said in words.
fn words(metadata: HashMap<&str, Value>) -> BTreeMap<String, String> {
    let word = |(key, value): (&str, Value)| match value {
        Value::Text(text) => Some((key.to_string(), text)),
        Value::Int(number) => Some((key.to_string(), number.to_string())),
        Value::Ints(_) | Value::Other => None,
    };
    metadata.into_iter().filter_map(word).collect()
}
