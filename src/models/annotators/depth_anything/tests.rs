//! Against the original code and transformers.

use candle_core::Tensor;

use super::*;
use crate::models::testing::{close, expected_control, params_control};
use crate::weights::names::depth_anything;

fn network(positions: Positions) -> DepthAnything {
    let params = params_control("depth/depth_anything_v2_tiny.pth", Some(depth_anything::rename));
    // The tiny network has heads of 16.
    let config = DepthAnythingConfig { heads: 2, ..DepthAnythingConfig::of(&params, positions) };
    assert_eq!((config.width, config.depth, config.taken, config.places), (32, 4, [0, 1, 2, 3], 37));
    let network = DepthAnything::new(&config, &params).unwrap();
    params.finish().unwrap();
    network
}

fn depth(network: &DepthAnything, size: &str) -> Tensor {
    let picture = expected_control("depth/outputs.safetensors", &format!("input_{size}"));
    network.forward(&picture).unwrap().squeeze(1).unwrap()
}

#[test]
fn depths_are_those_of_the_original_code_and_of_transformers() {
    let expected = |name: String| expected_control("depth/outputs.safetensors", &name);
    let (original, transformers) = (network(Positions::TenthMore), network(Positions::Exact));
    let size = "56x126";
    close(&depth(&original, size), &expected(format!("depth_{size}")), 1e-4);
    close(&depth(&transformers, size), &expected(format!("hf_depth_{size}")), 1e-4);
}

#[test]
fn sides_are_whole_patches() {
    let picture = Tensor::zeros((1, 3, 28, 30), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    assert!(network(Positions::Exact).forward(&picture).is_err());
}
