//! A weight and its change as one, in parallel.

use candle_core::{bail, CpuStorage, DType, Device, Result, Shape, Storage, Tensor, WithDType};
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Values that a task adds: they stay in a second-level cache.
const CHUNK: usize = 1 << 15;

/// The type in which sums of a weight and its changes are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// That of the weight. Numbers of eight bits, which would lose most changes to rounding, become f16.
    Stored,
    /// f32, for models that compute in it: nothing is rounded, as in the reference, and changed weights take more memory than those
    /// that are stored in half of it.
    F32,
}

impl Sums {
    /// Of a weight of this type.
    #[must_use]
    pub fn dtype(self, stored: DType) -> DType {
        match (self, stored) {
            (_, DType::F64) => DType::F64,
            (Sums::F32, _) => DType::F32,
            (Sums::Stored, DType::F8E4M3) => DType::F16,
            (Sums::Stored, other) => other,
        }
    }
}

/// `stored` plus `change`, which has as many values in f32; in the shape of `stored`, and in the type that `sums` gives.
///
/// # Errors
/// When the tensor library fails.
pub fn add(stored: &Tensor, change: &Tensor, sums: Sums) -> Result<Tensor> {
    let wanted = sums.dtype(stored.dtype());
    // Half precision is widened piece by piece below.
    let stored = match (stored.dtype(), wanted) {
        (DType::F16 | DType::BF16, _) => stored.contiguous()?,
        (_, wanted) => stored.to_dtype(wanted)?.contiguous()?,
    };
    let change = change.contiguous()?;
    let shape = stored.shape();
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
        Storage::Cpu(CpuStorage::F16(values)) => halves(&values[start..end], changes, shape, wanted),
        Storage::Cpu(CpuStorage::BF16(values)) => halves(&values[start..end], changes, shape, wanted),
        _ => (stored.to_dtype(DType::F32)? + change.reshape(shape)?)?.to_dtype(wanted),
    }
}

/// Sums of values in half precision, in their own type or in f32.
fn halves<T: WithDType>(values: &[T], changes: &[f32], shape: &Shape, wanted: DType) -> Result<Tensor>
where
    [T]: HalfFloatSliceExt,
{
    if wanted == DType::F32 {
        let mut sums = vec![0f32; values.len()];
        let chunks = sums.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).zip(changes.par_chunks(CHUNK));
        chunks.for_each(|((sums, values), changes)| {
            values.convert_to_f32_slice(sums);
            plus(sums, changes);
        });
        return Tensor::from_vec(sums, shape, &Device::Cpu);
    }
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

    fn bits(tensor: &Tensor) -> Vec<f64> {
        tensor.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn sums_are_made_in_f32_and_rounded_once() {
        let count = CHUNK + 3;
        let values = Tensor::arange(0f32, count as f32, &Device::Cpu).unwrap().affine(1e-4, -1.0).unwrap();
        let change = values.affine(0.37, 0.01).unwrap();
        for dtype in [DType::F32, DType::F16, DType::BF16, DType::F64] {
            let stored = values.to_dtype(dtype).unwrap();
            let exact = (stored.to_dtype(DType::F32).unwrap() + &change).unwrap();
            let sum = add(&stored, &change, Sums::Stored).unwrap();
            assert_eq!((sum.dtype(), sum.dims()), (dtype, stored.dims()));
            assert_eq!(bits(&sum), bits(&exact.to_dtype(dtype).unwrap()), "{dtype:?}");
            let wide = add(&stored, &change, Sums::F32).unwrap();
            assert_eq!(wide.dtype(), Sums::F32.dtype(dtype));
            assert_eq!(bits(&wide), bits(&exact), "{dtype:?}");
        }
    }

    #[test]
    fn eight_bits_become_more() {
        let stored = Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap().to_dtype(DType::F8E4M3).unwrap();
        let change = Tensor::new(&[[0.01f32, -0.01]], &Device::Cpu).unwrap();
        for (sums, dtype, error) in [(Sums::Stored, DType::F16, 1e-3), (Sums::F32, DType::F32, 1e-6)] {
            let sum = add(&stored, &change, sums).unwrap();
            assert_eq!(sum.dtype(), dtype);
            let values = bits(&sum);
            assert!((values[0] - 1.01).abs() < error && (values[1] - 1.99).abs() < error, "{values:?}");
        }
        assert!(add(&stored, &Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap(), Sums::Stored).is_err());
    }
}
