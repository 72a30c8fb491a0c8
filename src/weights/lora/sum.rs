//! A weight and its change as one, in parallel.

use candle_core::{bail, CpuStorage, DType, Device, Result, Storage, Tensor, WithDType};
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Values that a task adds: they stay in a second-level cache.
const CHUNK: usize = 1 << 15;

/// The type that the sum is handed out in: that of the weight. Numbers of eight bits would lose most changes to rounding.
#[must_use]
pub fn dtype(stored: DType) -> DType {
    match stored {
        DType::F8E4M3 => DType::F16,
        other => other,
    }
}

/// `stored` plus `change`, which has as many values in f32; in the shape of `stored`, and in the type that [`dtype`] gives.
///
/// # Errors
/// When the tensor library fails.
pub fn add(stored: &Tensor, change: &Tensor) -> Result<Tensor> {
    let (stored, change) = (stored.to_dtype(dtype(stored.dtype()))?.contiguous()?, change.contiguous()?);
    let (shape, dtype) = (stored.shape(), stored.dtype());
    let (storage, layout) = stored.storage_and_layout();
    let (changes, change_layout) = change.storage_and_layout();
    let (Storage::Cpu(CpuStorage::F32(changes)), Some((from, to)), Some((start, end))) =
        (&*changes, change_layout.contiguous_offsets(), layout.contiguous_offsets())
    else {
        bail!("expected tensors on the CPU, not {stored:?} and {change:?}")
    };
    let changes = &changes[from..to];
    if changes.len() != end - start {
        bail!("{} values cannot be added to {shape:?}", changes.len())
    }
    match &*storage {
        Storage::Cpu(CpuStorage::F32(values)) => {
            let mut sums = values[start..end].to_vec();
            sums.par_chunks_mut(CHUNK).zip(changes.par_chunks(CHUNK)).for_each(|(sums, changes)| plus(sums, changes));
            Tensor::from_vec(sums, shape, &Device::Cpu)
        }
        Storage::Cpu(CpuStorage::F16(values)) => halves(&values[start..end], changes, shape.dims()),
        Storage::Cpu(CpuStorage::BF16(values)) => halves(&values[start..end], changes, shape.dims()),
        _ => (stored.to_dtype(DType::F32)? + change.reshape(shape)?)?.to_dtype(dtype),
    }
}

fn halves<T: WithDType>(values: &[T], changes: &[f32], shape: &[usize]) -> Result<Tensor>
where
    [T]: HalfFloatSliceExt,
{
    let mut sums = vec![T::zero(); values.len()];
    let chunks = sums.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).zip(changes.par_chunks(CHUNK));
    chunks.for_each_init(
        || vec![0f32; CHUNK],
        |wide, ((sums, values), changes)| {
            let wide = &mut wide[..values.len()];
            values.convert_to_f32_slice(wide);
            plus(wide, changes);
            sums.convert_from_f32_slice(wide);
        },
    );
    Tensor::from_vec(sums, shape, &Device::Cpu)
}

fn plus(sums: &mut [f32], changes: &[f32]) {
    sums.iter_mut().zip(changes).for_each(|(sum, change)| *sum += change);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_made_in_f32_and_rounded_once() {
        let count = CHUNK + 3;
        let values = Tensor::arange(0f32, count as f32, &Device::Cpu).unwrap().affine(1e-4, -1.0).unwrap();
        let change = values.affine(0.37, 0.01).unwrap();
        for dtype in [DType::F32, DType::F16, DType::BF16, DType::F64] {
            let stored = values.to_dtype(dtype).unwrap();
            let expected = (stored.to_dtype(DType::F32).unwrap() + &change).unwrap().to_dtype(dtype).unwrap();
            let sum = add(&stored, &change).unwrap();
            assert_eq!((sum.dtype(), sum.dims()), (dtype, stored.dims()));
            let bits = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
            assert_eq!(bits(&sum), bits(&expected), "{dtype:?}");
        }
    }

    #[test]
    fn eight_bits_become_sixteen() {
        let stored = Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap().to_dtype(DType::F8E4M3).unwrap();
        let change = Tensor::new(&[[0.01f32, -0.01]], &Device::Cpu).unwrap();
        let sum = add(&stored, &change).unwrap();
        assert_eq!(sum.dtype(), DType::F16);
        let values = sum.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
        assert!((values[0] - 1.01).abs() < 1e-3 && (values[1] - 1.99).abs() < 1e-3, "{values:?}");
        assert!(add(&stored, &Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap()).is_err());
    }
}
