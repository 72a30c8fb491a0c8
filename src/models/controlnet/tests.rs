//! Parity with diffusers on tiny ControlNets, and what must be refused.

use candle_core::Device;

use super::*;
use crate::models::testing::{config, max_difference, params, Expected};
use crate::models::unet::AddedCond;
use crate::nn::Precision;

fn model(name: &str, change: impl FnOnce(&str) -> String, precision: Precision) -> ControlNetModel {
    let part = format!("controlnet-{name}");
    let params = params(&part, "diffusion_pytorch_model.safetensors", precision);
    let config = ControlNetConfig::from_json(&change(&config(&part))).unwrap();
    let model = ControlNetModel::new(&config, &params).unwrap();
    assert_eq!(params.finish().unwrap(), Vec::<String>::new());
    model
}

/// What the network makes of the stored input.
fn residuals(model: &ControlNetModel, name: &str, scales: &[f64]) -> Result<Vec<Tensor>> {
    let expected = Expected::open("controlnet.safetensors");
    let get = |what: &str| expected.get(&format!("{name}.{what}"));
    let added = (name == "sdxl").then(|| (get("text_embeds"), get("time_ids")));
    let (sample, text) = (get("sample"), model.prepare(&get("text"))?);
    let input = UNetInput {
        sample: &sample,
        timestep: 601.0,
        text: &text,
        added: added.as_ref().map(|(text_embeds, time_ids)| AddedCond { text_embeds, time_ids }),
        timestep_cond: None,
        residuals: None,
        features: &[],
    };
    let Residuals { mut down, mid } = model.forward(&input, &[(&model.look(&get("picture"), None)?, 1.0)], scales)?;
    down.push(mid);
    Ok(down)
}

/// The greatest difference from the stored residuals, which are the last ones of all.
fn difference(residuals: &[Tensor], name: &str, stored: usize) -> f32 {
    let expected = Expected::open("controlnet.safetensors");
    let last = &residuals[residuals.len() - stored..];
    let of = |(i, residual): (usize, &Tensor)| max_difference(residual, &expected.get(&format!("{name}.{i}")));
    last.iter().enumerate().map(of).fold(0.0, f32::max)
}

/// Measured: 1.9e-5; the residuals reach 12.
#[test]
fn residuals_equal_the_reference() {
    for (name, count) in [("sd15", 13), ("sdxl", 10)] {
        let model = model(name, str::to_string, Precision::F32);
        assert_eq!(model.residuals(), count);
        let residuals = residuals(&model, name, &vec![1.0; count]).unwrap();
        let difference = difference(&residuals, &format!("{name}.plain"), count);
        assert!(difference < 4e-5, "{name}: {difference}");
    }
}

#[test]
fn each_residual_has_its_scale() {
    let model = model("sd15", str::to_string, Precision::F32);
    let scales: Vec<f64> = (0..13).map(|i| 0.7 * 10f64.powf(f64::from(i) / 12.0 - 1.0)).collect();
    let guessed = residuals(&model, "sd15", &scales).unwrap();
    let difference = difference(&guessed, "sd15.guess", 2);
    assert!(difference < 1e-5, "{difference}");
    assert!(residuals(&model, "sd15", &scales[1..]).unwrap_err().to_string().contains("12 scales for 13 residuals"));
}

#[test]
fn channels_may_be_turned_round() {
    let model = model("sd15", |json| json.replace("\"rgb\"", "\"bgr\""), Precision::F32);
    let difference = difference(&residuals(&model, "sd15", &[1.0; 13]).unwrap(), "sd15.bgr", 1);
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn what_counts_may_be_the_mean() {
    let pooled = |json: &str| json.replace("\"global_pool_conditions\": false", "\"global_pool_conditions\": true");
    let model = model("sd15", pooled, Precision::F32);
    assert!(model.config().pools());
    let residuals = residuals(&model, "sd15", &[0.7; 13]).unwrap();
    assert_eq!(residuals[0].dims(), [1, 16, 1, 1]);
    let difference = difference(&residuals, "sd15.pooled", 13);
    assert!(difference < 1e-5, "{difference}");
}

/// Measured: 0.13.
#[test]
fn half_precision_stays_close() {
    let residuals = residuals(&model("sd15", str::to_string, Precision::Bf16), "sd15", &[1.0; 13]).unwrap();
    let difference = difference(&residuals, "sd15.plain", 13);
    assert!(difference < 0.25, "{difference}");
}

#[test]
fn configs_that_are_not_understood_are_refused_by_name() {
    let refused = |from: &str, to: &str| {
        let json = config("controlnet-sd15");
        assert!(json.contains(from), "{from}");
        ControlNetConfig::from_json(&json.replace(from, to)).unwrap_err().to_string()
    };
    for (from, to, word) in [
        ("\"conditioning_channels\": 3", "\"conditioning_channels\": 4", "conditioning_channels"),
        ("\"ControlNetModel\"", "\"ControlNetXSAdapter\"", "ControlNetXSAdapter"),
        ("\"rgb\"", "\"grb\"", "grb"),
        ("\"CrossAttnDownBlock2D\"", "\"AttnDownBlock2D\"", "AttnDownBlock2D"),
        ("\"norm_num_groups\": 8", "\"norm_num_groups\": 7", "7 groups"),
        ("\"num_class_embeds\": null", "\"num_class_embeds\": 3", "num_class_embeds"),
    ] {
        let message = refused(from, to);
        assert!(message.contains(word) && message.contains("ControlNet"), "{to}: {message}");
    }
    assert!(ControlNetConfig::from_json("{\"conditioning_embedding_out_channels\": []}").is_err());
    let picture = Tensor::zeros((1, 4, 8, 8), DType::F32, &Device::Cpu).unwrap();
    assert!(model("sd15", str::to_string, Precision::F32).look(&picture, None).is_err());
}
