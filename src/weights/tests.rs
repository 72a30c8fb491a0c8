//! Each kind of good and bad file, made here byte by byte.

use std::path::{Path, PathBuf};

use candle_core::DType;

use super::*;
use crate::error::exit_code;
use crate::Error;

/// A safetensors file with this header and these bytes behind it.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn good() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "b":{"dtype":"I64","shape":[1,1],"data_offsets":[8,16]}}"#;
    file(header, &[0, 0, 128, 63, 0, 0, 0, 192, 7, 0, 0, 0, 0, 0, 0, 0])
}

/// Opens `bytes` as a file on the disk.
fn open_bytes(bytes: &[u8]) -> Result<Arc<dyn ParamSource>, WeightsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, bytes).unwrap();
    open(&path)
}

/// The message for `bytes`, which must name the file, lead to the right exit code and have a hint.
fn message(bytes: &[u8]) -> String {
    let error = open_bytes(bytes).err().unwrap();
    let message = error.to_string();
    assert!(message.contains("model.safetensors"), "{message}");
    assert!(error.hint().is_some(), "{message}");
    assert_eq!(Error::from(error).exit_code(), exit_code::MODEL);
    message
}

fn assert_says(bytes: &[u8], parts: &[&str]) {
    let message = message(bytes);
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn a_good_file_is_read() {
    for source in [open_bytes(&good()).unwrap(), Arc::new(Safetensors::from_static("built-in", good().leak()).unwrap())]
    {
        let mut names = source.names();
        names.sort();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(source.info("b").unwrap(), ((1, 1).into(), DType::I64));
        assert_eq!(source.info("c"), None);
        assert_eq!(source.read("a").unwrap().to_vec1::<f32>().unwrap(), [1.0, -2.0]);
        assert_eq!(source.read("b").unwrap().to_vec2::<i64>().unwrap(), [[7]]);
        assert!(source.read("c").unwrap_err().to_string().contains("`c`"));
    }
}

#[test]
fn every_float_type_is_read() {
    let cases: [(&str, &[u8], f32); 6] = [
        ("F64", &(-1.5f64).to_le_bytes(), -1.5),
        ("F32", &(-1.5f32).to_le_bytes(), -1.5),
        ("F16", &half::f16::from_f32(-1.5).to_le_bytes(), -1.5),
        ("BF16", &half::bf16::from_f32(-1.5).to_le_bytes(), -1.5),
        ("F8_E4M3", &[0xbc], -1.5),
        ("F8_E5M2", &[0xbe], -1.5),
    ];
    for (dtype, data, expected) in cases {
        let header = format!(r#"{{"x":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,{}]}}}}"#, data.len());
        let source = open_bytes(&file(&header, data)).unwrap();
        let tensor = source.read("x").unwrap();
        assert_eq!(Some((tensor.shape().clone(), tensor.dtype())), source.info("x"));
        assert_eq!(tensor.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap(), [expected], "{dtype}");
    }
}

#[test]
fn what_is_not_there_or_a_folder_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["gone.safetensors", "gone.safetensors.index.json", "gone/model.safetensors"] {
        let error = open(&folder.path().join(name)).err().unwrap();
        assert!(matches!(error, WeightsError::NotFound(_)) && error.to_string().contains("gone"), "{error}");
    }
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(error, WeightsError::IsFolder(_)), "{error}");
}

