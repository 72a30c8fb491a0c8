//! Weights that are quantised while they load, with LoRAs beside them.

use std::fs;

use serde_json::Value;

use crate::single_file::fixtures;
use crate::support::{pixels, psnr, Outcome, Sandbox};

fn paint(sandbox: &Sandbox, model: &str, more: &[&str]) -> Outcome {
    let model = fixtures().join("models").join(model);
    let fixed = ["generate", "a cat", "--model", model.to_str().unwrap(), "-W", "64", "-H", "64", "--steps", "2"];
    let seed = ["--seed", "5", "--device", "cpu", "--dtype", "f32"];
    sandbox.run(fixed.iter().chain(&seed).chain(more))
}

fn picture(sandbox: &Sandbox, model: &str, more: &[&str]) -> image::RgbImage {
    pixels(&paint(sandbox, model, &[more, &["-o", "-"]].concat()).succeeds().stdout)
}

/// Measured: 43.3 and 24.4, 56.1 and 38.2, 53.7 and 27.2 dB.
#[test]
fn quantised_models_paint_nearly_the_same() {
    let sandbox = Sandbox::new();
    for (model, least) in [("sd15", [42.8, 23.9]), ("flux-dev", [55.6, 37.7]), ("sd35", [53.2, 26.7])] {
        let plain = picture(&sandbox, model, &[]);
        let of = |kind: &str| psnr(&picture(&sandbox, model, &["--quantize", kind]), &plain);
        let found = [of("q8_0"), of("q4_0")];
        assert!(found[0] > least[0] && found[1] > least[1] && found[1] < least[0], "{model}: {found:?} dB");
    }
}

#[test]
fn what_was_quantised_is_said_and_kept() {
    let sandbox = Sandbox::new();
    for (kind, words) in [
        ("q8_0", &["unet", "linear layers quantised", "instead of", "text_encoder", "no whole blocks"][..]),
        ("q4_k", &["none of 18 linear layers quantised", "no rows are whole blocks"]),
    ] {
        paint(&sandbox, "sd15", &["--quantize", kind, "-o", "x.png"]).succeeds().says(words);
    }
    let plan = paint(&sandbox, "sd15", &["--quantize", "q8_0", "--dry-run"]).succeeds();
    let plan: Value = serde_json::from_str(plan.text()).unwrap();
    assert_eq!(plan["request"]["parts"]["quantize"], "q8_0");
    let plain: Value = serde_json::from_str(paint(&sandbox, "sd15", &["--dry-run"]).succeeds().text()).unwrap();
    assert!(plan["memory"]["peak"].as_u64().unwrap() < plain["memory"]["peak"].as_u64().unwrap());
}

/// Added beside the layers, a LoRA does to a quantised model what it does to the model itself. Measured: 46.5 and 17.3 dB.
#[test]
fn loras_stand_beside_quantised_weights() {
    let sandbox = Sandbox::new();
    let lora = "sd15-kohya.safetensors";
    fs::copy(fixtures().join("lora").join(lora), sandbox.path(lora)).unwrap();
    let (with, without) = (picture(&sandbox, "sd15", &["-l", lora]), picture(&sandbox, "sd15", &[]));
    let quantised = picture(&sandbox, "sd15", &["--quantize", "q8_0", "-l", lora]);
    let (near, far) = (psnr(&quantised, &with), psnr(&quantised, &without));
    assert!(near > 46.0 && far < 18.0, "{near} dB and {far} dB");
}
