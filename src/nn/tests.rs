//! What holds for all layers together.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use candle_core::{DType, Device, Shape, Tensor};

use super::{
    scaled_dot_product_attention, AttentionMethod, Conv2d, Conv2dConfig, Linear, ParamSource, Params, Precision,
};
use crate::weights::WeightsError;

/// Where the child process of the test below puts its checksum.
const CHECKSUM_FILE: &str = "SDGEN_TEST_CHECKSUM_FILE";

pub(super) fn wave(shape: &[usize], speed: f32) -> Tensor {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec((0..n).map(|i| (i as f32 * speed).sin()).collect(), shape, &Device::Cpu).unwrap()
}

/// The same around another mean than zero.
pub(super) fn wave_around(shape: &[usize], speed: f32, mean: f64) -> Tensor {
    (wave(shape, speed) + mean).unwrap()
}

pub(super) fn max_difference(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
}

/// Tensors in memory.
pub(super) struct Fake(pub(super) HashMap<String, Tensor>);

impl ParamSource for Fake {
    fn label(&self) -> String {
        "fake.safetensors".into()
    }
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        self.0.get(name).map(|t| (t.shape().clone(), t.dtype()))
    }
    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        Ok(self.0[name].clone())
    }
}

/// Weights of these names and shapes, f32.
pub(super) fn params(tensors: &[(&str, &[usize])]) -> Params {
    params_in(Precision::F32, tensors)
}

fn params_in(precision: Precision, tensors: &[(&str, &[usize])]) -> Params {
    let tensors = tensors.iter().map(|(name, shape)| ((*name).to_string(), wave(shape, 0.37))).collect();
    Params::new(Arc::new(Fake(tensors)), precision, &Device::Cpu)
}

/// A checksum of products large enough to be divided among threads.
fn checksum() -> u64 {
    let mut results = Vec::new();
    for precision in [Precision::F32, Precision::Bf16] {
        // As one product, and wide enough for Winograd's method where pixels are transformed for all tasks and by each.
        for (inputs, outputs, height) in [(48, 40, 33), (104, 112, 6), (104, 400, 33)] {
            let conv = params_in(precision, &[("weight", &[outputs, inputs, 3, 3]), ("bias", &[outputs])]);
            let conv = Conv2d::new(inputs, outputs, Conv2dConfig::SAME_3X3, &conv).unwrap();
            results.push(conv.forward(&wave(&[2, inputs, height, 37], 0.11)));
        }
        let linear = params_in(precision, &[("weight", &[1024, 768])]);
        results.push(Linear::without_bias(768, 1024, &linear).unwrap().forward(&wave(&[77, 768], 0.11)));
        let (q, k, v) = (wave(&[1, 300, 80], 0.3), wave(&[1, 500, 80], 0.2), wave(&[1, 500, 80], 0.7));
        results.push(scaled_dot_product_attention([&q, &k, &v], 2, None, precision, false, AttentionMethod::Auto));
    }
    let mut hasher = DefaultHasher::new();
    for result in results {
        let values = result.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
    }
    hasher.finish()
}

/// The pool of threads is made once a process, so each number of threads takes a process: this test again, as a child.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    if let Some(file) = std::env::var_os(CHECKSUM_FILE) {
        return std::fs::write(Path::new(&file), checksum().to_string()).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let sums = ["1", "2", "5"].map(|threads| {
        let file = folder.path().join(threads);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nn::tests::results_do_not_depend_on_the_number_of_threads", "--quiet"])
            .env("RAYON_NUM_THREADS", threads)
            .env(CHECKSUM_FILE, &file)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
        std::fs::read_to_string(file).unwrap()
    });
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
}
