//! The header of a GGUF file, version 3: words, then names, shapes (innermost first), types and places; each tensor begins at a
//! multiple of 32 bytes. Followed: ggml's `docs/gguf.md`.

use std::collections::BTreeMap;

use super::{LaidOut, Planned};
use crate::weights::gguf::MAGIC;
use crate::{Error, Result};

const VERSION: u32 = 3;
const ALIGNMENT: usize = 32;
/// The format's number for a value that is a text, and for a number of 32 bits without sign.
const TEXT: u32 = 8;
const NUMBER: u32 = 4;
/// The version of the ways to quantise that the files of today name.
const QUANTIZATION_VERSION: u32 = 2;
/// A tensor has no more sides in this format.
const MOST_SIDES: usize = 4;
/// Longer names some readers refuse.
const LONGEST_NAME: usize = 127;

/// The header for these tensors, in the order of their names.
pub(super) fn lay_out(mut tensors: Vec<Planned>, metadata: &BTreeMap<String, String>) -> Result<LaidOut> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let mut header = MAGIC.to_vec();
    header.extend(VERSION.to_le_bytes());
    header.extend((tensors.len() as u64).to_le_bytes());
    header.extend((metadata.len() as u64 + 1).to_le_bytes());
    for (name, value) in metadata {
        text(&mut header, name);
        header.extend(TEXT.to_le_bytes());
        text(&mut header, value);
    }
    text(&mut header, "general.quantization_version");
    header.extend(NUMBER.to_le_bytes());
    header.extend(QUANTIZATION_VERSION.to_le_bytes());
    let mut start = 0u64;
    for tensor in &tensors {
        text(&mut header, &tensor.name);
        check(tensor)?;
        header.extend((tensor.shape.len() as u32).to_le_bytes());
        for side in tensor.shape.iter().rev() {
            header.extend((*side as u64).to_le_bytes());
        }
        let number = tensor.kind.number().ok_or_else(|| {
            let message =
                format!("tensor `{}` is stored as {}, which GGUF files do not have", tensor.name, tensor.kind);
            Error::model(message, "write a .safetensors file")
        })?;
        header.extend(number.to_le_bytes());
        header.extend(start.to_le_bytes());
        start += tensor.bytes().next_multiple_of(ALIGNMENT as u64);
    }
    header.resize(header.len().next_multiple_of(ALIGNMENT), 0);
    Ok(LaidOut { header, tensors, alignment: ALIGNMENT })
}

fn check(tensor: &Planned) -> Result<()> {
    if tensor.shape.len() <= MOST_SIDES && tensor.name.len() <= LONGEST_NAME {
        return Ok(());
    }
    let message = format!("tensor `{}` of shape {:?} does not fit into a GGUF file", tensor.name, tensor.shape);
    Err(Error::model(message, "write a .safetensors file"))
}

fn text(header: &mut Vec<u8>, text: &str) {
    header.extend((text.len() as u64).to_le_bytes());
    header.extend(text.as_bytes());
}
