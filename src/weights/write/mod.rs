//! Writing weights: safetensors and GGUF, tensor by tensor, so that no more than one is in memory at a time.
//!
//! [`plan`](Planned) first: names, shapes and types decide the header. Then [`write`] asks for each tensor's numbers in the order in
//! which they lie in the file; [`encode`] makes bytes of a tensor.

mod encode;
mod gguf;
mod safetensors;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Write;

pub use encode::{encode, EncodeError};

use super::Kind;
use crate::Result;

/// A tensor that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How its numbers are to be stored.
    pub kind: Kind,
}

impl Planned {
    /// Bytes of the numbers.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let (numbers, bytes) = self.kind.block();
        (self.shape.iter().product::<usize>() / numbers * bytes) as u64
    }
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.safetensors`: plain numbers only.
    Safetensors,
    /// `.gguf`: plain and quantised numbers.
    Gguf,
}

/// Writes a file: the header, then the bytes that `numbers` gives for each tensor, which are [`Planned::bytes`] many.
///
/// # Errors
/// What `numbers` fails with; [`crate::Error::Model`] for a type that the format does not have; [`crate::Error::Io`] when the file
/// cannot be written, naming `label`.
pub fn write(
    out: &mut dyn Write,
    label: &std::path::Path,
    format: Format,
    tensors: Vec<Planned>,
    metadata: &BTreeMap<String, String>,
    numbers: &mut dyn FnMut(&Planned) -> Result<Vec<u8>>,
) -> Result<()> {
    let io = |e| crate::Error::io("write", label)(e);
    let laid_out = match format {
        Format::Safetensors => safetensors::lay_out(tensors, metadata)?,
        Format::Gguf => gguf::lay_out(tensors, metadata)?,
    };
    out.write_all(&laid_out.header).map_err(io)?;
    for tensor in &laid_out.tensors {
        let bytes = numbers(tensor)?;
        out.write_all(&bytes).map_err(io)?;
        let padding = laid_out.padding(bytes.len());
        out.write_all(&vec![0; padding]).map_err(io)?;
    }
    out.flush().map_err(io)
}

/// A header, and the tensors in the order in which their numbers follow it.
struct LaidOut {
    header: Vec<u8>,
    tensors: Vec<Planned>,
    /// Each tensor begins at a multiple of so many bytes.
    alignment: usize,
}

impl LaidOut {
    fn padding(&self, length: usize) -> usize {
        length.next_multiple_of(self.alignment) - length
    }
}
