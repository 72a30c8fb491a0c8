//! The header of a safetensors file: JSON with names, types, shapes and places, padded with spaces to a multiple of 8.

use std::collections::BTreeMap;

use candle_core::DType;
use serde_json::{json, Map, Value};

use super::{LaidOut, Planned};
use crate::weights::Kind;
use crate::{Error, Result};

/// The header for these tensors: the widest numbers first, as the format's own library lays them out, so that all are aligned.
pub(super) fn lay_out(mut tensors: Vec<Planned>, metadata: &BTreeMap<String, String>) -> Result<LaidOut> {
    let width = |tensor: &Planned| std::cmp::Reverse(tensor.kind.block().1);
    tensors.sort_by(|a, b| (width(a), &a.name).cmp(&(width(b), &b.name)));
    let mut fields = Map::new();
    if !metadata.is_empty() {
        fields.insert("__metadata__".into(), json!(metadata));
    }
    let mut start = 0;
    for tensor in &tensors {
        let end = start + tensor.bytes();
        let entry = json!({ "dtype": name(tensor)?, "shape": tensor.shape, "data_offsets": [start, end] });
        fields.insert(tensor.name.clone(), entry);
        start = end;
    }
    let mut json = Value::Object(fields).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.extend(json);
    Ok(LaidOut { header, tensors, alignment: 1 })
}

/// What the format calls a type.
fn name(tensor: &Planned) -> Result<&'static str> {
    Ok(match tensor.kind {
        Kind::Plain(DType::F64) => "F64",
        Kind::Plain(DType::F32) => "F32",
        Kind::Plain(DType::F16) => "F16",
        Kind::Plain(DType::BF16) => "BF16",
        Kind::Plain(DType::F8E4M3) => "F8_E4M3",
        Kind::Plain(DType::I64) => "I64",
        Kind::Plain(DType::I32) => "I32",
        Kind::Plain(DType::I16) => "I16",
        Kind::Plain(DType::U32) => "U32",
        Kind::Plain(DType::U8) => "U8",
        kind => {
            let message = format!("tensor `{}` is stored as {kind}, which safetensors files do not have", tensor.name);
            return Err(Error::model(message, "give `--dtype f16`, or write a .gguf file"));
        }
    })
}
