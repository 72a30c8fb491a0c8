//! `sdgen convert`: tensors stay what they are, under other names and in other containers, and paint the same pictures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sdgen::error::exit_code;
use serde_json::{json, Value};

use crate::single_file::{checkpoint, ckpt, file, fixtures, read, Stored};
use crate::support::{difference, pixels, Sandbox, QUICK};

fn folder(model: &str) -> String {
    fixtures().join("models").join(model).to_str().unwrap().into()
}

/// All tensors of a folder in diffusers' layout, by part and name.
fn of_folder(folder: &Path) -> BTreeMap<String, Stored> {
    let mut all = BTreeMap::new();
    for part in ["unet", "vae", "text_encoder", "text_encoder_2"] {
        for name in ["model.safetensors", "diffusion_pytorch_model.safetensors"] {
            let path = folder.join(part).join(name);
            let tensors = if path.is_file() { read(&path) } else { Vec::new() };
            all.extend(tensors.into_iter().map(|tensor| (format!("{part}/{}", tensor.name), tensor)));
        }
    }
    assert!(all.len() > 300, "{} tensors", all.len());
    all
}

fn words(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    header["__metadata__"].clone()
}

fn paint(sandbox: &Sandbox, arguments: &[&str]) -> image::RgbImage {
    // The built-in model has another guidance than its copy, which is a model like any other.
    let size = ["-W", "64", "-H", "64", "-g", "4", "-o", "-"];
    pixels(&sandbox.run(QUICK.iter().chain(arguments).chain(&size)).succeeds().stdout)
}

#[test]
fn a_single_file_has_the_tensors_of_the_published_ones() {
    for model in ["sd15", "sd21", "sdxl"] {
        let sandbox = Sandbox::new();
        let outcome = sandbox.run(["convert", &folder(model), "-o", "a.safetensors", "--layout", "single"]).succeeds();
        assert_eq!(outcome.paths(), ["a.safetensors"]);
        let published: BTreeMap<String, Stored> = checkpoint(model).into_iter().map(|t| (t.name.clone(), t)).collect();
        let ours = read(&sandbox.path("a.safetensors"));
        for tensor in &ours {
            assert_eq!(Some(tensor), published.get(&tensor.name), "{model}");
        }
        // What is not there has no place in diffusers' layout: constants of the sampler, the numbers of the places, a layer of SD 2.x
        // that nothing uses.
        let names: Vec<&str> = ours.iter().map(|tensor| tensor.name.as_str()).collect();
        for name in published.keys().filter(|name| !names.contains(&name.as_str())) {
            let is_constant = !name.contains("diffusion_model.") && !name.starts_with("first_stage_model.");
            assert!(is_constant, "{model}: {name}");
        }
        assert_eq!(sandbox.files(), ["a.safetensors"]);
    }
}

#[test]
fn folder_to_file_to_folder_changes_no_bit() {
    for model in ["sd15", "sd21", "sdxl"] {
        let sandbox = Sandbox::new();
        sandbox.run(["convert", &folder(model), "-o", "a", "--dtype", "f32"]).succeeds();
        sandbox.run(["convert", "a", "-o", "b.safetensors", "--layout", "single"]).succeeds();
        sandbox.run(["convert", "b.safetensors", "-o", "c", "--layout", "diffusers", "--config", "a"]).succeeds();
        let (a, c) = (of_folder(&sandbox.path("a")), of_folder(&sandbox.path("c")));
        assert!(a == c, "{model}");
        assert!(a.values().all(|tensor| tensor.dtype == "F32"), "{model}");
        assert_eq!(sandbox.files(), ["a", "b.safetensors", "c"]);
    }
}

#[test]
fn converted_models_paint_the_same_picture() {
    for model in ["sd15", "sd21", "sdxl"] {
        let sandbox = Sandbox::new();
        let original = folder(model);
        sandbox.run(["convert", &original, "-o", "a.safetensors", "--layout", "single"]).succeeds();
        sandbox.run(["convert", "a.safetensors", "-o", "b", "--layout", "diffusers", "--config", &original]).succeeds();
        let expected = paint(&sandbox, &["--model", &original]);
        assert!(paint(&sandbox, &["--model", "a.safetensors", "--config", &original]) == expected, "{model}: the file");
        assert!(paint(&sandbox, &["--model", "b"]) == expected, "{model}: the folder");
        sandbox.run(["verify", "b"]).succeeds();
    }
}

