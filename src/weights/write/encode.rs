//! The numbers of a tensor as the bytes of a file.

use candle_core::quantized::QTensor;
use candle_core::{CpuStorage, DType, Storage, Tensor};

use crate::weights::Kind;

/// Why the numbers of a tensor cannot be stored in a type.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Numbers beyond the range of the type became infinite.
    #[error("{count} of its values are too large for {kind}")]
    Overflow {
        /// How many.
        count: usize,
        /// The type.
        kind: String,
    },
    /// The tensor library failed.
    #[error("{0}")]
    Tensor(#[from] candle_core::Error),
}

/// The bytes of a tensor on the CPU, stored as `kind`, little endian.
///
/// # Errors
/// [`EncodeError::Overflow`] when finite numbers would become infinite.
pub fn encode(tensor: &Tensor, kind: Kind) -> Result<Vec<u8>, EncodeError> {
    match kind {
        Kind::Plain(dtype) => plain(tensor, dtype, kind),
        Kind::Quantized(dtype) => {
            let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
            Ok(QTensor::quantize(&tensor, dtype)?.data()?.into_owned())
        }
    }
}

fn plain(tensor: &Tensor, dtype: DType, kind: Kind) -> Result<Vec<u8>, EncodeError> {
    let converted = tensor.to_dtype(dtype)?.contiguous()?;
    if dtype == DType::F16 && tensor.dtype() != DType::F16 {
        let (before, after) = (infinite(tensor)?, infinite(&converted)?);
        if after > before {
            return Err(EncodeError::Overflow { count: after - before, kind: kind.to_string() });
        }
    }
    let (storage, layout) = converted.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        return Err(candle_core::Error::Msg("a tensor whose numbers do not follow each other".into()).into());
    };
    macro_rules! bytes {
        ($values:expr) => {{
            let mut bytes = Vec::with_capacity((end - start) * dtype.size_in_bytes());
            $values[start..end].iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
            bytes
        }};
    }
    Ok(match &*storage {
        Storage::Cpu(CpuStorage::F64(values)) => bytes!(values),
        Storage::Cpu(CpuStorage::F32(values)) => bytes!(values),
        Storage::Cpu(CpuStorage::F16(values)) => bytes!(values),
        Storage::Cpu(CpuStorage::BF16(values)) => bytes!(values),
        Storage::Cpu(CpuStorage::I64(values)) => bytes!(values),
        Storage::Cpu(CpuStorage::I32(values)) => bytes!(values),
        Storage::Cpu(CpuStorage::I16(values)) => bytes!(values),
        Storage::Cpu(CpuStorage::U32(values)) => bytes!(values),
        Storage::Cpu(CpuStorage::U8(values)) => values[start..end].to_vec(),
        #[expect(clippy::redundant_closure_for_method_calls, reason = "the crate of the type is not ours to name")]
        Storage::Cpu(CpuStorage::F8E4M3(values)) => values[start..end].iter().map(|value| value.to_bits()).collect(),
        _ => return Err(candle_core::Error::Msg(format!("{dtype:?} numbers cannot be written")).into()),
    })
}

/// How many values are infinite.
fn infinite(tensor: &Tensor) -> candle_core::Result<usize> {
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.iter().filter(|value| value.is_infinite()).count())
}
