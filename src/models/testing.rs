//! What the parity tests of all models share: the tiny models and reference values under `tests/fixtures`.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::nn::{ParamSource, Params, Precision};
use crate::weights;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The text of `config.json` in a folder of a tiny model ("sd15/unet").
pub fn config(part: &str) -> String {
    std::fs::read_to_string(path("models").join(part).join("config.json")).unwrap()
}

/// The weights of a part of a tiny model.
pub fn source(part: &str, file: &str) -> Arc<dyn ParamSource> {
    weights::open(&path("models").join(part).join(file)).unwrap()
}

/// As [`source`], ready for a model on the CPU.
pub fn params(part: &str, file: &str, precision: Precision) -> Params {
    Params::new(source(part, file), precision, &Device::Cpu)
}

/// Reference values, by the name of their file.
pub struct Expected(Arc<dyn ParamSource>);

impl Expected {
    pub fn open(name: &str) -> Self {
        Expected(weights::open(&path(name)).unwrap())
    }

    pub fn get(&self, name: &str) -> Tensor {
        self.0.read(name).unwrap()
    }
}

/// The greatest absolute difference between the values of two tensors of one shape.
pub fn max_difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    assert_eq!((a.dtype(), b.dtype()), (DType::F32, DType::F32));
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}
