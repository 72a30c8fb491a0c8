//! Checkpoint files of the tiny models in each container, put together from their folders. `fixtures/single/*.tsv` lists the tensors of the real
//! files by name, type, shape and the hash of their bytes; the bytes lie in the folders, under other names.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A tensor of a safetensors file.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The tensors of the checkpoint of a tiny model: `sd15`, `sd21`, `sdxl`, `sd35`, `flux-dev`.
pub fn checkpoint(model: &str) -> Vec<Stored> {
    let mut known = HashMap::new();
    for part in fs::read_dir(fixtures().join("models").join(model)).unwrap().map(|part| part.unwrap().path()) {
        let files = fs::read_dir(&part).into_iter().flatten().map(|file| file.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "safetensors")) {
            known.extend(read(&file).into_iter().map(|tensor| (hash(&tensor.bytes), tensor)));
        }
    }
    let list = fs::read_to_string(fixtures().join(format!("single/{model}.tsv"))).unwrap();
    let tensor = |line: &str| {
        let [name, dtype, shape, content] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let shape: Vec<usize> = shape.split(',').filter(|side| !side.is_empty()).map(|s| s.parse().unwrap()).collect();
        let bytes = match content {
            // What the model does not need.
            "0" => vec![0; shape.iter().product::<usize>() * width(dtype)],
            content => content.split('+').flat_map(|part| content_of(part, &known)).collect(),
        };
        Stored { name: name.into(), dtype: dtype.into(), shape, bytes }
    };
    list.lines().map(tensor).collect()
}

/// The bytes with a hash; `T` in front asks for the transpose of the matrix that has it, `S` for its second half before the first.
fn content_of(hash: &str, known: &HashMap<String, Stored>) -> Vec<u8> {
    if let Some(hash) = hash.strip_prefix('S') {
        let bytes = &known[hash].bytes;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        return [second, first].concat();
    }
    let Some(hash) = hash.strip_prefix('T') else { return known[hash].bytes.clone() };
    let tensor = &known[hash];
    let (rows, columns, width) = (tensor.shape[0], tensor.shape[1], width(&tensor.dtype));
    let at = |row, column| &tensor.bytes[(row * columns + column) * width..][..width];
    (0..columns).flat_map(|column| (0..rows).flat_map(move |row| at(row, column).to_vec())).collect()
}

fn width(dtype: &str) -> usize {
    match dtype {
        "F16" | "BF16" => 2,
        "F32" => 4,
        "I64" => 8,
        other => panic!("{other}"),
    }
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    format!("{:08x}", u32::from_be_bytes(*digest.first_chunk().unwrap()))
}

/// The tensors of a safetensors file.
pub fn read(file: &Path) -> Vec<Stored> {
    let bytes = fs::read(file).unwrap();
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).unwrap();
    let number = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
    let tensor = |(name, entry): (String, serde_json::Value)| {
        let place = entry["data_offsets"].as_array().unwrap();
        Stored {
            name,
            dtype: entry["dtype"].as_str().unwrap().into(),
            shape: entry["shape"].as_array().unwrap().iter().map(number).collect(),
            bytes: data[number(&place[0])..number(&place[1])].to_vec(),
        }
    };
    header.into_iter().filter(|(name, _)| name != "__metadata__").map(tensor).collect()
}

/// A safetensors file of these tensors, with words beside them.
pub fn file(tensors: &[Stored], metadata: &[(&str, &str)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let words: serde_json::Map<String, serde_json::Value> =
        metadata.iter().map(|(key, word)| ((*key).to_string(), (*word).into())).collect();
    header.insert("__metadata__".into(), words.into());
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes.len();
        let entry = serde_json::json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, end] });
        header.insert(tensor.name.clone(), entry);
        at = end;
    }
    let mut header = serde_json::Value::Object(header).to_string();
    // As every writer does: numbers lie where a processor can read them.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    tensors.iter().for_each(|tensor| bytes.extend(&tensor.bytes));
    bytes
}

/// A tensor of zeros.
pub fn zeros(name: &str, shape: &[usize]) -> Stored {
    let bytes = vec![0; 2 * shape.iter().product::<usize>()];
    Stored { name: name.into(), dtype: "F16".into(), shape: shape.into(), bytes }
}

/// The same as a GGUF file: sides from the innermost, numbers aligned to 32 bytes.
pub fn gguf(tensors: &[Stored]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut bytes = [&b"GGUF\x03\0\0\0"[..], &(tensors.len() as u64).to_le_bytes(), &0u64.to_le_bytes()].concat();
    let mut at = 0usize;
    for tensor in tensors {
        bytes.extend(text(&tensor.name));
        bytes.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().rev().for_each(|side| bytes.extend((*side as u64).to_le_bytes()));
        let kind: u32 = match tensor.dtype.as_str() {
            "F32" => 0,
            "F16" => 1,
            "BF16" => 30,
            "I64" => 27,
            other => panic!("{other}"),
        };
        bytes.extend(kind.to_le_bytes());
        bytes.extend((at as u64).to_le_bytes());
        at = (at + tensor.bytes.len()).next_multiple_of(32);
    }
    for tensor in tensors {
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(&tensor.bytes);
    }
    bytes
}

/// The same as a checkpoint of a trainer: a zip archive with the pickle of `{"state_dict": {...}, "global_step": ...}`.
pub fn ckpt(tensors: &[Stored], global_step: i32) -> Vec<u8> {
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let number = |number: i32| [&b"J"[..], &number.to_le_bytes()].concat();
    let numbers =
        |all: &[usize]| [&b"("[..], &all.iter().flat_map(|n| number(*n as i32)).collect::<Vec<u8>>(), b"t"].concat();
    let mut pickle = [&b"\x80\x02}"[..], &text("state_dict"), b"}"].concat();
    for (key, tensor) in tensors.iter().enumerate() {
        let class = match tensor.dtype.as_str() {
            "F16" => "HalfStorage",
            "F32" => "FloatStorage",
            "I64" => "LongStorage",
            other => panic!("{other}"),
        };
        let strides: Vec<usize> = (1..=tensor.shape.len()).map(|at| tensor.shape[at..].iter().product()).collect();
        pickle.extend(text(&tensor.name));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.extend(
            [text("storage"), format!("ctorch\n{class}\n").into(), text(&key.to_string()), text("cpu")].concat(),
        );
        pickle.extend([number(tensor.shape.iter().product::<usize>() as i32), b"tQ".into(), number(0)].concat());
        pickle.extend([numbers(&tensor.shape), numbers(&strides)].concat());
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtRs");
    }
    pickle.extend([b"s".into(), text("global_step"), number(global_step), b"s.".into()].concat());
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let parts = tensors.iter().enumerate().map(|(key, tensor)| (format!("archive/data/{key}"), &tensor.bytes));
    for (name, bytes) in std::iter::once(("archive/data.pkl".to_string(), &pickle)).chain(parts) {
        zip.start_file(name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
