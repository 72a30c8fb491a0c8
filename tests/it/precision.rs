use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use crate::support::{difference, pixels, replace, Sandbox};

const LINE: &[&str] =
    &["generate", "a red apple", "--model", "model", "--steps", "4", "--seed", "7", "-d", "cpu", "-o", "-"];

/// Makes the VAE's first activations as large as those of the original SDXL VAE, which f16 cannot hold.
fn enlarge(model: &Path) {
    let file = model.join("vae/diffusion_pytorch_model.safetensors");
    let mut tensors: HashMap<String, Tensor> = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    for name in ["decoder.conv_in.weight", "decoder.conv_in.bias"] {
        let large = (tensors[name].to_dtype(DType::F32).unwrap() * 1e6).unwrap();
        tensors.insert(name.into(), large);
    }
    candle_core::safetensors::save(&tensors, &file).unwrap();
}

#[test]
fn a_vae_that_overflows_in_half_precision_is_repeated_in_f32_and_said() {
    let sandbox = Sandbox::new();
    let model = sandbox.model();
    enlarge(&model);
    replace(&model.join("vae/config.json"), "\"force_upcast\": true", "\"force_upcast\": false");
    let half = sandbox.run(LINE.iter().chain(&["--dtype", "f16"])).succeeds().says(&["f16", "again in f32"]);
    let full = sandbox.run(LINE.iter().chain(&["--dtype", "f32"])).succeeds();
    assert!(!full.stderr.contains("again"), "{}", full.stderr);
    // The UNet still ran in f16: near the f32 picture, which a broken decode is not.
    let (_, mean) = difference(&pixels(&half.stdout), &pixels(&full.stdout));
    assert!(mean < 2.0, "mean {mean}");
}

#[test]
fn a_vae_whose_config_says_that_it_overflows_is_never_tried_in_f16() {
    let sandbox = Sandbox::new();
    enlarge(&sandbox.model());
    let outcome = sandbox.run(LINE.iter().chain(&["--dtype", "f16"])).succeeds().says(&["VAE", "f32"]);
    assert!(!outcome.stderr.contains("again"), "{}", outcome.stderr);
}

/// The bound of the design: bf16 stays above 30 dB of the f32 picture on the built-in model.
#[test]
fn bf16_pictures_are_near_those_of_f32() {
    let sandbox = Sandbox::new();
    for prompt in ["a red apple", "rocket", "blue heart"] {
        let paint = |dtype: &str| {
            let line = ["generate", prompt, "--steps", "20", "--seed", "3", "-d", "cpu", "--dtype", dtype, "-o", "-"];
            pixels(&sandbox.run(line).succeeds().stdout)
        };
        let (a, b) = (paint("f32"), paint("bf16"));
        let squares = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
        let mean = squares.sum::<f64>() / a.as_raw().len() as f64;
        let psnr = 10.0 * (255.0f64.powi(2) / mean.max(1e-9)).log10();
        assert!(psnr > 30.0, "{prompt}: {psnr:.1} dB");
    }
}
