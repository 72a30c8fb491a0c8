//! Numbers against ggml's, and headers good and bad.

use std::fs;

use super::*;
use crate::weights::testing::fixtures;
use crate::weights::{open_file, Container};

fn kinds() -> Vec<u8> {
    fs::read(fixtures().join("gguf/kinds.gguf")).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// What the `gguf` package makes of the tensors (`tools/reference/gguf_kinds.py`), one after the other.
#[test]
fn every_kind_of_number_has_the_values_of_ggml() {
    let file = open_file(&fixtures().join("gguf/kinds.gguf")).unwrap();
    assert_eq!(file.container, Container::Gguf);
    assert_eq!(file.metadata["general.architecture"], "sd1");
    let expected = fs::read(fixtures().join("gguf/kinds.f32")).unwrap();
    let mut expected = expected.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    for name in [
        "f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q8_k",
        "conv",
    ] {
        let tensor = file.source.read(name).unwrap();
        assert_eq!(Some((tensor.shape().clone(), tensor.dtype())), file.source.info(name), "{name}");
        let kind = file.source.stored_type(name).unwrap();
        assert_eq!(kind, if name == "conv" { "q8_0" } else { name });
        let reference: Vec<f32> = expected.by_ref().take(tensor.elem_count()).collect();
        assert_eq!(values(&tensor), reference, "{name}");
        // What layers take as it lies widens to the same.
        let quantized = file.source.quantized(name);
        assert_eq!(quantized.is_some(), (name.starts_with('q') || name == "conv") && name != "q8_k", "{name}");
        let Some(quantized) = quantized else { continue };
        let mut rows = vec![0.0; reference.len()];
        let rows_of = rows.chunks_exact_mut(quantized.dims()[1]).enumerate();
        rows_of.for_each(|(i, row)| quantized.row(crate::kernels::Isa::all()[0], i, row));
        assert_eq!(rows, reference, "{name}");
    }
    assert_eq!(expected.next(), None);
    assert!(file.source.read("gone").is_err());
}

#[test]
fn shapes_are_those_of_other_programs() {
    let file = open_file(&fixtures().join("gguf/kinds.gguf")).unwrap();
    let shape = |name: &str| file.source.info(name).unwrap().0.into_dims();
    assert_eq!(shape("shaped"), [2, 3, 4, 1]);
    assert_eq!(values(&file.source.read("shaped").unwrap()), (0..24u8).map(f32::from).collect::<Vec<_>>());
    // Stored as [2, 256], which is what blocks fit into.
    assert_eq!(shape("conv"), [8, 4, 4, 4]);
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A file of one tensor: version, metadata values with their bytes, shape from the innermost side, type, place, bytes behind.
fn file(version: u32, values: &[Vec<u8>], shape: &[u64], kind: u32, offset: u64, data: usize) -> Vec<u8> {
    let mut bytes = [MAGIC, &version.to_le_bytes(), &1u64.to_le_bytes(), &(values.len() as u64).to_le_bytes()].concat();
    bytes.extend(values.concat());
    bytes.extend(text("w"));
    bytes.extend((shape.len() as u32).to_le_bytes());
    shape.iter().for_each(|side| bytes.extend(side.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32) + data, 0);
    bytes
}

fn alignment(value: u32) -> Vec<u8> {
    [text("general.alignment"), 4u32.to_le_bytes().to_vec(), value.to_le_bytes().to_vec()].concat()
}

fn original(shape: &[u32]) -> Vec<u8> {
    let mut value =
        [text("comfy.gguf.orig_shape.w"), 9u32.to_le_bytes().to_vec(), 5u32.to_le_bytes().to_vec()].concat();
    value.extend((shape.len() as u64).to_le_bytes());
    shape.iter().for_each(|side| value.extend(side.to_le_bytes()));
    value
}

#[test]
fn good_headers_are_read() {
    for (values, shape) in
        [(vec![], vec![2, 32]), (vec![alignment(8)], vec![2, 32]), (vec![original(&[4, 4, 4])], vec![4, 4, 4])]
    {
        let bytes = file(3, &values, &[32, 2], 8, 0, 68);
        assert_eq!(Header::parse("x", &bytes).map_err(|e| e.to_string()).unwrap().tensors["w"].shape, shape);
    }
    assert!(Header::parse("x", &file(2, &[], &[32, 2], 8, 0, 68)).is_ok());
}

#[test]
fn bad_headers_are_said() {
    for (bytes, part) in [
        (file(1, &[], &[32], 8, 0, 34), "version 1"),
        (file(4, &[], &[32], 8, 0, 34), "version 4"),
        (file(0x0300_0000, &[], &[32], 8, 0, 34), "byte order"),
        (file(3, &[], &[32, 2], 8, 0, 67), "it has 163 of 164 bytes"),
        (file(3, &[], &[33], 8, 0, 99), "blocks of 32"),
        (file(3, &[], &[32], 8, 7, 99), "not a multiple of 32"),
        (file(3, &[], &[32], 20, 0, 99), "IQ4_NL"),
        (file(3, &[], &[32], 777, 0, 99), "type 777"),
        (file(3, &[], &[1, 1, 1, 1, 1], 0, 0, 99), "5 dimensions"),
        (file(3, &[], &[u64::MAX, 32], 0, 0, 99), "beyond"),
        (file(3, &[], &[32], 8, u64::MAX - 31, 99), "beyond"),
        (file(3, &[alignment(3)], &[32], 8, 0, 99), "alignment"),
        (file(3, &[alignment(1 << 30)], &[32], 8, 0, 99), "alignment"),
        (file(3, &[original(&[5])], &[32], 8, 0, 99), "original shape"),
        ([MAGIC, &3u32.to_le_bytes(), &u64::MAX.to_le_bytes(), &0u64.to_le_bytes()].concat(), "do not fit"),
        (kinds()[..600].to_vec(), "ends before its header"),
        (kinds()[..100].to_vec(), "do not fit into 100 bytes"),
        (MAGIC.to_vec(), "ends before its header"),
    ] {
        let error = Header::parse("x.gguf", &bytes).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(part) && error.contains("x.gguf"), "`{part}` is not in: {error}");
    }
}

#[test]
fn tensors_do_not_share_bytes() {
    let mut bytes = kinds();
    // Place of the last tensor: the eight bytes in front of the padding.
    let name = bytes.windows(6).rposition(|window| window == b"shaped").unwrap();
    let place = name + 6 + 4 + 4 * 8 + 4;
    bytes[place..place + 8].fill(0);
    let error = Header::parse("x", &bytes).err().unwrap().to_string();
    assert!(error.contains("overlaps"), "{error}");
}
