//! A tensor's place in the file: checked once, read as often as wanted.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::archive::Archive;
use super::error::PickleError;
use super::value::StoredTensor;
use crate::weights::shape::elements;

/// A tensor whose numbers are known to lie in the file.
pub(super) struct Placed {
    pub dtype: DType,
    pub shape: Vec<usize>,
    strides: Vec<usize>,
    /// Bytes from the tensor's first number to its last.
    bytes: Range<usize>,
}

impl StoredTensor<'_> {
    /// Finds the numbers, and checks that all of them are there and that none is used twice: a stride of 0 would make a small
    /// file a tensor larger than memory.
    pub fn place(self, archive: &Archive) -> Result<Placed, PickleError> {
        let key = self.storage.key;
        let dtype = self
            .storage
            .dtype
            .ok_or_else(|| PickleError::Unsupported(format!("the number type of storage `{key}`")))?;
        let storage =
            archive.storages.get(key).ok_or_else(|| PickleError::damaged(format!("storage `{key}` is missing")))?;
        let available = storage.len() / dtype.size_in_bytes();
        let misfit = || {
            let (shape, strides) = (&self.shape, &self.strides);
            PickleError::damaged(format!(
                "a tensor of shape {shape:?} and strides {strides:?} does not fit into storage `{key}`"
            ))
        };
        if self.shape.len() != self.strides.len() {
            return Err(misfit());
        }
        let count = elements(&self.shape).ok_or_else(misfit)?;
        let is_empty = self.shape.contains(&0);
        let span = if is_empty { 0 } else { span(&self.shape, &self.strides).ok_or_else(misfit)? };
        let end =
            self.offset.checked_add(span).filter(|end| *end <= available && count <= available).ok_or_else(misfit)?;
        let at = |element: usize| storage.start + element * dtype.size_in_bytes();
        Ok(Placed { dtype, bytes: at(self.offset)..at(end), shape: self.shape, strides: self.strides })
    }
}

/// Elements from the first to the last of a tensor that has some, both included.
fn span(shape: &[usize], strides: &[usize]) -> Option<usize> {
    let steps = shape.iter().zip(strides).map(|(dim, stride)| (dim - 1).checked_mul(*stride));
    steps.into_iter().try_fold(1usize, |span, step| span.checked_add(step?))
}

impl Placed {
    /// The tensor on the CPU; `file` is the whole file.
    pub fn read(&self, file: &[u8]) -> candle_core::Result<Tensor> {
        let bytes = &file[self.bytes.clone()];
        if self.is_contiguous() {
            return Tensor::from_raw_buffer(bytes, self.dtype, &self.shape, &Device::Cpu);
        }
        let size = self.dtype.size_in_bytes();
        let mut gathered = Vec::with_capacity(self.shape.iter().product::<usize>() * size);
        self.gather(bytes, 0, 0, &mut gathered);
        Tensor::from_raw_buffer(&gathered, self.dtype, &self.shape, &Device::Cpu)
    }

    fn is_contiguous(&self) -> bool {
        if self.bytes.is_empty() {
            return true;
        }
        let mut expected = 1;
        let dims = self.shape.iter().zip(&self.strides).rev();
        dims.into_iter().all(|(dim, stride)| {
            let fits = *dim <= 1 || *stride == expected;
            expected *= dim;
            fits
        })
    }

    /// Copies the numbers below one index of each dimension before `axis`; `at` is the element that these lead to.
    fn gather(&self, bytes: &[u8], axis: usize, at: usize, out: &mut Vec<u8>) {
        if axis == self.shape.len() {
            let size = self.dtype.size_in_bytes();
            out.extend_from_slice(&bytes[at * size..(at + 1) * size]);
            return;
        }
        for index in 0..self.shape[axis] {
            self.gather(bytes, axis + 1, at + index * self.strides[axis], out);
        }
    }
}
