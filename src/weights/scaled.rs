//! Weights of eight bits with a scale beside them, as ComfyUI writes them: `layer.weight` times `layer.scale_weight` (in newer files
//! `layer.weight_scale`) is the weight that is meant. Scales of activations are for arithmetic in eight bits, which is not done here.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Shape, Tensor};

use super::WeightsError;
use crate::nn::{ParamSource, Quantized, Values};

/// Endings of a scale's name, which stand in place of `weight`.
const SCALES: [&str; 2] = ["scale_weight", "weight_scale"];
/// Endings of what lies beside scaled weights and is not needed.
const BESIDE: [&str; 4] = ["scaled_fp8", "scale_input", "input_scale", "comfy_quant"];
/// The scales of bitsandbytes' numbers of four bits, which are not read.
const BITSANDBYTES: &str = ".weight.absmax";
/// Scales of blocks of a weight, which are not read.
const BLOCKS: &str = "weight_scale_inv";

/// A source whose scaled weights are handed out multiplied, as f32, and whose scales are gone.
pub struct Scaled {
    source: Arc<dyn ParamSource>,
    /// The scale of each scaled weight.
    scales: HashMap<String, String>,
}

/// The source itself, or with its scales applied when it has any.
///
/// # Errors
/// [`WeightsError::UnsupportedDtype`] when weights are scaled in a way that is not known.
pub fn apply_scales(source: Arc<dyn ParamSource>) -> Result<Arc<dyn ParamSource>, WeightsError> {
    let mut scales = HashMap::new();
    for name in source.names() {
        let unsupported =
            |dtype: String| WeightsError::UnsupportedDtype { file: source.label(), tensor: name.clone(), dtype };
        if name.ends_with(BITSANDBYTES) {
            return Err(unsupported("numbers of four bits by bitsandbytes (nf4 or fp4)".into()));
        }
        if name.ends_with(BLOCKS) {
            return Err(unsupported("numbers of eight bits that are scaled in blocks".into()));
        }
        let Some(layer) = SCALES.iter().find_map(|ending| name.strip_suffix(ending)) else { continue };
        let weight = format!("{layer}weight");
        let Some((shape, _)) = source.info(&weight) else { continue };
        let kind = source.stored_type(&weight).unwrap_or_default();
        let scale = source.info(&name).map_or_else(|| Shape::from(()), |(shape, _)| shape);
        let rows = shape.dims().first().copied().unwrap_or(1);
        if !kind.starts_with("f8") || ![1, rows].contains(&scale.elem_count()) {
            return Err(unsupported(format!("{kind} {:?} with scales of {:?}", shape.dims(), scale.dims())));
        }
        scales.insert(weight, name);
    }
    Ok(if scales.is_empty() { source } else { Arc::new(Scaled { source, scales }) })
}

impl Scaled {
    fn floats(&self, name: &str, scale: &Tensor) -> Result<Vec<f32>, WeightsError> {
        let floats = scale.to_dtype(DType::F32).and_then(|scale| scale.flatten_all()?.to_vec1());
        floats.map_err(|e| self.bad(name, &e))
    }

    fn bad(&self, name: &str, error: &candle_core::Error) -> WeightsError {
        WeightsError::BadTensor { file: self.label(), tensor: name.into(), reason: error.to_string() }
    }
}

impl ParamSource for Scaled {
    fn label(&self) -> String {
        self.source.label()
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.source.names();
        names.retain(|name| !SCALES.iter().chain(&BESIDE).any(|ending| name.ends_with(ending)));
        names
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        let (shape, dtype) = self.source.info(name)?;
        Some((shape, if self.scales.contains_key(name) { DType::F32 } else { dtype }))
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        self.source.stored_type(name)
    }

    fn lend(&self, name: &str, take: &mut dyn FnMut(Values<'_>)) -> bool {
        !self.scales.contains_key(name) && self.source.lend(name, take)
    }

    fn lends(&self, name: &str) -> bool {
        !self.scales.contains_key(name) && self.source.lends(name)
    }

    fn quantized(&self, name: &str) -> Option<Quantized> {
        let weight = self.source.quantized(name)?;
        let Some(scale) = self.scales.get(name) else { return Some(weight) };
        let scale = self.source.read(scale).and_then(|scale| self.floats(name, &scale)).ok()?;
        weight.scaled(&scale)
    }

    fn release(&self) {
        self.source.release();
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let tensor = self.source.read(name)?;
        let Some(scale) = self.scales.get(name) else { return Ok(tensor) };
        let scale = self.source.read(scale)?;
        let scaled = || {
            // One scale for all, or one for each row.
            let mut shape = vec![1; tensor.rank().max(1)];
            shape[0] = scale.elem_count();
            tensor.to_dtype(DType::F32)?.broadcast_mul(&scale.to_dtype(DType::F32)?.reshape(shape)?)
        };
        scaled().map_err(|e| self.bad(name, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::testing::{of_tensors, Stored};

    fn tensor(name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) -> Stored {
        Stored { name: name.into(), dtype: dtype.into(), shape: shape.into(), bytes: bytes.into() }
    }

    /// 1.0, 2.0, -1.0, -2.0 as e4m3.
    fn weight() -> Stored {
        tensor("a.weight", "F8_E4M3", &[2, 2], &[0x38, 0x40, 0xb8, 0xc0])
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn scales_are_applied_and_gone() {
        for (name, shape, scale, expected) in [
            ("a.scale_weight", &[][..], &[0.5][..], [0.5, 1.0, -0.5, -1.0]),
            ("a.weight_scale", &[1], &[0.5], [0.5, 1.0, -0.5, -1.0]),
            ("a.weight_scale", &[2, 1], &[0.5, 3.0], [0.5, 1.0, -3.0, -6.0]),
        ] {
            let marker = tensor("scaled_fp8", "F8_E4M3", &[0], &[]);
            let file = of_tensors(&[weight(), tensor(name, "F32", shape, &floats(scale)), marker], &[]);
            let source = apply_scales(file.source).unwrap();
            assert_eq!(source.names(), ["a.weight"]);
            assert_eq!(source.info("a.weight").unwrap(), ((2, 2).into(), DType::F32));
            assert_eq!(source.stored_type("a.weight").unwrap(), "f8e4m3");
            let read = source.read("a.weight").unwrap();
            assert_eq!(read.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected);
            let mut rows = [0.0; 4];
            let (quantized, isa) = (source.quantized("a.weight").unwrap(), crate::kernels::Isa::all()[0]);
            rows.chunks_exact_mut(2).enumerate().for_each(|(i, row)| quantized.row(isa, i, row));
            assert_eq!(rows, expected);
        }
    }

    #[test]
    fn other_scales_are_refused_by_name() {
        for (name, shape) in [("a.weight_scale", &[2, 2][..]), ("a.weight_scale_inv", &[1]), ("a.weight.absmax", &[1])]
        {
            let scale = tensor(name, "F32", shape, &floats(&vec![1.0; shape.iter().product()]));
            let error = apply_scales(of_tensors(&[weight(), scale], &[]).source).err().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn files_without_scales_stay_as_they_are() {
        let source = apply_scales(of_tensors(&[weight()], &[]).source).unwrap();
        assert_eq!(source.info("a.weight").unwrap().1, DType::F8E4M3);
    }
}
