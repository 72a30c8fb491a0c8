//! Files that PyTorch wrote, and pickles made to do harm.

use super::*;
use crate::testing::fixture;

fn open(name: &str) -> TorchFile {
    TorchFile::open(&fixture(name)).unwrap()
}

fn values(file: &TorchFile, name: &str) -> Vec<f32> {
    let tensor = file.read(name).unwrap();
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// A pickle that is a zip archive's only content, with storages of 16 bytes under the keys 0 and 1.
fn run(pickle: &[u8]) -> Result<HashMap<String, Placed>, PickleError> {
    let storages = ["0", "1"].map(|key| (key.to_string(), 0..16)).into();
    let archive = Archive { pickle: 0..pickle.len(), storages };
    let values = machine::run(pickle)?;
    tree::named_tensors(&values)?.into_iter().map(|(name, tensor)| Ok((name, tensor.place(&archive)?))).collect()
}

/// `{'w': _rebuild_tensor_v2(storage '0' of f32, offset, shape, strides)}`.
fn tensor_pickle(offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    pickle.extend_from_slice(b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ");
    pickle.extend([b'K', offset]);
    for numbers in [shape, strides] {
        pickle.push(b'(');
        pickle.extend(numbers.iter().flat_map(|n| [b'K', *n]));
        pickle.push(b't');
    }
    pickle.extend_from_slice(b"\x89NtRs.");
    pickle
}

#[test]
fn a_checkpoint_gives_its_state_dict() {
    let file = open("pickle/checkpoint.ckpt");
    let mut names = file.names();
    names.sort();
    assert_eq!(names, ["count", "empty", "plain", "tail", "tied", "transposed"]);
    let count: Vec<f32> = (0..12u8).map(f32::from).collect();
    assert_eq!((values(&file, "plain"), values(&file, "tied")), (count.clone(), count));
    assert_eq!(values(&file, "transposed"), [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
    assert_eq!(values(&file, "tail"), [10., 11.]);
    assert_eq!(file.info("plain"), Some((Shape::from((3, 4)), DType::F32)));
    assert_eq!(file.info("empty"), Some((Shape::from((0, 4)), DType::F32)));
    assert_eq!(file.info("count"), Some((Shape::from(()), DType::I64)));
    assert_eq!(values(&file, "count"), [7.]);
    assert!(file.info("epoch").is_none() && file.read("epoch").is_err());
}

#[test]
fn both_formats_of_pytorch_are_read() {
    let (newer, older) = (open("embeddings/a1111.pt"), open("embeddings/older.pt"));
    assert_eq!(newer.names(), ["string_to_param.*"]);
    assert_eq!(values(&newer, "string_to_param.*"), values(&older, "string_to_param._parameters.*"));
    assert_eq!(values(&older, "string_to_token.*"), [265.]);
}

#[test]
fn what_is_not_in_the_table_is_refused_by_name() {
    let error = TorchFile::open(&fixture("pickle/harmful.pt")).err().unwrap();
    assert!(error.to_string().contains("`harmful.run_me`"), "{error}");
    assert!(error.hint().is_some());
    for (pickle, name) in [
        (&b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R."[..], "os.system"),
        (b"\x80\x02cbuiltins\neval\n.", "builtins.eval"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", "posix.system"),
        (b"\x80\x02ctorch\nload\n.", "torch.load"),
    ] {
        assert_eq!(run(pickle).err().unwrap(), PickleError::Forbidden(name.into()));
    }
    // Opcodes that make objects of classes by other ways.
    for pickle in [&b"(ios\nsystem\n."[..], b"(cos\nsystem\no.", b"\x82\x01."] {
        assert!(run(pickle).is_err());
    }
}

#[test]
fn tensors_outside_of_their_storage_are_refused() {
    assert_eq!(run(&tensor_pickle(0, &[2, 2], &[2, 1])).unwrap()["w"].shape, [2, 2]);
    assert!(run(&tensor_pickle(2, &[2], &[1])).is_ok());
    for (offset, shape, strides) in [
        (1, &[2, 2][..], &[2, 1][..]),
        (3, &[2], &[1]),
        (5, &[0], &[1]),
        (0, &[2, 2], &[200, 1]),
        (0, &[255, 255], &[0, 0]),
        (0, &[2, 2], &[2]),
        (0, &[1; 17], &[1; 17]),
    ] {
        assert!(run(&tensor_pickle(offset, shape, strides)).is_err(), "{offset} {shape:?} {strides:?}");
    }
}

#[test]
fn circles_and_depth_do_no_harm() {
    // A dict that is its own entry, and a million nested tuples.
    assert!(run(b"\x80\x02}q\0X\x01\0\0\0ah\0s.").unwrap().is_empty());
    let mut deep = b"\x80\x02)".to_vec();
    deep.extend(std::iter::repeat_n(0x85, 1_000_000));
    deep.push(b'.');
    assert!(run(&deep).unwrap().is_empty());
    // Every dict holds the last one twice: 2^1000 ways lead to the innermost.
    let mut shared = b"\x80\x02}q\0".to_vec();
    for _ in 0..1000 {
        shared.extend_from_slice(b"}X\x01\0\0\0ah\0sX\x01\0\0\0bh\0sq\0");
    }
    shared.push(b'.');
    assert!(run(&shared).unwrap().is_empty());
}

#[test]
fn damaged_files_give_errors_and_no_panic() {
    for name in ["pickle/checkpoint.ckpt", "embeddings/older.pt", "embeddings/a1111.pt"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for length in 0..whole.len() {
            // In a zip archive, all is lost with the end; in the older format, the last storage.
            assert!(read(&whole[..length]).is_err(), "{name} cut at {length}");
        }
        for place in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] ^= change;
                for tensor in read(&bytes).into_iter().flat_map(|content| content.tensors.into_values()) {
                    let _ = tensor.read(&bytes);
                }
            }
        }
    }
}
