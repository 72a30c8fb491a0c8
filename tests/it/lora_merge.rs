//! `sdgen lora-merge`: a merged model paints what the model paints with its LoRAs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use image::RgbImage;
use sdgen::error::exit_code;
use serde_json::Value;

use crate::adapters;
use crate::single_file::{checkpoint, ckpt, file, fixtures, gguf, read, zeros, Stored};
use crate::support::{difference, pixels, Sandbox, QUICK};

pub fn folder(model: &str) -> String {
    fixtures().join("models").join(model).to_str().unwrap().into()
}

pub fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    adapters::write(&sandbox.path("in/style.safetensors"), "sd15", 4, 1);
    adapters::write(&sandbox.path("in/face.safetensors"), "sd15", 2, 2);
    adapters::write(&sandbox.path("in/xl.safetensors"), "sdxl", 4, 3);
    fs::write(sandbox.path("in/tiny.safetensors"), file(&checkpoint("sd15"), &[("title", "tiny")])).unwrap();
    sandbox
}

pub fn paint(sandbox: &Sandbox, arguments: &[&str]) -> RgbImage {
    let size = ["-W", "64", "-H", "64", "-g", "4", "-o", "-"];
    pixels(&sandbox.run(QUICK.iter().chain(arguments).chain(&size)).succeeds().stdout)
}

pub fn words(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    header["__metadata__"].clone()
}

pub fn tensors(path: &Path) -> BTreeMap<String, Stored> {
    read(path).into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect()
}

pub const BOTH: [&str; 2] = ["in/style.safetensors:0.8:0.4", "in/face.safetensors:-0.5"];
pub const WITH_BOTH: [&str; 4] = ["-l", BOTH[0], "-l", BOTH[1]];

