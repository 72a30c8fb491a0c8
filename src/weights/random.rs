//! Weights drawn at random, for networks whose speed matters and not what they compute.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::WeightsError;
use crate::nn::ParamSource;

/// Values drawn from one generator; the next ones come from another, so that threads share the work.
const CHUNK: usize = 1 << 16;

/// Weights of any network: each tensor has the shape that is asked for, and its name decides its values. They are handed out in f16,
/// as most models are published, and made when they are read: there is no second copy of them.
///
/// Matrices and kernels are uniform within `1 / sqrt(inputs)`, as layers of torch begin; norms do nothing; biases are zero.
pub struct RandomWeights {
    label: String,
    shapes: Mutex<BTreeMap<String, Shape>>,
}

impl RandomWeights {
    /// Weights that messages call `label`; those of another label are others. `present` are tensors that the network takes only
    /// where they are.
    #[must_use]
    pub fn new(label: &str, present: &[(&str, &[usize])]) -> Self {
        let present = present.iter().map(|(name, shape)| ((*name).to_string(), Shape::from_dims(shape)));
        RandomWeights { label: label.into(), shapes: Mutex::new(present.collect()) }
    }

    fn shapes(&self) -> MutexGuard<'_, BTreeMap<String, Shape>> {
        self.shapes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ParamSource for RandomWeights {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn names(&self) -> Vec<String> {
        self.shapes().keys().cloned().collect()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        self.shapes().get(name).map(|shape| (shape.clone(), DType::F16))
    }

    fn want(&self, name: &str, shape: &Shape) {
        self.shapes().entry(name.into()).or_insert_with(|| shape.clone());
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let bad = |reason: String| WeightsError::BadTensor { file: self.label.clone(), tensor: name.into(), reason };
        let (shape, _) = self.info(name).ok_or_else(|| bad("no network has asked for it".into()))?;
        let values = match shape.rank() {
            0 | 1 => vec![if name.ends_with("bias") { f16::ZERO } else { f16::ONE }; shape.elem_count()],
            _ => {
                let inputs = shape.dims().iter().skip(1).product::<usize>();
                uniform(shape.elem_count(), (inputs.max(1) as f32).sqrt().recip(), seed(&self.label, name))
            }
        };
        Tensor::from_vec(values, shape, &Device::Cpu).map_err(|e| bad(e.to_string()))
    }
}

/// `count` values within `bound`.
fn uniform(count: usize, bound: f32, seed: u64) -> Vec<f16> {
    let mut values = vec![f16::ZERO; count];
    values.par_chunks_mut(CHUNK).enumerate().for_each_init(
        || vec![0f32; CHUNK],
        |wide, (index, chunk)| {
            let mut rng = fastrand::Rng::with_seed(seed.wrapping_add(index as u64));
            for four in wide[..chunk.len()].chunks_mut(4) {
                let bits = rng.u64(..).to_le_bytes();
                let draws = bits.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])));
                four.iter_mut().zip(draws).for_each(|(value, draw)| *value = draw * (bound / 32768.0));
            }
            chunk.convert_from_f32_slice(&wide[..chunk.len()]);
        },
    );
    values
}

/// The same for the same names on every machine: FNV-1a.
fn seed(label: &str, name: &str) -> u64 {
    let bytes = label.bytes().chain([0]).chain(name.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::models::testing::config;
    use crate::models::unet::{UNet2DConditionModel, UNetConfig, UNetInput};
    use crate::nn::{Params, Precision};

    fn values(source: &RandomWeights, name: &str, shape: &[usize]) -> Vec<f32> {
        source.want(name, &Shape::from_dims(shape));
        let tensor = source.read(name).unwrap();
        assert_eq!((tensor.dims(), tensor.dtype()), (shape, DType::F16));
        tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn values_are_those_of_their_name() {
        let source = RandomWeights::new("a", &[]);
        let drawn = values(&source, "x.weight", &[300, 16, 5, 5]);
        let bound = 0.05;
        let (low, high) = drawn.iter().fold((0f32, 0f32), |(low, high), x| (low.min(*x), high.max(*x)));
        assert!(low < -0.999 * bound && low >= -bound && high > 0.999 * bound && high <= bound, "{low} {high}");
        let mean = drawn.iter().map(|x| f64::from(*x)).sum::<f64>() / drawn.len() as f64;
        assert!(mean.abs() < 4.0 * 0.05 / (3.0 * drawn.len() as f64).sqrt(), "{mean}");
        assert_ne!(drawn[..CHUNK / 2], drawn[CHUNK..CHUNK + CHUNK / 2], "each chunk is another");
        assert_eq!(values(&RandomWeights::new("a", &[]), "x.weight", &[300, 16, 5, 5]), drawn);
        assert_ne!(values(&source, "y.weight", &[300, 16, 5, 5]), drawn);
        assert_ne!(values(&RandomWeights::new("b", &[]), "x.weight", &[300, 16, 5, 5]), drawn);
        assert_eq!(
            (values(&source, "norm.weight", &[2]), values(&source, "norm.bias", &[2])),
            (vec![1.0; 2], vec![0.0; 2])
        );
    }

    #[test]
    fn nothing_is_there_before_it_is_wanted() {
        let source = RandomWeights::new("a", &[("extra.weight", &[2, 3])]);
        assert_eq!(source.names(), ["extra.weight"]);
        assert!(source.info("x").is_none() && source.read("x").is_err());
        assert_eq!(source.read("extra.weight").unwrap().dims(), [2, 3]);
    }

    #[test]
    fn a_network_finds_all_it_needs() {
        let unet = UNetConfig::from_json(&config("sd15/unet")).unwrap();
        let params = Params::new(Arc::new(RandomWeights::new("random unet", &[])), Precision::F32, &Device::Cpu);
        let model = UNet2DConditionModel::new(&unet, &params).unwrap();
        assert_eq!(params.finish().unwrap(), Vec::<String>::new());
        let context = match unet.cross_attention_dim {
            crate::models::OneOrMany::One(width) => width,
            crate::models::OneOrMany::Many(widths) => widths[0],
        };
        let text = model.prepare(&Tensor::ones((1, 77, context), DType::F32, &Device::Cpu).unwrap()).unwrap();
        let input = UNetInput {
            sample: &Tensor::ones((1, 4, 16, 16), DType::F32, &Device::Cpu).unwrap(),
            timestep: 500.0,
            text: &text,
            added: None,
            timestep_cond: None,
            residuals: None,
            features: &[],
        };
        let output = model.forward(&input).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let largest = output.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        assert!(output.iter().all(|x| x.is_finite()) && (1e-3..1e3).contains(&largest), "{largest}");
    }
}
