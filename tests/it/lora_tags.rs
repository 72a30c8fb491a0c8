//! LoRAs that are named: in prompts and with `--lora`, what they are called in pictures, and what they bring along.

use std::fs;
use std::path::Path;

use sdgen::error::exit_code;
use serde_json::Value;

use crate::adapters;
use crate::single_file::fixtures;
use crate::support::{text_chunk, Outcome, Sandbox};

fn model() -> String {
    fixtures().join("models/sd15").to_str().unwrap().into()
}

/// A picture of the tiny model, in a place with two LoRAs.
fn paint(sandbox: &Sandbox, prompt: &str, more: &[&str]) -> Outcome {
    let model = model();
    let line = ["generate", prompt, "-m", &model, "--seed", "7", "-W", "64", "-H", "64", "-d", "cpu", "--dtype", "f32"];
    let steps: &[&str] = if more.contains(&"--steps") { &[] } else { &["--steps", "2"] };
    sandbox.run(line.iter().chain(more).chain(steps).chain(&["-o", "-"]))
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    adapters::write(&sandbox.path("loras/style_v1.safetensors"), "sd15", 4, 1);
    adapters::write(&sandbox.path("loras/sub/face-2.safetensors"), "sd15", 2, 2);
    sandbox
}

fn request(sandbox: &Sandbox, prompt: &str, more: &[&str]) -> Value {
    let model = model();
    let line = ["generate", prompt, "-m", &model, "--lora-dir", "loras", "--dry-run"];
    serde_json::from_str(sandbox.run(line.iter().chain(more)).succeeds().text()).unwrap()
}

#[test]
fn a_tag_is_the_option_without_its_text() {
    let sandbox = sandbox();
    let pixels = |outcome: Outcome| crate::support::pixels(&outcome.succeeds().stdout);
    let plain = pixels(paint(&sandbox, "a cat", &[]));
    let given = pixels(paint(&sandbox, "a cat", &["-l", "loras/style_v1.safetensors:0.5:0.25"]));
    let dir = ["--lora-dir", "loras"];
    let tagged = pixels(paint(&sandbox, "<lora:style_v1:0.25:0.5>a cat", &dir));
    let named = pixels(paint(&sandbox, "a cat", &["-l", "STYLE_V1:0.5:0.25", "--lora-dir", "loras"]));
    assert!(given != plain && tagged == given && named == given);
    let both = pixels(paint(&sandbox, "a cat<lora:style_v1:0.25:0.5><lyco:face-2>", &dir));
    assert!(both != given);
    // What is no part of the language, or of a negative prompt, is text.
    let literal = paint(&sandbox, "<lora:style_v1:0.5>a cat", &["--weighting", "none"]).says(&["stays text"]);
    assert!(![plain.clone(), given.clone()].contains(&pixels(literal)));
    let negative = paint(&sandbox, "a cat", &["-n", "<lora:nothing:1>"]).says(&["negative prompt", "as text"]);
    assert!(pixels(negative) != plain);
    let other =
        paint(&sandbox, "<hypernet:anime:1>a cat", &[]).says(&["`<hypernet:anime:1>` is left out", "hypernetworks"]);
    assert!(pixels(other) == plain);
}