#[test]
fn a_merged_model_paints_what_the_model_paints_with_its_loras() {
    let sandbox = sandbox();
    let sd15 = folder("sd15");
    let plain = paint(&sandbox, &["-m", &sd15]);
    let expected = paint(&sandbox, &[&["-m", &sd15], &WITH_BOTH[..]].concat());
    assert!(difference(&plain, &expected).0 > 8, "the LoRAs change little");
    for (model, output, more) in [
        (sd15.as_str(), "merged", &[][..]),
        (&sd15, "merged.safetensors", &["--layout", "single"]),
        ("in/tiny.safetensors", "tiny.safetensors", &["--strict"]),
        ("in/tiny.safetensors", "unpacked", &["--layout", "diffusers", "--config", &sd15]),
    ] {
        let line = ["lora-merge", "-m", model, BOTH[0], BOTH[1], "-o", output];
        let outcome = sandbox.run(line.iter().chain(more)).succeeds().says(&["style: ", "face: ", "text"]);
        assert_eq!(outcome.paths(), [output]);
        let painted = paint(&sandbox, &["-m", output, "--config", &sd15]);
        let (most, _) = difference(&painted, &expected);
        assert!(most <= 1, "{output}: {most}");
    }
    assert_eq!(sandbox.files(), ["in", "merged", "merged.safetensors", "tiny.safetensors", "unpacked"]);
    let verified = sandbox.run(["verify", "merged", "tiny.safetensors"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
}

#[test]
fn what_no_lora_changes_keeps_its_bytes() {
    let sandbox = sandbox();
    let before = tensors(&sandbox.path("in/tiny.safetensors"));
    let merge = |loras: &[&str], output: &str| {
        let line = ["lora-merge", "-m", "in/tiny.safetensors", "-o", output];
        sandbox.run(line.iter().chain(loras)).succeeds();
        tensors(&sandbox.path(output))
    };
    assert!(merge(&["in/style.safetensors:0", "in/face.safetensors:0:0"], "zero.safetensors") == before);
    let after = merge(&["in/style.safetensors"], "one.safetensors");
    let changed: Vec<&String> = before.keys().filter(|name| after[*name] != before[*name]).collect();
    let is_layer = |name: &&String| name.ends_with(".weight") && !name.starts_with("first_stage_model.");
    assert!(changed.len() > 20 && changed.iter().all(is_layer), "{changed:?}");
    assert!(before.iter().all(|(name, tensor)| after[name].shape == tensor.shape && after[name].dtype == tensor.dtype));
    // Folders: parts without a change are copied whole.
    let sd15 = folder("sd15");
    sandbox.run(["lora-merge", "-m", &sd15, "in/style.safetensors:0", "-o", "folder"]).succeeds();
    for part in ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"] {
        let name = format!("{part}.safetensors");
        assert!(tensors(&sandbox.path("folder").join(&name)) == tensors(&Path::new(&sd15).join(&name)), "{part}");
    }
}

#[test]
fn the_result_tells_what_is_in_it() {
    let sandbox = sandbox();
    let merge = |model: &str, lora: &str, output: &str| {
        sandbox.run(["lora-merge", "-m", model, lora, "-o", output]).succeeds();
        words(&sandbox.path(output))
    };
    merge("in/tiny.safetensors", BOTH[0], "once.safetensors");
    let words = merge("once.safetensors", BOTH[1], "twice.safetensors");
    let merged: Value = serde_json::from_str(words["sdgen.merged"].as_str().unwrap()).unwrap();
    let sha256 = |name: &str| sdgen::image::sha256_file(&sandbox.path(name)).unwrap();
    let expected = serde_json::json!([
        { "name": "style", "sha256": sha256("in/style.safetensors"), "scale": 0.8, "text_scale": 0.4 },
        { "name": "face", "sha256": sha256("in/face.safetensors"), "scale": -0.5 },
    ]);
    assert_eq!(merged, expected);
    assert_eq!((&words["title"], &words["modelspec.merged_from"]), (&"tiny".into(), &"once, face".into()));
    let line = ["lora-merge", "-m", "in/tiny.safetensors", BOTH[0], "-o", "json.safetensors", "--json"];
    let outcome = sandbox.run(line).succeeds();
    let event: Value = serde_json::from_str(outcome.text().lines().next_back().unwrap()).unwrap();
    assert_eq!((&event["event"], &event["path"]), (&"merged".into(), &"json.safetensors".into()));
    assert_eq!(event["loras"][0], expected[0]);
    assert_eq!(event["bytes"], fs::metadata(sandbox.path("json.safetensors")).unwrap().len());
}

#[test]
fn other_containers_and_types_become_safetensors() {
    let sandbox = sandbox();
    fs::write(sandbox.path("in/tiny.ckpt"), ckpt(&checkpoint("sd15"), 1)).unwrap();
    fs::write(sandbox.path("in/tiny.gguf"), gguf(&checkpoint("sd15"))).unwrap();
    sandbox.run(["lora-merge", "-m", "in/tiny.safetensors", BOTH[0], "-o", "expected.safetensors"]).succeeds();
    let expected = tensors(&sandbox.path("expected.safetensors"));
    for ending in ["ckpt", "gguf"] {
        let (model, output) = (format!("in/tiny.{ending}"), format!("{ending}.safetensors"));
        sandbox.run(["lora-merge", "-m", &model, BOTH[0], "-o", &output]).succeeds();
        assert!(tensors(&sandbox.path(&output)) == expected, "{ending}");
    }
    let line = ["lora-merge", "-m", "in/tiny.safetensors", BOTH[0], "-o", "wide.safetensors", "--dtype", "f32"];
    sandbox.run(line).succeeds();
    assert!(tensors(&sandbox.path("wide.safetensors")).values().all(|tensor| tensor.dtype != "F16"));
    // Sums of quantised numbers are not quantised again.
    let quantised = ["convert", "emoji", "-o", "in/emoji.gguf", "--layout", "single", "--quantize", "q8_0"];
    sandbox.run(quantised).succeeds();
    let emoji = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/emoji");
    adapters::write(&sandbox.path("in/emoji.safetensors"), emoji, 2, 4);
    let line = ["lora-merge", "-m", "in/emoji.gguf", "in/emoji.safetensors", "-o", "emoji.safetensors"];
    sandbox.run(line).succeeds().says(&["quantised (q8_0): written as f16"]);
    assert!(tensors(&sandbox.path("emoji.safetensors")).values().all(|tensor| tensor.dtype == "F16"));
}

#[test]
fn bad_input_leaves_nothing_behind() {
    let sandbox = sandbox();
    let style = adapters::lora("sd15", 4, 1);
    let write = |name: &str, tensors: &[Stored]| fs::write(sandbox.path(name), file(tensors, &[])).unwrap();
    let whole = fs::read(sandbox.path("in/style.safetensors")).unwrap();
    fs::write(sandbox.path("in/cut.safetensors"), &whole[..whole.len() / 2]).unwrap();
    let half: Vec<Stored> = style.iter().filter(|t| t.name != style[1].name).cloned().collect();
    write("in/half.safetensors", &half);
    let mut ranks = style.clone();
    ranks[1] = zeros(&style[1].name, &[style[1].shape[0], 3]);
    write("in/ranks.safetensors", &ranks);
    fs::copy(fixtures().join("images/gradient.png"), sandbox.path("in/picture.safetensors")).ok();
    fs::write(sandbox.path("taken.safetensors"), "x").unwrap();
    let unet = format!("{}/unet/diffusion_pytorch_model.safetensors", folder("sd15"));
    for (lora, output, code, said) in [
        ("in/cut.safetensors", "out.safetensors", exit_code::MODEL, &["cut.safetensors", "incomplete"][..]),
        ("in/half.safetensors", "out.safetensors", exit_code::MODEL, &["half.safetensors", "missing"]),
        ("in/ranks.safetensors", "out.safetensors", exit_code::MODEL, &["ranks.safetensors", "rank"]),
        ("in/xl.safetensors", "out.safetensors", exit_code::MODEL, &["SDXL", "SD 1.x"]),
        (&unet, "out.safetensors", exit_code::MODEL, &["no LoRA", "UNet"]),
        ("in/nothing.safetensors", "out.safetensors", exit_code::MODEL, &["no LoRA `in/nothing.safetensors`"]),
        ("in/style.safetensors:abc", "out.safetensors", exit_code::USAGE, &["`abc`", "FILE:SCALE"]),
        ("in/style.safetensors", "taken.safetensors", exit_code::USAGE, &["exists", "--overwrite"]),
        ("in/style.safetensors", "in/tiny.safetensors", exit_code::USAGE, &["is what the result is made of"]),
        ("in/style.safetensors", "in/style.safetensors", exit_code::USAGE, &["is what the result is made of"]),
        ("in/style.safetensors", "out", exit_code::USAGE, &[".safetensors"]),
    ] {
        let before = sandbox.files();
        sandbox.run(["lora-merge", "-m", "in/tiny.safetensors", lora, "-o", output]).fails(code).says(said);
        assert_eq!(sandbox.files(), before, "{lora}");
        assert_eq!(fs::read(sandbox.path("taken.safetensors")).unwrap(), b"x");
    }
    let line = ["lora-merge", "-m", "in/style.safetensors", "in/face.safetensors", "-o", "out.safetensors"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["nothing to merge a LoRA into", "LoRA"]);
    sandbox
        .run(["lora-merge", "in/style.safetensors", "-o", "out.safetensors"])
        .fails(exit_code::USAGE)
        .says(&["model"]);
}

#[test]
fn a_part_without_a_place_is_told_and_strict_refuses_it() {
    let sandbox = sandbox();
    let mut tensors = adapters::lora("sd15", 4, 1);
    for tensor in tensors.iter_mut().take(3) {
        tensor.name = tensor.name.replace("lora_unet_", "lora_unet_elsewhere_");
    }
    fs::write(sandbox.path("in/part.safetensors"), file(&tensors, &[])).unwrap();
    let line = ["lora-merge", "-m", "in/tiny.safetensors", "in/part.safetensors", "-o", "out.safetensors"];
    sandbox.run(line.iter().chain(&["--strict"])).fails(exit_code::MODEL).says(&["only in part", "elsewhere"]);
    sandbox.run(line).succeeds().says(&["warning", "only in part", "lora_unet_elsewhere_"]);
}
