//! Values that are no numbers, or infinite: what a broken merge or conversion leaves behind.

use candle_core::{CpuStorage, DType, Storage, Tensor};
use rayon::prelude::*;
use serde::Serialize;

use crate::nn::ParamSource;
use crate::weights::WeightsError;

/// A tensor with values that no network can compute with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotFinite {
    /// The tensor.
    pub tensor: String,
    /// Values that are no numbers.
    pub nan: usize,
    /// Values that are infinite.
    pub infinite: usize,
    /// All its values.
    pub values: usize,
}

/// Looks at every value of every tensor, on all cores; a tensor a core is in memory at a time. Quantised tensors and the scales of
/// their blocks are seen through the values that they stand for.
///
/// Returns the tensors with faults, sorted by name, and what could not be read.
pub fn scan(source: &dyn ParamSource) -> (Vec<NotFinite>, Vec<WeightsError>) {
    let mut names = source.names();
    names.sort_unstable();
    let results: Vec<_> = names.par_iter().map(|name| source.read(name).map(|tensor| look(name, &tensor))).collect();
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(fault) => found.extend(fault),
            Err(error) => unreadable.push(error),
        }
    }
    (found, unreadable)
}

fn look(name: &str, tensor: &Tensor) -> Option<NotFinite> {
    let (nan, infinite) = counts(tensor);
    (nan + infinite > 0).then(|| NotFinite { tensor: name.into(), nan, infinite, values: tensor.elem_count() })
}

/// How many values are no numbers and how many are infinite.
fn counts(tensor: &Tensor) -> (usize, usize) {
    // A view of the whole of a tensor that was just read: its storage holds its values and nothing else.
    let (storage, _) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(CpuStorage::F32(values)) => count(values, |v| v.is_nan(), |v| v.is_infinite()),
        Storage::Cpu(CpuStorage::F64(values)) => count(values, |v| v.is_nan(), |v| v.is_infinite()),
        Storage::Cpu(CpuStorage::F16(values)) => count(values, |v| v.is_nan(), |v| v.is_infinite()),
        Storage::Cpu(CpuStorage::BF16(values)) => count(values, |v| v.is_nan(), |v| v.is_infinite()),
        // The other types of 8-bit floats are read as f16.
        Storage::Cpu(CpuStorage::F8E4M3(values)) => count(values, |v| v.to_f32().is_nan(), |_| false),
        _ => match tensor.to_dtype(DType::F32).and_then(|t| t.flatten_all()?.to_vec1::<f32>()) {
            Ok(values) => count(&values, |v| v.is_nan(), |v| v.is_infinite()),
            Err(_) => (0, 0),
        },
    }
}

/// Both numbers in one pass without branches; almost all tensors have neither.
fn count<T>(values: &[T], is_nan: impl Fn(&T) -> bool, is_infinite: impl Fn(&T) -> bool) -> (usize, usize) {
    values
        .iter()
        .fold((0, 0), |(nan, infinite), v| (nan + usize::from(is_nan(v)), infinite + usize::from(is_infinite(v))))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn every_type_of_number_is_looked_at() {
        let values = Tensor::new(&[1f32, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0], &Device::Cpu).unwrap();
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
            assert_eq!(counts(&values.to_dtype(dtype).unwrap()), (1, 2), "{dtype:?}");
        }
        let bytes = [0x00u8, 0x7f, 0xff, 0x7e, 0xfe];
        let small = Tensor::from_raw_buffer(&bytes, DType::F8E4M3, &[5], &Device::Cpu).unwrap();
        assert_eq!(counts(&small), (2, 0), "e4m3 has no infinity, and 448 is its largest number");
        assert_eq!(counts(&Tensor::new(&[1i64, i64::MAX], &Device::Cpu).unwrap()), (0, 0));
    }

    #[test]
    fn faults_are_named_and_counted() {
        let tensor = Tensor::new(&[[1f32, f32::NAN], [3.0, f32::NAN]], &Device::Cpu).unwrap();
        let fault = NotFinite { tensor: "a".into(), nan: 2, infinite: 0, values: 4 };
        assert_eq!(look("a", &tensor), Some(fault));
        assert_eq!(look("a", &tensor.zeros_like().unwrap()), None);
    }
}