#[test]
fn the_built_in_model_becomes_a_folder() {
    let sandbox = Sandbox::new();
    sandbox.run(["convert", "emoji", "-o", "copy"]).succeeds();
    assert!(paint(&sandbox, &["--model", "copy"]) == paint(&sandbox, &[]));
}

#[test]
fn quantised_models_are_read_again() {
    let sandbox = Sandbox::new();
    let original = folder("sd15");
    // Rows of 32 numbers are rare in so small a model; the built-in one has some.
    let line = ["convert", "emoji", "-o", "a.gguf", "--layout", "single", "--quantize", "q8_0", "--json"];
    let outcome = sandbox.run(line).succeeds();
    let event: Value = outcome.text().lines().map(|line| serde_json::from_str(line).unwrap()).next_back().unwrap();
    assert_eq!((&event["event"], &event["path"]), (&"converted".into(), &"a.gguf".into()));
    assert!(event["types"]["q8_0"].as_u64().unwrap() > 50, "{event}");
    assert_eq!(event["bytes"], fs::metadata(sandbox.path("a.gguf")).unwrap().len());
    sandbox.run(["convert", "emoji", "-o", "emoji"]).succeeds();
    let (quantised, plain) = (paint(&sandbox, &["--model", "a.gguf", "--config", "emoji"]), paint(&sandbox, &[]));
    let (max, mean) = difference(&quantised, &plain);
    // Measured: 4 and 0.32.
    assert!(max > 0 && max <= 6 && mean < 0.5, "max {max}, mean {mean}");
    let outcome = sandbox.run(["convert", &original, "-o", "b.gguf", "--layout", "single", "--quantize", "q4_k"]);
    outcome.fails(exit_code::MODEL).says(&["256", "q8_0"]);
    assert_eq!(sandbox.files(), ["a.gguf", "emoji"]);
}

#[test]
fn any_file_changes_its_numbers_and_its_container() {
    let sandbox = Sandbox::new();
    let tensor = |name: &str, dtype: &str, bytes: Vec<u8>| Stored {
        name: name.into(),
        dtype: dtype.into(),
        shape: vec![2],
        bytes,
    };
    let floats = |a: f32, b: f32| [a.to_le_bytes(), b.to_le_bytes()].concat();
    let tensors = [
        tensor("lora_unet_x.lora_down.weight", "F32", floats(1.5, -2.0)),
        tensor("ids", "I64", [7u64, 8].map(u64::to_le_bytes).concat()),
    ];
    let about = [("ss_network_dim", "4"), ("modelspec.hash_sha256", "0x00")];
    fs::write(sandbox.path("a.safetensors"), file(&tensors, &about)).unwrap();
    sandbox
        .run(["convert", "a.safetensors", "-o", "b.safetensors", "--dtype", "bf16"])
        .succeeds()
        .says(&["hash_sha256"]);
    let written = read(&sandbox.path("b.safetensors"));
    let find = |name: &str| written.iter().find(|tensor| tensor.name == name).unwrap();
    assert_eq!(find("ids"), &tensors[1], "whole numbers stay");
    let expected = [1.5f32, -2.0].map(|v| half::bf16::from_f32(v).to_le_bytes()).concat();
    assert_eq!((find("lora_unet_x.lora_down.weight").dtype.as_str(), written.len()), ("BF16", 2));
    assert_eq!(find("lora_unet_x.lora_down.weight").bytes, expected);
    let about = words(&sandbox.path("b.safetensors"));
    let history = format!("sdgen {}: f32 to bf16", env!("CARGO_PKG_VERSION"));
    assert_eq!(about, json!({ "format": "pt", "ss_network_dim": "4", "sdgen.conversion": history }));

    sandbox.run(["convert", "b.safetensors", "-o", "c.gguf"]).succeeds();
    sandbox.run(["convert", "c.gguf", "-o", "d.safetensors", "--dtype", "f32"]).succeeds();
    let back = read(&sandbox.path("d.safetensors"));
    assert_eq!(back.iter().find(|tensor| tensor.name == tensors[0].name), Some(&tensors[0]));
    let about = words(&sandbox.path("d.safetensors"));
    assert!(about["sdgen.conversion"].as_str().unwrap().matches("; ").count() >= 2, "{about}");

    fs::write(sandbox.path("e.ckpt"), ckpt(&checkpoint("sd15"), 7)).unwrap();
    sandbox.run(["convert", "e.ckpt", "-o", "e.safetensors"]).succeeds();
    let mut from_pickle = read(&sandbox.path("e.safetensors"));
    let mut expected = checkpoint("sd15");
    from_pickle.sort_by(|a, b| a.name.cmp(&b.name));
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(from_pickle == expected);
}

