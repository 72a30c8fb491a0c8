//! Safetensors files, mapped into memory, and the same format in static bytes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use candle_core::{DType, Device, Shape, Tensor};
use half::f16;

use super::header::{self, Header, Stored};
use super::map::{map, Bytes};
use super::WeightsError;
use crate::nn::{Format, ParamSource, Quantized, Values};

/// The tensors of one safetensors file.
pub struct Safetensors {
    label: String,
    bytes: Bytes,
    header: Header,
}

impl Safetensors {
    /// Maps the file at `path` and checks its header; tensors are read when they are asked for.
    ///
    /// # Errors
    /// When the file cannot be read or is no complete safetensors file.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        Self::new(path.display().to_string(), map(path)?.into())
    }

    /// Tensors in memory, for weights that are part of the binary; messages call them `label`.
    ///
    /// # Errors
    /// When the bytes are no complete safetensors file.
    pub fn from_static(label: &str, bytes: &'static [u8]) -> Result<Self, WeightsError> {
        Self::new(label.into(), bytes.into())
    }

    /// The file `label` with these bytes.
    pub(super) fn new(label: String, bytes: Bytes) -> Result<Self, WeightsError> {
        let header = header::parse(&label, &bytes)?;
        Ok(Safetensors { label, bytes, header })
    }

    /// What the file says about itself: `__metadata__`.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    /// The numbers of a tensor where they lie, if they are floats of 16 or 32 bits that lie as this processor wants them.
    fn values(&self, name: &str) -> Option<(&Range<usize>, Values<'_>)> {
        let entry = self.header.entries.get(name)?;
        let bytes = &self.bytes[entry.bytes.clone()];
        let values = match entry.stored {
            Stored::As(DType::F32) => Values::of_f32(bytes),
            Stored::As(DType::F16) => Values::of_f16(bytes),
            Stored::As(DType::BF16) => Values::of_bf16(bytes),
            Stored::As(_) | Stored::F8E5M2 => None,
        };
        Some((&entry.bytes, values?))
    }

    fn bad_tensor(&self, name: &str, reason: impl ToString) -> WeightsError {
        WeightsError::BadTensor { file: self.label.clone(), tensor: name.into(), reason: reason.to_string() }
    }
}

impl ParamSource for Safetensors {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn names(&self) -> Vec<String> {
        self.header.entries.keys().cloned().collect()
    }

    /// Numbers stored as float8 e5m2 are handed out as f16, which has all of them.
    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        let entry = self.header.entries.get(name)?;
        let dtype = match entry.stored {
            Stored::As(dtype) => dtype,
            Stored::F8E5M2 => DType::F16,
        };
        Some((Shape::from_dims(&entry.shape), dtype))
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        match self.header.entries.get(name)?.stored {
            Stored::As(dtype) => Some(dtype.as_str().into()),
            Stored::F8E5M2 => Some("f8e5m2".into()),
        }
    }

    fn lend(&self, name: &str, take: &mut dyn FnMut(Values<'_>)) -> bool {
        let Some((place, values)) = self.values(name) else { return false };
        self.bytes.expect(place);
        take(values);
        self.bytes.release(place);
        true
    }

    fn lends(&self, name: &str) -> bool {
        self.values(name).is_some()
    }

    fn quantized(&self, name: &str) -> Option<Quantized> {
        let entry = self.header.entries.get(name)?;
        let format = match entry.stored {
            Stored::As(DType::F8E4M3) => Format::F8E4M3,
            Stored::F8E5M2 => Format::F8E5M2,
            Stored::As(_) => return None,
        };
        let rows = *entry.shape.first()?;
        let columns = entry.shape[1..].iter().product();
        Quantized::new(format, self.bytes.share(&entry.bytes)?, [rows, columns])
    }

    fn release(&self) {
        self.bytes.release(&(0..self.bytes.len()));
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let entry = self.header.entries.get(name).ok_or_else(|| self.bad_tensor(name, "it is not there"))?;
        self.bytes.expect(&entry.bytes);
        let bytes = &self.bytes[entry.bytes.clone()];
        let tensor = match entry.stored {
            Stored::As(dtype) => Tensor::from_raw_buffer(bytes, dtype, &entry.shape, &Device::Cpu),
            Stored::F8E5M2 => {
                let wide: Vec<f16> = bytes.iter().map(|byte| f16::from_bits(u16::from(*byte) << 8)).collect();
                Tensor::from_vec(wide, entry.shape.as_slice(), &Device::Cpu)
            }
        };
        self.bytes.release(&entry.bytes);
        tensor.map_err(|e| self.bad_tensor(name, e))
    }
}
