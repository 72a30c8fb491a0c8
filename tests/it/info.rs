//! `sdgen info`: what files say about themselves.

use std::fs;
use std::path::Path;

use sdgen::error::exit_code;
use serde_json::{json, Value};

use crate::support::Sandbox;

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).to_str().unwrap().into()
}

/// What `--json` prints of a file.
fn info(sandbox: &Sandbox, file: &str) -> Value {
    let outcome = sandbox.run(["info", file, "--json"]).succeeds();
    let info: Value = serde_json::from_str(outcome.text()).unwrap();
    assert_eq!((&info["event"], &info["schema"], &info["file"]), (&"info".into(), &1.into(), &file.into()));
    info
}

/// Writes a safetensors file of zeros with these shapes in f16.
fn tensors(sandbox: &Sandbox, file: &str, metadata: Value, shapes: &[(&str, &[usize])]) {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), metadata);
    let mut end = 0;
    for (name, shape) in shapes {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        header.insert((*name).into(), json!({ "dtype": "F16", "shape": shape, "data_offsets": [start, end] }));
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + end, 0);
    fs::write(sandbox.path(file), bytes).unwrap();
}

#[test]
fn loras_tell_their_rank_their_family_and_their_words() {
    let sandbox = Sandbox::new();
    let metadata = json!({
        "ss_tag_frequency": "{\"10_cat\": {\"cat\": 12, \"sitting\": 3}, \"5_more\": {\"cat\": 4, \"outdoors\": 5}}",
        "modelspec.trigger_phrase": "sks cat",
        "ss_sd_model_name": "v1-5.safetensors",
    });
    let module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
    let names = ["lora_down.weight", "lora_up.weight", "alpha"].map(|role| format!("{module}.{role}"));
    let shapes: [(&str, &[usize]); 4] = [
        (&names[0], &[8, 768]),
        (&names[1], &[320, 8]),
        (&names[2], &[]),
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", &[4, 768]),
    ];
    tensors(&sandbox, "cat.safetensors", metadata, &shapes);
    let info = info(&sandbox, "cat.safetensors");
    assert_eq!((&info["part"], &info["family"]), (&"lora".into(), &"sd1".into()));
    let lora = &info["lora"];
    assert_eq!(lora["algorithm"], "LoRA");
    assert_eq!((&lora["modules"], &lora["text_encoders"]), (&2.into(), &true.into()));
    assert_eq!(lora["ranks"], json!([[4, 1], [8, 1]]));
    assert_eq!((&lora["dialect"], &lora["alphas"]), (&"kohya".into(), &json!([0.0, 0.0])));
    assert_eq!(lora["trigger"], "sks cat");
    assert_eq!(lora["tags"], json!([["cat", 16], ["outdoors", 5], ["sitting", 3]]));
    assert_eq!(info["metadata"]["ss_sd_model_name"], "v1-5.safetensors");
    let text = sandbox.run(["info", "cat.safetensors"]).succeeds();
    for word in ["SD 1.x LoRA", "trigger words: sks cat", "cat (16)", "ss_sd_model_name: v1-5.safetensors"] {
        assert!(text.text().contains(word), "no `{word}` in: {}", text.text());
    }
}

#[test]
fn adapters_are_told_apart() {
    let sandbox = Sandbox::new();
    let cases: [(&str, &[usize], &str, Value); 8] = [
        (
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_v.lora_down.weight",
            &[8, 2048],
            "LoRA",
            "sdxl".into(),
        ),
        (
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v.lora.down.weight",
            &[4, 1024],
            "LoRA",
            "sd2".into(),
        ),
        ("double_blocks.10.processor.qkv_lora1.down.weight", &[16, 32], "LoRA", "flux".into()),
        ("transformer.transformer_blocks.15.attn.to_q.lora_A.weight", &[16, 32], "LoRA", "sd3".into()),
        ("transformer.transformer_blocks.3.attn2.to_q.lora_A.weight", &[8, 32], "LoRA", "sd35".into()),
        (
            "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.hada_w1_b",
            &[4, 768],
            "LoHa",
            "sd1".into(),
        ),
        ("lora_unet_mid_block_attentions_0_proj_in.lokr_w1", &[4, 4], "LoKr", Value::Null),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", &[4, 768], "LoRA", Value::Null),
    ];
    for (name, shape, algorithm, family) in cases {
        tensors(&sandbox, "a.safetensors", json!({}), &[(name, shape)]);
        let info = info(&sandbox, "a.safetensors");
        assert_eq!((&info["lora"]["algorithm"], &info["family"]), (&algorithm.into(), &family), "{name}");
    }
}

#[test]
fn flat_matrices_of_a_convolution_tell_no_family() {
    let sandbox = Sandbox::new();
    let shapes: [(&str, [usize; 2]); 4] =
        [("hada_w1_a", [48, 4]), ("hada_w1_b", [4, 48]), ("hada_w2_a", [48, 4]), ("hada_w2_b", [4, 48])];
    let shapes = shapes.map(|(role, shape)| (format!("lora_unet_mid_block_attentions_0_proj_in.{role}"), shape));
    let shapes: Vec<(&str, &[usize])> = shapes.iter().map(|(name, shape)| (name.as_str(), &shape[..])).collect();
    tensors(&sandbox, "loha.safetensors", json!({}), &shapes);
    let info = info(&sandbox, "loha.safetensors");
    assert_eq!((&info["part"], &info["lora"]["algorithm"]), (&"lora".into(), &"LoHa".into()));
    assert!(info["family"].is_null(), "{}", info["family"]);
}

