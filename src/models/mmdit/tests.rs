//! Parity with diffusers on a tiny Stable Diffusion 3.5, and what must be refused.

use super::*;
use crate::models::testing::{config, max_difference, params, Expected};
use crate::nn::Precision;

fn model(precision: Precision) -> Mmdit {
    let params = params("sd35/transformer", "diffusion_pytorch_model.safetensors", precision);
    let config = MmditConfig::from_json(&config("sd35/transformer")).unwrap();
    let model = Mmdit::new(&config, &params).unwrap();
    assert_eq!(params.finish().unwrap(), Vec::<String>::new());
    model
}

fn output(model: &Mmdit, row: usize, skip: &[usize]) -> Result<Tensor> {
    let expected = Expected::open("transformers.safetensors");
    let get = |what: &str| expected.get(&format!("sd35.{what}")).narrow(0, row, 1);
    let (sample, text) = (get("sample")?, get("encoder_hidden_states")?);
    let (timestep, pooled) = ([981.0, 17.0][row], get("pooled_projections")?);
    model.forward(&MmditInput { sample: &sample, timestep, text: &text, pooled: &pooled, skip })
}

fn difference(model: &Mmdit, row: usize) -> f32 {
    let expected = Expected::open("transformers.safetensors").get("sd35.output").narrow(0, row, 1).unwrap();
    max_difference(&output(model, row, &[]).unwrap(), &expected)
}

/// Measured: 2.1e-6.
#[test]
fn outputs_equal_the_reference() {
    let model = model(Precision::F32);
    for row in 0..2 {
        let difference = difference(&model, row);
        assert!(difference < 4e-6, "{row}: {difference}");
    }
}

#[test]
fn bf16_rounds_and_stays_close() {
    let difference = difference(&model(Precision::Bf16), 0);
    assert!((1e-3..0.1).contains(&difference), "{difference}");
}

#[test]
fn a_block_that_is_skipped_changes_nothing_else() {
    let (model, mut without) = (model(Precision::F32), model(Precision::F32));
    without.transformer_blocks.remove(1);
    let skipped = output(&model, 0, &[1]).unwrap();
    assert_eq!(max_difference(&skipped, &output(&without, 0, &[]).unwrap()), 0.0);
    assert!(max_difference(&skipped, &output(&model, 0, &[]).unwrap()) > 0.01);
}

#[test]
fn what_the_network_does_not_compute_is_refused() {
    let model = model(Precision::F32);
    let input = |height, width| {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &candle_core::Device::Cpu).unwrap();
        let (sample, text, pooled) = (zeros(&[1, 16, height, width]), zeros(&[1, 3, 88]), zeros(&[1, 72]));
        model.forward(&MmditInput { sample: &sample, timestep: 1.0, text: &text, pooled: &pooled, skip: &[] })
    };
    assert!(input(5, 4).unwrap_err().to_string().contains("whole patches"));
    assert!(input(4, 50).unwrap_err().to_string().contains("24x24 places"));
    let refused = |json: &str| MmditConfig::from_json(json).unwrap_err().to_string();
    assert!(refused(r#"{"qk_norm": "layer_norm"}"#).contains("`qk_norm`"));
    assert!(refused(r#"{"caption_projection_dim": 64}"#).contains("width 64"));
}
