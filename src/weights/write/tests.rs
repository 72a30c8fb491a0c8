//! What is written, read again.

use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};

use super::*;
use crate::weights::open_file;

fn written(format: Format, kinds: &[(&str, Kind)], values: &Tensor) -> crate::weights::WeightFile {
    let planned =
        |(name, kind): &(&str, Kind)| Planned { name: (*name).into(), shape: values.dims().to_vec(), kind: *kind };
    let words = BTreeMap::from([("general.name".to_string(), "né".to_string())]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut numbers = |planned: &Planned| {
        let bytes = encode(values, planned.kind).unwrap();
        assert_eq!(bytes.len() as u64, planned.bytes());
        Ok(bytes)
    };
    write(&mut file, Path::new("x"), format, kinds.iter().map(planned).collect(), &words, &mut numbers).unwrap();
    open_file(&path).unwrap()
}

fn values() -> Tensor {
    let values: Vec<f32> = (0..128).map(|i| (i as f32 - 60.0) / 16.0).collect();
    Tensor::from_vec(values, (2, 64), &Device::Cpu).unwrap()
}

#[test]
fn plain_numbers_come_back_from_both_formats() {
    let kinds = [DType::F16, DType::F32, DType::BF16, DType::F64].map(|dtype| (dtype.as_str(), Kind::Plain(dtype)));
    for format in [Format::Safetensors, Format::Gguf] {
        let file = written(format, &kinds, &values());
        assert_eq!(file.metadata["general.name"], "né");
        for (name, kind) in kinds {
            assert_eq!(file.source.stored_type(name).unwrap(), kind.to_string());
            let read = file.source.read(name).unwrap();
            let back = read.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(back, values().to_vec2::<f32>().unwrap(), "{format:?} {name}");
        }
    }
}

#[test]
fn quantised_numbers_come_back_near() {
    // A block of 32 spans 1.94, and at most 4.2 on one side of 0: steps of 4.2 / 127, 1.94 / 15 and 4.2 / 8, and half of that off.
    for (dtype, bound) in [(GgmlDType::Q8_0, 0.02), (GgmlDType::Q4_1, 0.07), (GgmlDType::Q4_0, 0.3)] {
        let file = written(Format::Gguf, &[("a", Kind::Quantized(dtype)), ("b", Kind::Plain(DType::F32))], &values());
        let difference = (file.source.read("a").unwrap() - values()).unwrap().abs().unwrap();
        let most = difference.max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(most > 0.0 && most < bound, "{dtype:?}: {most}");
        assert_eq!(file.source.read("b").unwrap().to_vec2::<f32>().unwrap(), values().to_vec2::<f32>().unwrap());
    }
}

#[test]
fn numbers_that_do_not_fit_are_said() {
    let large = Tensor::new(&[1f32, 70000.0, f32::INFINITY], &Device::Cpu).unwrap();
    let error = encode(&large, Kind::Plain(DType::F16)).unwrap_err();
    assert_eq!(error.to_string(), "1 of its values are too large for f16");
    assert!(encode(&large, Kind::Plain(DType::BF16)).is_ok());
    let planned = Planned { name: "a".into(), shape: vec![32], kind: Kind::Quantized(GgmlDType::Q8_0) };
    assert!(safetensors::lay_out(vec![planned], &BTreeMap::new()).err().unwrap().to_string().contains("q8_0"));
    let planned = Planned { name: "a".into(), shape: vec![32], kind: Kind::Plain(DType::U8) };
    assert!(gguf::lay_out(vec![planned], &BTreeMap::new()).err().unwrap().to_string().contains("u8"));
}