#[test]
fn other_files_are_known_by_their_first_bytes() {
    assert_says(b"", &["is empty"]);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3438167540\n";
    assert_says(pointer.as_bytes(), &["Git LFS pointer", "3438167540 bytes"]);
    assert_says(b"\n<!DOCTYPE html><html><body>Sign in</body></html>", &["web page"]);
    assert_says(b"<html lang=\"en\"><head></head>", &["web page"]);
    assert_says(b"PK\x03\x04archive/data.pkl", &["PyTorch checkpoint", "damaged or cut off"]);
    assert_says(b"\x80\x02}q\x00.", &["PyTorch checkpoint"]);
    assert_says(b"GGUF\x03\x00\x00\x00\x00\x00\x00\x00", &["GGUF"]);
    assert_says(b"\x89PNG\r\n\x1a\n\x00\x00", &["picture"]);
    assert_says(br#"{"error":"Repository not found"}"#, &["not a safetensors file"]);
    assert_says(b"short", &["not a safetensors file", "5 bytes"]);
    assert_says(&[0; 64], &["not a safetensors file"]);
}

#[test]
fn a_cut_file_is_named_with_have_and_need() {
    let good = good();
    let header = u64::from_le_bytes(good[..8].try_into().unwrap());
    assert_says(&good[..good.len() - 3], &[&format!("{} of {} bytes", good.len() - 3, good.len())]);
    assert_says(&good[..40], &[&format!("takes {header} bytes"), "40"]);
    assert_says(&file("{", b"")[..9], &["not a safetensors file"]);
}

#[test]
fn any_cut_is_an_error_and_no_panic() {
    let good = good();
    for length in 0..good.len() {
        assert!(open_bytes(&good[..length]).is_err(), "{length}");
    }
}

#[test]
fn any_changed_byte_of_the_header_is_survived() {
    let good = good();
    for place in 0..good.len() - 16 {
        for flip in [1u8, 16, 128] {
            let mut bytes = good.clone();
            bytes[place] ^= flip;
            if let Ok(source) = open_bytes(&bytes) {
                source.names().iter().for_each(|name| drop(source.read(name)));
            }
        }
    }
}

#[test]
fn a_damaged_header_is_said() {
    assert_says(&file(r#"{"a": nonsense}"#, b""), &["header", "damaged"]);
    assert_says(&file("{\"a\": \"\u{fffd}\"}", b""), &["`a`", "damaged"]);
    let mut long = u64::MAX.to_le_bytes().to_vec();
    long.extend(b"{}");
    assert_says(&long, &["18446744073709551615", "the whole file has 10"]);
    assert_says(&file("{}", b"behind"), &["16 bytes", "end at 10"]);
}

#[test]
fn impossible_places_are_named() {
    let entry = |name: &str, shape: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let says =
        |entries: &[String], parts: &[&str]| assert_says(&file(&format!("{{{}}}", entries.join(",")), &[0; 16]), parts);
    says(&[entry("a", "[2]", 0, 8), entry("b", "[3]", 4, 16)], &["`b`", "overlaps"]);
    says(&[entry("a", "[1]", 0, 4), entry("b", "[2]", 8, 16)], &["`b`", "gap"]);
    says(&[entry("a", "[2]", 8, 16)], &["`a`", "gap"]);
    says(&[entry("a", "[5]", 0, 20)], &["incomplete"]);
    says(&[entry("a", "[3]", 0, 16)], &["`a`", "does not fill"]);
    says(&[entry("a", "[4]", 16, 0)], &["`a`", "does not fill"]);
    says(&[entry("a", "[4294967296,4294967296,4]", 0, 16)], &["`a`", "does not fill"]);
    says(&[entry("a", "[1]", u64::MAX - 3, u64::MAX)], &["`a`"]);
    says(&[r#""a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#.into()], &["`a`"]);
    says(&[r#""a":{"dtype":"C64","shape":[2],"data_offsets":[0,16]}"#.into()], &["`a`", "C64"]);
}

/// A model in two files and its index, in `folder`.
fn shards(folder: &Path, second: &str) -> PathBuf {
    let header = |name: &str| format!(r#"{{"{name}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}}"#);
    std::fs::write(folder.join("m-1.safetensors"), file(&header("a"), &[1])).unwrap();
    std::fs::write(folder.join("m-2.safetensors"), file(&header("b"), &[2])).unwrap();
    let index = folder.join("m.safetensors.index.json");
    std::fs::write(&index, format!(r#"{{"metadata":{{}},"weight_map":{{"a":"m-1.safetensors","b":{second:?}}}}}"#))
        .unwrap();
    index
}

#[test]
fn a_model_in_two_files_is_one_source() {
    let folder = tempfile::tempdir().unwrap();
    let index = shards(folder.path(), "m-2.safetensors");
    let source = open(&index).unwrap();
    assert_eq!(source.names().len(), 2);
    assert_eq!(source.read("a").unwrap().to_vec1::<u8>().unwrap(), [1]);
    assert_eq!(source.read("b").unwrap().to_vec1::<u8>().unwrap(), [2]);
    assert_eq!(source.info("b").unwrap(), (1.into(), DType::U8));
    assert!(source.info("c").is_none() && source.read("c").is_err());
    let variant = folder.path().join("m.safetensors.index.fp16.json");
    std::fs::rename(index, &variant).unwrap();
    assert_eq!(open(&variant).unwrap().names().len(), 2);
}

#[test]
fn a_damaged_index_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for second in ["../m-2.safetensors", "/m-2.safetensors", "sub/m-2.safetensors", "..", "..\\m-2.safetensors", ""] {
        let error = open(&shards(folder.path(), second)).err().unwrap();
        assert!(error.to_string().contains("not the name of a file beside it"), "{second}: {error}");
    }
    let error = open(&shards(folder.path(), "m-1.safetensors")).err().unwrap();
    assert!(error.to_string().contains("tensor `b` is not in `m-1.safetensors`"), "{error}");
    let error = open(&shards(folder.path(), "m-3.safetensors")).err().unwrap();
    assert!(matches!(error, WeightsError::NotFound(_)) && error.to_string().contains("m-3"), "{error}");
    let index = folder.path().join("m.safetensors.index.json");
    for (text, part) in
        [("{}", "weight_map"), ("", "is empty"), ("<html>", "web page"), ("version https://git-lfs", "LFS")]
    {
        std::fs::write(&index, text).unwrap();
        let error = open(&index).err().unwrap();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn long_lists_of_tensors_are_cut() {
    let missing = (0..12).map(|i| format!("layer.{i}")).collect();
    let error =
        WeightsError::Mismatch(Box::new(Mismatch { file: "f".into(), missing, misshapen: vec![], surplus: vec![] }));
    let message = error.to_string();
    assert!(message.contains("missing (12)") && message.contains("layer.9 and 2 more"), "{message}");
    assert!(!message.contains("layer.10") && !message.contains("wrong shape"), "{message}");
}
