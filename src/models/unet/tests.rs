//! Parity with diffusers on tiny UNets, and what must be refused.

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::models::testing::{config, max_difference, params, Expected};
use crate::nn::Precision;

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

fn model(part: &str, precision: Precision) -> UNet2DConditionModel {
    let params = params(part, WEIGHTS, precision);
    let model = UNet2DConditionModel::new(&UNetConfig::from_json(&config(part)).unwrap(), &params).unwrap();
    assert_eq!(params.finish().unwrap(), Vec::<String>::new());
    model
}

/// Inputs that own their tensors.
struct Inputs {
    sample: Tensor,
    timestep: f64,
    text: Tensor,
    added: Option<(Tensor, Tensor)>,
}

impl Inputs {
    /// The row `row` of the inputs stored under `name`.
    fn row(expected: &Expected, name: &str, row: usize, timestep: f64, added: bool) -> Self {
        let get = |what: &str| expected.get(&format!("{name}.{what}")).narrow(0, row, 1).unwrap();
        let added = added.then(|| (get("text_embeds"), get("time_ids")));
        Inputs { sample: get("sample"), timestep, text: get("encoder_hidden_states"), added }
    }

    /// What `model` makes of them.
    fn run(&self, model: &UNet2DConditionModel) -> Result<Tensor> {
        model.forward(&self.borrow(&model.prepare(&self.text)?))
    }

    fn borrow<'a>(&'a self, text: &'a PreparedText) -> UNetInput<'a> {
        UNetInput {
            sample: &self.sample,
            timestep: self.timestep,
            text,
            added: self.added.as_ref().map(|(text_embeds, time_ids)| AddedCond { text_embeds, time_ids }),
            timestep_cond: None,
            residuals: None,
            features: &[],
        }
    }
}

/// Measured: 1.9e-5 at most, 1e-5 for all but the tiny SDXL; outputs are about 3.
#[test]
fn outputs_equal_the_reference() {
    let expected = Expected::open("denoisers.safetensors");
    for name in ["sd15", "sd15-inpaint", "sd21", "sdxl", "sdxl-turbo"] {
        let model = model(&format!("{name}/unet"), Precision::F32);
        for (row, timestep) in [981.0, 17.0].into_iter().enumerate() {
            let inputs = Inputs::row(&expected, name, row, timestep, name.starts_with("sdxl"));
            let output = inputs.run(&model).unwrap();
            let difference =
                max_difference(&output, &expected.get(&format!("{name}.output")).narrow(0, row, 1).unwrap());
            assert!(difference < 4e-5, "{name} at {timestep}: {difference}");
        }
    }
}

/// Measured: 7.8e-5 at most (3.8e-5 without fused multiply-add), in blocks whose values reach 20.
#[test]
fn every_block_of_sdxl_equals_the_reference() {
    let expected = Expected::open("unet_blocks.safetensors");
    let inputs = Inputs::row(&expected, "sdxl", 0, 601.0, true);
    let mut seen = 0;
    let compare = |name: &str, x: &Tensor| {
        let difference = max_difference(x, &expected.get(name));
        assert!(difference < 1e-4, "{name}: {difference}");
    };
    let model = model("sdxl/unet", Precision::F32);
    let text = model.prepare(&inputs.text).unwrap();
    let output = model.forward_observed(&inputs.borrow(&text), |block, number, x| {
        compare(&format!("sdxl.{block}.{number}"), x);
        seen += 1;
    });
    compare("sdxl.output", &output.unwrap());
    assert_eq!(seen, 8);
}

/// Measured: 5e-6.
#[test]
fn sides_that_cannot_be_halved_come_back() {
    let expected = Expected::open("unet_blocks.safetensors");
    let inputs = Inputs::row(&expected, "sd15", 0, 301.0, false);
    let output = inputs.run(&model("sd15/unet", Precision::F32)).unwrap();
    let difference = max_difference(&output, &expected.get("sd15.odd"));
    assert!(difference < 2e-5, "{difference}");
}

/// The residuals that `tools/reference/unet_values.py` gave to diffusers.
fn residuals(model: &UNet2DConditionModel, inputs: &Inputs) -> Residuals {
    let wave = |like: &Tensor, i: usize| {
        let values = (0..like.elem_count()).map(|n| ((n + i) % 7) as f32 / 16.0).collect();
        Tensor::from_vec(values, like.shape(), &Device::Cpu).unwrap()
    };
    let text = model.prepare(&inputs.text).unwrap();
    let (time, x) = model.encoder.enter(&inputs.borrow(&text)).unwrap();
    let Encoded { output: x, skips } =
        model.encoder.descend(x, &time, (&text.encoder, &[]), &mut |_, _, _| {}).unwrap();
    Residuals { down: skips.iter().enumerate().map(|(i, x)| wave(x, i)).collect(), mid: wave(&x, skips.len()) }
}

