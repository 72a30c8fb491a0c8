//! What the parity tests of all models share: the tiny models and reference values under `tests/fixtures`.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::nn::{ParamSource, Params, Precision};
use crate::testing::fixture;
use crate::weights;
use crate::weights::names::{Renamed, Target};

/// The text of `config.json` in a folder of a tiny model ("sd15/unet").
pub fn config(part: &str) -> String {
    std::fs::read_to_string(fixture("models").join(part).join("config.json")).unwrap()
}

/// The weights of a part of a tiny model.
pub fn source(part: &str, file: &str) -> Arc<dyn ParamSource> {
    weights::open(&fixture("models").join(part).join(file)).unwrap()
}

/// As [`source`], ready for a model on the CPU.
pub fn params(part: &str, file: &str, precision: Precision) -> Params {
    Params::new(source(part, file), precision, &Device::Cpu)
}

/// Reference values, by the name of their file.
pub struct Expected(Arc<dyn ParamSource>);

impl Expected {
    pub fn open(name: &str) -> Self {
        Expected(weights::open(&fixture(name)).unwrap())
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

/// Reference values of the annotators.
pub fn expected_control(file: &str, name: &str) -> Tensor {
    weights::open(&fixture("control").join(file)).unwrap().read(name).unwrap()
}

/// Weights of a tiny annotator, under other names if they are others.
pub fn params_control(file: &str, rename: Option<fn(&str) -> Vec<Target>>) -> Params {
    let source = weights::open(&fixture("control").join(file)).unwrap();
    let source = match rename {
        Some(rename) => Arc::new(Renamed::from_names(source, rename)),
        None => source,
    };
    Params::new(source, Precision::F32, &Device::Cpu)
}

/// The picture that annotators were run on, [1, 3, 96, 120], 0..255.
pub fn photo() -> Tensor {
    let picture = image::open(fixture("control/annotators/photo.png")).unwrap().into_rgb8();
    let shape = (1, picture.height() as usize, picture.width() as usize, 3);
    let values: Vec<f32> = picture.into_raw().into_iter().map(f32::from).collect();
    let rows = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    rows.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap()
}

/// That no value is farther from its reference than a part of the reference's standard deviation.
pub fn close(found: &Tensor, expected: &Tensor, part: f32) {
    let mean = expected.mean_all().unwrap();
    let variance = expected.broadcast_sub(&mean).unwrap().sqr().unwrap().mean_all().unwrap();
    let deviation = variance.sqrt().unwrap().to_scalar::<f32>().unwrap();
    let difference = max_difference(found, expected);
    assert!(difference <= part * deviation, "{difference} of a deviation of {deviation}");
}
