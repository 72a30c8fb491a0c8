//! GGUF: the container of ggml's programs (stable-diffusion.cpp, ComfyUI-GGUF), versions 2 and 3, with plain and quantised numbers.
//! Followed: ggml's `docs/gguf.md`.
//!
//! [`header`] checks everything that the file says before any of it is believed; [`kind`] knows how numbers are stored. Quantised
//! tensors are handed out as they are, or become f32 when they are read, with the values of ggml.

mod header;
mod kind;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use candle_core::quantized::{QStorage, QTensor};
use candle_core::{DType, Device, Shape, Tensor};

use super::map::Bytes;
use super::WeightsError;
use crate::nn::{ParamSource, Quantized};
use header::Header;
pub use header::MAGIC;
pub use kind::Kind;

/// The tensors of one GGUF file.
pub struct Gguf {
    label: String,
    bytes: Bytes,
    header: Header,
}

impl Gguf {
    /// The file `label` with these bytes: its header is checked, tensors are read when they are asked for.
    ///
    /// # Errors
    /// When it is no complete GGUF file.
    pub(super) fn new(label: String, bytes: Bytes) -> Result<Self, WeightsError> {
        let header = Header::parse(&label, &bytes)?;
        Ok(Gguf { label, bytes, header })
    }

    /// The words and numbers of the file beside its tensors: `general.architecture`, `general.name`.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    fn bad(&self, name: &str, reason: impl ToString) -> WeightsError {
        WeightsError::BadTensor { file: self.label.clone(), tensor: name.into(), reason: reason.to_string() }
    }
}

impl ParamSource for Gguf {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn names(&self) -> Vec<String> {
        self.header.tensors.keys().cloned().collect()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        let tensor = self.header.tensors.get(name)?;
        let dtype = match tensor.kind {
            Kind::Plain(dtype) => dtype,
            Kind::Quantized(_) => DType::F32,
        };
        Some((Shape::from_dims(&tensor.shape), dtype))
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        Some(self.header.tensors.get(name)?.kind.to_string())
    }

    fn quantized(&self, name: &str) -> Option<Quantized> {
        let tensor = self.header.tensors.get(name)?;
        let format = tensor.kind.format()?;
        let rows = *tensor.shape.first()?;
        let columns = tensor.shape[1..].iter().product();
        Quantized::new(format, self.bytes.share(&tensor.bytes)?, [rows, columns])
    }

    fn release(&self) {
        self.bytes.release(&(0..self.bytes.len()));
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let tensor = self.header.tensors.get(name).ok_or_else(|| self.bad(name, "it is not there"))?;
        self.bytes.expect(&tensor.bytes);
        let bytes = &self.bytes[tensor.bytes.clone()];
        let read = match tensor.kind {
            Kind::Plain(dtype) => Tensor::from_raw_buffer(bytes, dtype, &tensor.shape, &Device::Cpu),
            Kind::Quantized(kind) => QStorage::from_data(bytes.into(), &Device::Cpu, kind)
                // Rows of an original shape need not be whole blocks; all numbers together are.
                .and_then(|storage| QTensor::new(storage, tensor.shape.iter().product::<usize>()))
                .and_then(|quantized| quantized.dequantize(&Device::Cpu)?.reshape(tensor.shape.as_slice())),
        };
        self.bytes.release(&tensor.bytes);
        read.map_err(|e| self.bad(name, e))
    }
}