/// Measured: 5e-6.
#[test]
fn residuals_are_added_and_counted() {
    let expected = Expected::open("unet_blocks.safetensors");
    let inputs = Inputs::row(&expected, "sd15", 0, 301.0, false);
    let model = model("sd15/unet", Precision::F32);
    let text = model.prepare(&inputs.text).unwrap();
    let mut residuals = residuals(&model, &inputs);
    let output = model.forward(&UNetInput { residuals: Some(&residuals), ..inputs.borrow(&text) }).unwrap();
    let difference = max_difference(&output, &expected.get("sd15.residuals"));
    assert!(difference < 2e-5, "{difference}");

    residuals.down.pop();
    let error = model.forward(&UNetInput { residuals: Some(&residuals), ..inputs.borrow(&text) }).unwrap_err();
    assert!(error.to_string().contains("11 residuals do not fit a UNet with 12"), "{error}");
}

/// Measured: 7e-7.
#[test]
fn rare_features_equal_the_reference() {
    let expected = Expected::open("unet_blocks.safetensors");
    let (sample, text) = (expected.get("rare.sample"), expected.get("rare.encoder_hidden_states"));
    let cond = expected.get("rare.timestep_cond");
    let model = model("unet-rare", Precision::F32);
    let inputs = Inputs { sample, timestep: 33.5, text, added: None };
    let text = model.prepare(&inputs.text).unwrap();
    assert!(inputs.run(&model).unwrap_err().to_string().contains("timestep_cond"));
    let output = model.forward(&UNetInput { timestep_cond: Some(&cond), ..inputs.borrow(&text) }).unwrap();
    let difference = max_difference(&output, &expected.get("rare.output"));
    assert!(difference < 3e-6, "{difference}");
}

#[test]
fn a_text_belongs_to_its_network() {
    let inputs = Inputs::row(&Expected::open("denoisers.safetensors"), "sd15", 0, 17.0, false);
    let (sd15, rare) = (model("sd15/unet", Precision::F32), model("unet-rare", Precision::F32));
    let mut text = sd15.prepare(&inputs.text).unwrap();
    text.encoder.down[0][0].clear();
    assert!(sd15.forward(&inputs.borrow(&text)).unwrap_err().to_string().contains("another network"));
    text.encoder.down[0].clear();
    assert!(sd15.forward(&inputs.borrow(&text)).unwrap_err().to_string().contains("another network"));
    assert!(rare.prepare(&inputs.text).is_err());
}

#[test]
fn half_precision_stays_close_on_the_cpu() {
    let expected = Expected::open("denoisers.safetensors");
    let inputs = Inputs::row(&expected, "sd15", 0, 981.0, false);
    let exact = inputs.run(&model("sd15/unet", Precision::F32)).unwrap();
    for (precision, range) in [(Precision::Bf16, 5e-3..0.1), (Precision::F16, 5e-4..0.01)] {
        let output = inputs.run(&model("sd15/unet", precision)).unwrap();
        let difference = max_difference(&exact, &output);
        assert!(range.contains(&difference), "{precision:?}: {difference}");
    }
}

#[test]
fn sdxl_needs_its_sizes_and_others_take_none() {
    let expected = Expected::open("denoisers.safetensors");
    let sdxl = Inputs::row(&expected, "sdxl", 0, 17.0, true);
    let without = Inputs { added: None, ..Inputs::row(&expected, "sdxl", 0, 17.0, true) };
    assert!(without.run(&model("sdxl/unet", Precision::F32)).is_err());
    let sd15 = Inputs { added: sdxl.added, ..Inputs::row(&expected, "sd15", 0, 17.0, false) };
    assert!(sd15.run(&model("sd15/unet", Precision::F32)).is_err());
}

/// Measured: 12 of 1635 values differ by more than 1e-6, by 5.9e-5 at most: two frequencies whose last bit torch's `exp` misses.
/// With angles that are not rounded to f32, most values differ at the late timesteps.
#[test]
fn timestep_embeddings_equal_the_reference() {
    let expected = Expected::open("unet_blocks.safetensors");
    let values = [999.0, 981.0, 500.5, 1.0, 0.0];
    let mut off = 0;
    for (width, flip, shift) in [(320, true, 0.0), (7, false, 1.0)] {
        let embedding = crate::nn::timestep_embedding(&values, width, flip, shift, &Device::Cpu).unwrap();
        let expected = expected.get(&format!("timesteps.{width}"));
        assert!(max_difference(&embedding, &expected) < 7e-5);
        let differences = (embedding - expected).unwrap().abs().unwrap().flatten_all().unwrap();
        off += differences.to_vec1::<f32>().unwrap().iter().filter(|difference| **difference > 1e-6).count();
    }
    assert!(off <= 12, "{off}");
}

