//! The pieces that a GGUF header consists of, read one after the other from bytes that may end anywhere.

/// Why a piece could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bad {
    /// The bytes end before it does.
    Ends,
    /// It is not what it should be.
    Is(String),
}

pub(super) type Result<T> = std::result::Result<T, Bad>;

/// Bytes with a place in them.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A value of the metadata, as far as it is of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A whole number or a truth value.
    Int(i64),
    Text(String),
    /// A list of whole numbers.
    Ints(Vec<i64>),
    /// Anything else.
    Other,
}

/// Lists of numbers that are kept; longer ones are vocabularies.
const LONGEST_LIST: usize = 16;
/// Words that are kept; longer ones are templates and licences.
const LONGEST_TEXT: usize = 1024;
/// Lists in lists: no published file has any.
const DEEPEST_LIST: usize = 4;

const STRING: u32 = 8;
const ARRAY: u32 = 9;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).ok_or(Bad::Ends)?;
        let taken = self.bytes.get(self.at..end).ok_or(Bad::Ends)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(self.unsigned(4)? as u32)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.unsigned(8)
    }

    fn unsigned(&mut self, width: usize) -> Result<u64> {
        Ok(self.take(width)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A length or count; what does not fit into memory ends beyond every file.
    pub(super) fn count(&mut self) -> Result<usize> {
        usize::try_from(self.u64()?).map_err(|_| Bad::Ends)
    }

    pub(super) fn text(&mut self) -> Result<&'a str> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Bad::Is("a name that is no text".into()))
    }

    /// A value with its type in front.
    pub(super) fn value(&mut self) -> Result<Value> {
        let kind = self.u32()?;
        self.value_of(kind, 0)
    }

    fn value_of(&mut self, kind: u32, depth: usize) -> Result<Value> {
        match kind {
            STRING => {
                let length = self.count()?;
                let text = std::str::from_utf8(self.take(length)?).ok().filter(|text| text.len() <= LONGEST_TEXT);
                Ok(text.map_or(Value::Other, |text| Value::Text(text.into())))
            }
            ARRAY => self.array(depth),
            kind => {
                let (width, signed) = number(kind).ok_or_else(|| Bad::Is(format!("a value of unknown type {kind}")))?;
                let value = self.unsigned(width)?;
                Ok(match signed {
                    Some(true) => Value::Int((value as i64) << (64 - 8 * width) >> (64 - 8 * width)),
                    Some(false) => i64::try_from(value).map_or(Value::Other, Value::Int),
                    None => Value::Other,
                })
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value> {
        let kind = self.u32()?;
        let count = self.count()?;
        if depth >= DEEPEST_LIST {
            return Err(Bad::Is("lists in lists in lists".into()));
        }
        if let Some((width, _)) = number(kind).filter(|_| count > LONGEST_LIST) {
            self.take(count.checked_mul(width).ok_or(Bad::Ends)?)?;
            return Ok(Value::Other);
        }
        let mut numbers = Some(Vec::new());
        // Each turn reads at least a byte, so a count beyond the file ends there.
        for _ in 0..count {
            match (self.value_of(kind, depth + 1)?, &mut numbers) {
                (Value::Int(number), Some(list)) if list.len() < LONGEST_LIST => list.push(number),
                _ => numbers = None,
            }
        }
        Ok(numbers.map_or(Value::Other, Value::Ints))
    }
}

/// The width in bytes of a plain type, and whether it is signed; nothing for the sign of what is no whole number.
fn number(kind: u32) -> Option<(usize, Option<bool>)> {
    match kind {
        0 => Some((1, Some(false))),
        1 => Some((1, Some(true))),
        2 => Some((2, Some(false))),
        3 => Some((2, Some(true))),
        4 => Some((4, Some(false))),
        5 => Some((4, Some(true))),
        6 => Some((4, None)),
        7 => Some((1, Some(false))),
        10 => Some((8, Some(false))),
        11 => Some((8, Some(true))),
        12 => Some((8, None)),
        _ => None,
    }
}
