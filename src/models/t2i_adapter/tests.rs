//! What configs say, and arithmetic beside the convolutions; whole adapters are compared with diffusers in `tests/it/parity.rs`.

use candle_core::Device;

use super::*;
use crate::models::testing::config;

#[test]
fn results_are_those_that_unets_take() {
    let results = |name: &str| T2iAdapterConfig::from_json(&config(name)).unwrap().results();
    assert_eq!(results("adapter-sd15"), [(16, 8), (16, 16), (24, 32), (24, 64)]);
    assert_eq!(results("adapter-light"), [(16, 8), (16, 16), (24, 32), (24, 64)]);
    assert_eq!(results("adapter-sdxl"), [(16, 16), (24, 16), (32, 32), (32, 32)]);
}

#[test]
fn configs_that_are_not_understood_are_refused_by_name() {
    let refused = |json: &str| T2iAdapterConfig::from_json(json).unwrap_err().to_string();
    for (json, word) in [
        (r#"{"_class_name": "ControlNetModel"}"#, "ControlNetModel"),
        (r#"{"adapter_type": "half_adapter"}"#, "half_adapter"),
        (r#"{"in_channels": 4}"#, "in_channels"),
        (r#"{"channels": []}"#, "channels"),
        (r#"{"adapter_type": "light_adapter", "channels": [3]}"#, "channels"),
        (r#"{"downscale_factor": 12}"#, "downscale_factor"),
        (r#"{"downscale_factor": 128}"#, "downscale_factor"),
        (r#"{"num_res_blocks": 100000}"#, "num_res_blocks"),
    ] {
        let message = refused(json);
        assert!(message.contains(word) && message.contains("T2I-Adapter"), "{json}: {message}");
    }
}

#[test]
fn sizes_that_are_odd_are_halved_upwards() {
    let x = Tensor::new(&[1f32, 2., 3., 4., 5., 6., 7., 8., 9.], &Device::Cpu).unwrap().reshape((1, 1, 3, 3)).unwrap();
    let halved = halved(&x).unwrap();
    assert_eq!(halved.dims(), [1, 1, 2, 2]);
    assert_eq!(halved.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [3.0, 4.5, 7.5, 9.0]);
}