#[test]
fn the_guidance_embedding_is_that_of_diffusers() {
    let like = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    let embedding = guidance_embedding(8.5, 4, &like).unwrap().to_vec2::<f32>().unwrap();
    let expected = [7500f64.sin(), 0.75f64.sin(), 7500f64.cos(), 0.75f64.cos()];
    for (got, want) in embedding[0].iter().zip(expected) {
        assert!((f64::from(*got) - want).abs() < 1e-6, "{got} is not {want}");
    }
}

#[test]
fn what_would_change_the_result_is_refused_by_name() {
    let refused = [
        ("class_embed_type", "\"timestep\""),
        ("num_class_embeds", "1000"),
        ("encoder_hid_dim", "768"),
        ("encoder_hid_dim_type", "\"image_proj\""),
        ("resnet_time_scale_shift", "\"scale_shift\""),
        ("dual_cross_attention", "true"),
        ("only_cross_attention", "[true, false, false, false]"),
        ("mid_block_only_cross_attention", "true"),
        ("attention_type", "\"gated\""),
        ("act_fn", "\"gelu\""),
        ("time_embedding_type", "\"fourier\""),
        ("time_embedding_act_fn", "\"silu\""),
        ("timestep_post_act", "\"silu\""),
        ("mid_block_scale_factor", "1.5"),
        ("num_attention_heads", "8"),
        ("cross_attention_norm", "\"layer_norm\""),
        ("class_embeddings_concat", "true"),
        ("resnet_skip_time_act", "true"),
        ("resnet_out_scale_factor", "2"),
        ("addition_embed_type", "\"image\""),
        ("mid_block_type", "\"UNetMidBlock2DSimpleCrossAttn\""),
        ("down_block_types", "[\"KDownBlock2D\", \"DownBlock2D\", \"DownBlock2D\", \"DownBlock2D\"]"),
        ("up_block_types", "[\"AttnUpBlock2D\", \"UpBlock2D\", \"UpBlock2D\", \"UpBlock2D\"]"),
    ];
    for (field, value) in refused {
        let error = UNetConfig::from_json(&format!("{{\"{field}\": {value}}}")).unwrap_err();
        assert!(error.to_string().contains(&format!("`{field}`")), "{field}: {error}");
    }
    let harmless = r#"{"act_fn": "swish", "only_cross_attention": [false, false, false, false], "mid_block_scale_factor": 1.0,
        "class_embed_type": null, "_class_name": "UNet2DConditionModel"}"#;
    UNetConfig::from_json(harmless).unwrap();
}

#[test]
fn contradictions_are_errors() {
    for json in [
        "{",
        r#"{"block_out_channels": []}"#,
        r#"{"block_out_channels": [30, 60, 60, 60]}"#,
        r#"{"norm_num_groups": 0}"#,
        r#"{"attention_head_dim": 7}"#,
        r#"{"attention_head_dim": [8, 8]}"#,
        r#"{"attention_head_dim": 0}"#,
        r#"{"layers_per_block": [2, 2]}"#,
        r#"{"up_block_types": ["UpBlock2D"]}"#,
        r#"{"transformer_layers_per_block": [1, 1]}"#,
        r#"{"transformer_layers_per_block": [[1, 1], 1, 1, 1]}"#,
        r#"{"addition_embed_type": "text_time"}"#,
        r#"{"conv_in_kernel": 4}"#,
        r#"{"freq_shift": 1000}"#,
    ] {
        let error = UNetConfig::from_json(json).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::exit_code::MODEL, "{json}: {error}");
    }
}

#[test]
fn a_file_that_lacks_a_block_is_named_by_its_tensors() {
    let json = config("sd15/unet").replace("\"layers_per_block\": 2", "\"layers_per_block\": 3");
    let params = params("sd15/unet", WEIGHTS, Precision::F32);
    UNet2DConditionModel::new(&UNetConfig::from_json(&json).unwrap(), &params).unwrap();
    let message = params.finish().unwrap_err().to_string();
    assert!(message.contains("down_blocks.0.resnets.2.norm1.weight") && message.contains(" more"), "{message}");
}