#[test]
fn embeddings_tell_their_words() {
    let sandbox = Sandbox::new();
    let info = info(&sandbox, &fixture("embeddings/learned_embeds.safetensors"));
    assert_eq!(info["part"], "embedding");
    assert_eq!(info["embedding"], json!({ "words": ["learned_embeds", "<cat-toy>"], "vectors": [1], "widths": [48] }));
}

#[test]
fn models_and_their_parts_are_listed() {
    let sandbox = Sandbox::new();
    let info = info(&sandbox, &fixture("models/sdxl"));
    assert_eq!(info["class"], "StableDiffusionXLPipeline");
    let unet = info["parts"].as_array().unwrap().iter().find(|part| part["name"] == "unet").unwrap();
    let file = &unet["files"][0];
    assert_eq!((&file["part"], &file["family"], &file["tensors"]), (&"unet".into(), &"sdxl".into(), &620.into()));
    assert_eq!((&file["types"], &file["metadata"]), (&json!({ "f16": 620 }), &json!({ "format": "pt" })));
    for name in ["emoji", &fixture("models/sd15-inpaint/unet")] {
        let text = sandbox.run(["info", name]).succeeds();
        assert!(text.text().contains("SD 1.x UNet"), "{}", text.text());
    }
}

#[test]
fn pictures_of_a1111_are_taken_apart() {
    let sandbox = Sandbox::new();
    let info = info(&sandbox, &fixture("metadata/recipes/a1111_ztxt.png"));
    let parameters = &info["parameters"];
    assert_eq!(parameters["prompt"], "a lighthouse at dusk, (oil painting:1.2), \"storm\"");
    assert_eq!((&parameters["fields"]["Seed"], &parameters["fields"]["Sampler"]), (&"1001".into(), &"DPM++ 2M".into()));
    assert!(info["sdgen"].is_null());
    let text = sandbox.run(["info", &fixture("metadata/recipes/a1111_ztxt.png")]).succeeds();
    assert!(text.text().contains("  negative prompt: blurry, lowres\n  Steps: 24\n"), "{}", text.text());
}

#[test]
fn comments_in_exif_blocks_are_taken_apart() {
    let sandbox = Sandbox::new();
    for (file, seed) in [("a1111.jpg", "1002"), ("a1111.webp", "1002"), ("usercomment_utf16le.jpg", "1001")] {
        let info = info(&sandbox, &fixture(&format!("metadata/recipes/{file}")));
        let parameters = &info["parameters"];
        let prompt = parameters["prompt"].as_str().unwrap();
        assert!(prompt.contains("a lighthouse at dusk, (oil painting:1.2), \"storm\""), "{file}: {prompt}");
        assert_eq!(prompt.contains("\u{1f34e} \u{e9}"), seed == "1002", "{file}: {prompt}");
        assert_eq!((&parameters["negative"], &parameters["fields"]["Seed"]), (&"blurry, lowres".into(), &seed.into()));
    }
}

#[test]
fn sdgens_own_pictures_tell_their_request() {
    let sandbox = Sandbox::new();
    sandbox.quick(&["-o", "a.png", "-n", "blurry"]).succeeds();
    let info = info(&sandbox, "a.png");
    assert_eq!(info["sdgen"]["request"]["prompt"]["negative"], "blurry");
    assert_eq!(info["parameters"]["negative"], "blurry");
    assert_eq!((&info["width"], &info["height"]), (&128.into(), &128.into()));
    let text = sandbox.run(["info", "a.png"]).succeeds();
    assert!(text.text().contains("\"seed\": 7"), "{}", text.text());
}

#[test]
fn other_texts_are_shown_as_they_are() {
    let sandbox = Sandbox::new();
    let texts = [("workflow", "{\"nodes\": []}"), ("sdgen", "{broken")];
    let texts = texts.map(|(keyword, text)| sdgen::image::TextChunk::new(keyword, text));
    let png = sdgen::image::encode(&image::RgbImage::new(2, 2), &texts).unwrap();
    fs::write(sandbox.path("a.png"), png).unwrap();
    let text = sandbox.run(["info", "a.png"]).succeeds();
    for word in ["workflow: {\"nodes\": []}", "sdgen: {broken", "damaged"] {
        assert!(text.text().contains(word), "no `{word}` in: {}", text.text());
    }
}

#[test]
fn files_that_cannot_be_read_do_not_keep_others_from_being_shown() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("page.safetensors"), "<html></html>").unwrap();
    sandbox.run(["info", "page.safetensors"]).fails(exit_code::MODEL).says(&["web page"]);
    let picture = fixture("golden/a-red-apple-7.png");
    let outcome = sandbox.run(["info", "page.safetensors", &picture]);
    assert_eq!(outcome.code, Some(exit_code::MODEL.into()));
    assert!(outcome.text().contains("128x128"), "{}", outcome.text());
    outcome.says(&["web page", "1 of 2"]);
    sandbox.run(["info", "no-such-file"]).fails(exit_code::MODEL).says(&["no-such-file"]);
    sandbox.run(["info"]).fails(exit_code::USAGE);
    assert_eq!(sandbox.files(), ["page.safetensors"]);
}
