//! Hostile files: thousands of damaged headers of each container end in an error or in tensors that fit into the file. None ends in
//! a panic, takes for ever, or asks for more memory than the file's numbers take. The damage is the same in each run.

use fastrand::Rng;

use super::pickle::TorchFile;
use super::testing::fixtures;
use super::{gguf::Gguf, Safetensors};
use crate::nn::ParamSource;

/// Damaged files of each kind.
const FILES: usize = 10_000;
/// Numbers that break arithmetic.
const EXTREMES: [u64; 9] =
    [0, 1, u64::MAX, i64::MAX as u64, 1 << 63, u32::MAX as u64, 1 << 31, (1 << 61) + 1, 0x0101_0101_0101_0101];

/// A copy with some damage among the first `header` bytes: bits, bytes, numbers of every width, pieces that are doubled, moved or lost.
fn damaged(good: &[u8], header: usize, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..rng.usize(1..6) {
        let limit = header.min(bytes.len()).max(1);
        let at = rng.usize(0..limit);
        let end = (at + rng.usize(0..24)).min(bytes.len());
        match rng.u8(0..8) {
            0 => bytes[at] ^= 1 << rng.u8(0..8),
            1 => bytes[at] = rng.u8(..),
            2 | 3 => {
                let number = EXTREMES[rng.usize(0..EXTREMES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][rng.usize(0..4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            4 => drop(bytes.drain(at..end)),
            5 => {
                let piece = bytes[at..end].to_vec();
                let to = rng.usize(0..limit);
                bytes.splice(to..to, piece);
            }
            6 => bytes[at..end].reverse(),
            _ => bytes.truncate(rng.usize(0..=bytes.len())),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// Opens damaged copies and reads whatever tensors they show; `most` is how much larger numbers may become when they are read.
fn survive<S: ParamSource>(good: &[u8], header: usize, most: usize, open: impl Fn(Vec<u8>) -> Option<S>) {
    let mut rng = Rng::with_seed(0x5d9e);
    let mut opened = 0;
    for _ in 0..FILES {
        let bytes = damaged(good, header, &mut rng);
        let have = bytes.len();
        let Some(source) = open(bytes) else { continue };
        opened += 1;
        for name in source.names() {
            let (shape, dtype) = source.info(&name).unwrap();
            assert!(shape.elem_count() * dtype.size_in_bytes() <= most * have, "{name} {shape:?} of {have} bytes");
            if let Ok(tensor) = source.read(&name) {
                assert_eq!((tensor.shape(), tensor.dtype()), (&shape, dtype), "{name}");
            }
        }
    }
    // Neither all nor none: else the damage would be too gentle or too coarse to test anything.
    assert!((FILES / 1000..FILES * 9 / 10).contains(&opened), "{opened} of {FILES} opened");
}

#[test]
fn damaged_safetensors_are_survived() {
    let entry = |name: &str, dtype: &str, shape: &str, from: usize, to: usize| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let header = [
        r#""__metadata__":{"format":"pt"}"#.to_string(),
        entry("a.weight", "F32", "[2,2]", 0, 16),
        entry("b.weight", "F8_E5M2", "[2,3,1,1]", 16, 22),
        entry("c", "I64", "[]", 22, 30),
    ];
    let header = format!("{{{}}}", header.join(","));
    let mut good = (header.len() as u64).to_le_bytes().to_vec();
    good.extend(header.as_bytes());
    let length = good.len();
    good.extend([7; 30]);
    survive(&good, length, 2, |bytes| Safetensors::new("x".into(), bytes.into()).ok());
}

#[test]
fn damaged_gguf_files_are_survived() {
    let good = std::fs::read(fixtures().join("gguf/kinds.gguf")).unwrap();
    let header = good.windows(6).rposition(|window| window == b"shaped").unwrap() + 64;
    // Two bits become a number of 32.
    survive(&good, header, 16, |bytes| Gguf::new("x".into(), bytes.into()).ok());
}

#[test]
fn damaged_checkpoints_are_survived() {
    for name in ["pickle/checkpoint.ckpt", "embeddings/older.pt"] {
        let good = std::fs::read(fixtures().join(name)).unwrap();
        survive(&good, good.len(), 1, |bytes| TorchFile::new("x".into(), bytes.into()).ok());
    }
}