#[test]
fn numbers_too_large_for_a_type_end_the_work() {
    let sandbox = Sandbox::new();
    let bytes = [1e6f32.to_le_bytes(), 1f32.to_le_bytes()].concat();
    let tensor = Stored { name: "big.weight".into(), dtype: "F32".into(), shape: vec![2], bytes };
    fs::write(sandbox.path("a.safetensors"), file(&[tensor], &[])).unwrap();
    let line = ["convert", "a.safetensors", "-o", "b.safetensors", "--dtype", "f16"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["big.weight", "bf16"]);
    assert_eq!(sandbox.files(), ["a.safetensors"]);
}

#[test]
fn nothing_is_replaced_unasked() {
    let sandbox = Sandbox::new();
    sandbox.run(["convert", "emoji", "-o", "a"]).succeeds();
    sandbox.run(["convert", "emoji", "-o", "a"]).fails(exit_code::USAGE).says(&["exists", "--overwrite"]);
    fs::write(sandbox.path("a/mine.txt"), "kept").unwrap();
    sandbox.run(["convert", "emoji", "-o", "a", "--overwrite", "--dtype", "f32"]).succeeds();
    assert!(of_folder_is_f32(&sandbox.path("a")));
    fs::create_dir(sandbox.path("b")).unwrap();
    fs::write(sandbox.path("b/mine.txt"), "kept").unwrap();
    sandbox.run(["convert", "emoji", "-o", "b", "--overwrite"]).fails(exit_code::USAGE).says(&["other things"]);
    fs::write(sandbox.path("c.safetensors"), "kept").unwrap();
    let single = ["convert", "emoji", "-o", "c.safetensors", "--layout", "single"];
    sandbox.run(single).fails(exit_code::USAGE).says(&["exists"]);
    assert_eq!(fs::read(sandbox.path("c.safetensors")).unwrap(), b"kept");
    sandbox.run(single.iter().chain(&["--overwrite"])).succeeds();
    assert!(fs::metadata(sandbox.path("c.safetensors")).unwrap().len() > 1000);
    assert_eq!(sandbox.files(), ["a", "b", "c.safetensors"]);
}

fn of_folder_is_f32(folder: &Path) -> bool {
    of_folder(folder).values().all(|tensor| tensor.dtype == "F32")
}

#[test]
fn what_does_not_go_together_is_refused_before_any_work() {
    let sandbox = Sandbox::new();
    let refused = |more: &[&str], code: u8, words: &[&str]| {
        sandbox.run(["convert"].iter().chain(more)).fails(code).says(words);
        assert!(sandbox.files().is_empty());
    };
    refused(&["emoji", "-o", "a.safetensors"], exit_code::USAGE, &["--layout single"]);
    refused(&["emoji", "-o", "a", "--quantize", "q8_0"], exit_code::USAGE, &["--layout single", ".gguf"]);
    refused(&["emoji", "-o", "a.bin", "--layout", "single"], exit_code::USAGE, &[".safetensors"]);
    refused(
        &["emoji", "-o", "a.safetensors", "--layout", "single", "--quantize", "q8_0"],
        exit_code::USAGE,
        &["a.gguf"],
    );
    refused(&["emoji", "-o", "no/a"], exit_code::FAILURE, &["no"]);
    refused(&["no-such-model", "-o", "a"], exit_code::MODEL, &["no-such-model"]);
    refused(&["emoji"], exit_code::USAGE, &["missing"]);
    refused(&["emoji", "-o", "a", "--quantize", "q9"], exit_code::USAGE, &["q9"]);
    let vae = format!("{}/vae/diffusion_pytorch_model.safetensors", folder("sd15"));
    refused(&[&vae, "-o", "a", "--layout", "diffusers"], exit_code::MODEL, &["VAE"]);
    fs::write(sandbox.path("page.safetensors"), "<html></html>").unwrap();
    sandbox.run(["convert", "page.safetensors", "-o", "a.gguf"]).fails(exit_code::MODEL).says(&["web page"]);
    assert_eq!(sandbox.files(), ["page.safetensors"]);
}
