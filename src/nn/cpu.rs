//! Between tensors on the CPU and the slices that kernels work on.

use std::ops::{Deref, Range};

use candle_core::{bail, CpuStorage, DType, Device, Error, InplaceOp1, Layout, Result, Shape, Storage, Tensor};

use crate::kernels::gemm::Values;
use crate::kernels::{memory, Isa};

/// The instructions that kernels compute with.
///
/// # Errors
/// When `SDGEN_ISA` asks for some that the processor lacks.
pub(super) fn isa() -> Result<Isa> {
    Isa::current().map_err(Error::wrap)
}

/// The values of a tensor; see [`floats`].
pub(super) struct Floats<S> {
    storage: S,
    range: Range<usize>,
}

/// The values of a contiguous f32 tensor on the CPU.
///
/// # Errors
/// When it is something else.
pub(super) fn floats(tensor: &Tensor) -> Result<Floats<impl Deref<Target = Storage> + '_>> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(_)), Some((start, end))) => Ok(Floats { storage, range: start..end }),
        _ => bail!("expected a contiguous f32 tensor on the CPU, not {tensor:?}"),
    }
}

impl<S: Deref<Target = Storage>> Deref for Floats<S> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => &[],
        }
    }
}

/// A tensor of `shape` on the CPU; `f` writes every value of it and reads none before.
pub(super) fn filled(shape: impl Into<Shape>, f: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<Tensor> {
    let shape = shape.into();
    let mut values = memory::unfilled(shape.elem_count());
    f(&mut values)?;
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// `x`, an f32 tensor on the CPU, with its values replaced by what `f` makes of them. Tensors that share its memory change with it.
pub(super) fn changed(x: Tensor, f: impl Fn(&mut [f32])) -> Result<Tensor> {
    struct Change<F>(F);

    impl<F: Fn(&mut [f32])> InplaceOp1 for Change<F> {
        fn name(&self) -> &'static str {
            "change"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            match (storage, layout.contiguous_offsets()) {
                (CpuStorage::F32(values), Some((start, end))) => (self.0)(&mut values[start..end]),
                _ => bail!("expected a contiguous f32 tensor on the CPU"),
            }
            Ok(())
        }
    }

    let x = x.contiguous()?;
    x.inplace_op1(&Change(f))?;
    Ok(x)
}

/// Calls `f` with the values of weights as they are stored; types other than those of [`Values`] become f32 first.
pub(super) fn with_stored<T>(weights: &Tensor, f: impl FnOnce(Values) -> T) -> Result<T> {
    let weights = match weights.dtype() {
        DType::F32 | DType::F16 | DType::BF16 => weights.contiguous()?,
        _ => weights.to_dtype(DType::F32)?.contiguous()?,
    };
    let (storage, layout) = weights.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => Ok(f(Values::F32(&values[start..end]))),
        (Storage::Cpu(CpuStorage::F16(values)), Some((start, end))) => Ok(f(Values::F16(&values[start..end]))),
        (Storage::Cpu(CpuStorage::BF16(values)), Some((start, end))) => Ok(f(Values::Bf16(&values[start..end]))),
        _ => bail!("expected weights on the CPU, not {weights:?}"),
    }
}
