//! States against transformers, and what the config says.

use super::*;
use crate::models::testing::{config, max_difference, params, Expected};
use crate::nn::Precision;

/// Measured: 2.6e-6 at most.
const BOUND: f32 = 5e-6;

fn model(part: &str, precision: Precision) -> ClipTextModel {
    let config = ClipTextConfig::from_json(&config(part)).unwrap();
    let params = params(part, "model.safetensors", precision);
    let model = ClipTextModel::new(&config, &params).unwrap();
    assert_eq!(params.finish().unwrap(), Vec::<String>::new());
    model
}

fn check(part: &str, name: &str) {
    let expected = Expected::open("text_encoders.safetensors");
    let expected = |what: &str| expected.get(&format!("{name}.{what}"));
    let (model, ids) = (model(part, Precision::F32), expected("ids"));
    let embeds = model.embed_tokens(&ids).unwrap();
    let last = model.final_layer_norm(&model.forward(&embeds, 0).unwrap()).unwrap();
    let results = [
        ("penultimate", model.forward(&embeds, 1).unwrap()),
        ("pooled", model.pooled(&last, &ids).unwrap()),
        ("last", last),
    ];
    for (what, result) in results {
        let difference = max_difference(&result, &expected(what));
        assert!(difference < BOUND, "{name} {what}: {difference}");
    }
}

#[test]
fn states_equal_the_reference() {
    check("sd15/text_encoder", "sd15.text_encoder");
    check("sd21/text_encoder", "sd21.text_encoder");
    check("sdxl/text_encoder", "sdxl.text_encoder");
    check("sdxl/text_encoder_2", "sdxl.text_encoder_2");
}

#[test]
fn the_approximate_gelu_is_not_the_exact_one() {
    let expected = Expected::open("text_encoders.safetensors");
    let json = config("sd21/text_encoder").replace("\"gelu\"", "\"gelu_new\"");
    let params = params("sd21/text_encoder", "model.safetensors", Precision::F32);
    let model = ClipTextModel::new(&ClipTextConfig::from_json(&json).unwrap(), &params).unwrap();
    let state = model.forward(&model.embed_tokens(&expected.get("sd21.text_encoder.ids")).unwrap(), 1).unwrap();
    assert!(max_difference(&state, &expected.get("sd21.text_encoder.penultimate")) > 10.0 * BOUND);
}

#[test]
fn facts_come_from_the_config() {
    let model = model("sdxl/text_encoder_2", Precision::F32);
    assert_eq!((model.width(), model.num_layers(), model.max_positions(), model.pooled_width()), (48, 3, 77, 48));
}

#[test]
fn bf16_rounds_and_stays_close() {
    let ids = Expected::open("text_encoders.safetensors").get("sd15.text_encoder.ids");
    let states = [Precision::F32, Precision::Bf16].map(|precision| {
        let model = model("sd15/text_encoder", precision);
        model.forward(&model.embed_tokens(&ids).unwrap(), 0).unwrap()
    });
    let difference = max_difference(&states[0], &states[1]);
    assert!((1e-3..0.08).contains(&difference), "{difference}");
}

#[test]
fn the_end_of_the_text_is_its_first_end_token() {
    let mut model = model("sd15/text_encoder", Precision::F32);
    assert_eq!(model.end_of_text(&[0, 5, 799, 3, 799]), 2);
    model.config.eos_token_id = 3;
    assert_eq!(model.end_of_text(&[0, 5, 799, 3, 3]), 3);
}

#[test]
fn what_is_impossible_is_an_error() {
    let model = model("sd15/text_encoder", Precision::F32);
    let ids = |n: usize| Tensor::zeros((1, n), DType::U32, &candle_core::Device::Cpu).unwrap();
    let embeds = |n: usize| model.embed_tokens(&ids(n)).unwrap();
    assert!(model.forward(&embeds(78), 0).is_err());
    assert!(model.forward(&embeds(77), 4).is_err());
    assert!(model.forward(&embeds(3), 3).is_ok());
    assert!(model.embed_tokens(&(ids(1) + 800.0).unwrap()).is_err());
    assert!(ClipTextConfig::from_json(r#"{"hidden_act": "relu6"}"#).unwrap_err().to_string().contains("relu6"));
    assert!(ClipTextConfig::from_json(r#"{"num_attention_heads": 7}"#).is_err());
}