#[test]
fn pictures_name_their_loras_and_no_folder() {
    let sandbox = sandbox();
    let line = ["--lora-dir", "loras", "-l", "loras/style_v1.safetensors:0.8:0.4", "-l", "face-2:0.5"];
    let png = paint(&sandbox, "a cat, <lora:style_v1:0.3>", &line).succeeds().stdout;
    let parameters = text_chunk(&png, "parameters").unwrap();
    let prompt = "a cat, <lora:style_v1:0.3> <lora:style_v1:0.4:0.8> <lora:face-2:0.5>\n";
    assert!(parameters.starts_with(prompt), "{parameters}");
    let hash = |name: &str| {
        let bytes = fs::read(sandbox.path(&format!("loras/{name}.safetensors"))).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        sdgen::image::sha256(&bytes[8 + header..]).unwrap()[..12].to_string()
    };
    let (style, face) = (hash("style_v1"), hash("sub/face-2"));
    let hashes = format!(", Lora hashes: \"style_v1: {style}, face-2: {face}, style_v1: {style}\", Version: sdgen");
    assert!(parameters.contains(&hashes), "{parameters}");
    let stored: Value = serde_json::from_str(&text_chunk(&png, "sdgen").unwrap()).unwrap();
    let files: Vec<&str> =
        stored["request"]["loras"].as_array().unwrap().iter().map(|lora| lora["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["style_v1.safetensors", "face-2"]);
    assert_eq!(stored["request"]["prompt"]["text"], "a cat, <lora:style_v1:0.3>");
    assert_eq!(stored["made_with"]["loras"].as_array().unwrap().len(), 3);
    assert!(!stored.to_string().contains("loras/"), "{stored}");
}

#[test]
fn what_is_not_found_is_an_error_with_near_names() {
    let sandbox = sandbox();
    let dir = ["--lora-dir", "loras"];
    let said = paint(&sandbox, "<lora:style_v2:1>", &dir).fails(exit_code::MODEL);
    said.says(&["no lora `style_v2`", "did you mean `style_v1`?", "`loras`", "cache"]);
    let said = paint(&sandbox, "x", &["-l", "lcm-lora-sd15"]).fails(exit_code::MODEL);
    said.says(&["sdgen download lcm-lora-sd15"]);
    paint(&sandbox, "x", &["-l", "./nothing.safetensors"]).fails(exit_code::MODEL).says(&["no lora"]);
    paint(&sandbox, "x<lora:a>", &["--lora-dir", "nowhere"]).fails(exit_code::MODEL).says(&["no folder `nowhere`"]);
    paint(&sandbox, "<lora:style_v1:abc>", &dir).fails(exit_code::USAGE).says(&["`abc`", "<lora:name:0.8>"]);
    paint(&sandbox, "<lora:style_v1:500>", &dir).fails(exit_code::USAGE).says(&["500", "-100 to 100"]);
}

#[test]
fn a_model_in_other_programs_folders_finds_its_loras() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("models/Stable-diffusion");
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(Path::new(&model()), folder.join("tiny")).unwrap();
    adapters::write(&sandbox.path("models/Lora/face.safetensors"), "sd15", 2, 2);
    let config = model();
    let line = |model| ["generate", "a cat", "-m", model, "--config", &config, "-l", "face", "--dry-run"];
    sandbox.run(line("models/Stable-diffusion/tiny")).succeeds();
    let checkpoint = sandbox.path("models/Stable-diffusion/tiny.safetensors");
    fs::write(&checkpoint, crate::single_file::file(&crate::single_file::checkpoint("sd15"), &[])).unwrap();
    let line = line("models/Stable-diffusion/tiny.safetensors");
    sandbox.run(line).succeeds();
    // The nearer folder goes first.
    adapters::write(&sandbox.path("models/Stable-diffusion/loras/face.safetensors"), "sd15", 2, 2);
    sandbox.run(line).succeeds();
}

#[test]
fn loras_of_few_steps_bring_their_settings() {
    let sandbox = sandbox();
    for name in ["lcm-lora", "sdxl_lightning_8step_lora"] {
        fs::copy(sandbox.path("loras/style_v1.safetensors"), sandbox.path(&format!("loras/{name}.safetensors")))
            .unwrap();
    }
    let plan = request(&sandbox, "a cat<lora:lcm-lora:1>", &[]);
    let sampling = &plan["request"]["sampling"];
    assert_eq!((&sampling["scheduler"], &sampling["steps"]), (&"lcm".into(), &4.into()));
    assert_eq!(sampling["guidance"], 1.0);
    assert_eq!(plan["notes"][0], "`lcm-lora` is an LCM-LoRA: scheduler lcm, 4 steps, guidance 1");
    let plan = request(&sandbox, "a cat", &["-l", "lcm-lora", "--steps", "6", "--scheduler", "euler", "-g", "1.5"]);
    let sampling = &plan["request"]["sampling"];
    assert_eq!((&sampling["scheduler"], &sampling["steps"]), (&"euler".into(), &6.into()));
    assert_eq!(plan["notes"].as_array().unwrap().len(), 0);
    let plan = request(&sandbox, "a cat", &["-l", "sdxl_lightning_8step_lora"]);
    assert_eq!(plan["request"]["sampling"]["steps"], 8);
    let first = plan["schedule"]["timesteps"][0].as_f64().unwrap();
    assert_eq!(first, 999.0, "counted from the last");
}

#[test]
fn wildcards_draw_loras_too() {
    let sandbox = sandbox();
    let drawn = |seed: &str| {
        let plan = request(&sandbox, "a cat<lora:{style_v1|face-2}:1>", &["--seed", seed]);
        plan["request"]["prompt"]["text"].as_str().unwrap().to_string()
    };
    let all: std::collections::BTreeSet<String> = (0..12).map(|seed| drawn(&seed.to_string())).collect();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), ["a cat<lora:face-2:1>", "a cat<lora:style_v1:1>"]);
}
