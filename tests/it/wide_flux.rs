//! FLUX.1 Fill, Canny and Depth: transformers that see a mask and a masked picture, or a control map.

use std::fs;
use std::path::PathBuf;

use sdgen::error::exit_code;

use crate::single_file::{file, fixtures, gguf, read, Stored};
use crate::support::{copy, difference, pixels, text_chunk, Outcome, Sandbox};

/// The transformer's tensors of the tiny `flux-fill` or `flux-control`: those of `flux-dev` but for the first layer.
fn transformer(model: &str) -> Vec<Stored> {
    let models = fixtures().join("models");
    let own = read(&models.join(model).join("transformer/diffusion_pytorch_model.safetensors"));
    let shards =
        ["1", "2"].map(|i| format!("flux-dev/transformer/diffusion_pytorch_model-0000{i}-of-00002.safetensors"));
    let mut tensors: Vec<Stored> = shards.iter().flat_map(|shard| read(&models.join(shard))).collect();
    for tensor in &mut tensors {
        if let Some(own) = own.iter().find(|own| own.name == tensor.name) {
            *tensor = own.clone();
        }
    }
    tensors
}

/// That model, in a sandbox.
pub fn wide_flux(model: &str, sandbox: &Sandbox) -> PathBuf {
    let (models, folder) = (fixtures().join("models"), sandbox.path(model));
    copy(&models.join("flux-dev"), &folder);
    for file in ["model_index.json", "transformer/config.json"] {
        fs::copy(models.join(model).join(file), folder.join(file)).unwrap();
    }
    let weights = folder.join("transformer/diffusion_pytorch_model.safetensors");
    fs::remove_file(weights.with_extension("safetensors.index.json")).unwrap();
    for i in [1, 2] {
        fs::remove_file(weights.with_file_name(format!("diffusion_pytorch_model-0000{i}-of-00002.safetensors")))
            .unwrap();
    }
    fs::write(weights, file(&transformer(model), &[])).unwrap();
    folder
}

const SMALL: [&str; 12] =
    ["-p", "x", "-s", "1", "--steps", "2", "--max-tokens", "8", "--overwrite", "--device", "cpu", "--dtype=f32"];

/// A sandbox with both models, a picture with its mask, and one that is no multiple of 16.
pub fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for model in ["flux-fill", "flux-control"] {
        wide_flux(model, &sandbox);
    }
    let map = pixels(&fs::read(fixtures().join("pictures/given/map.png")).unwrap());
    for (name, width, height) in [("map.png", 72, 88), ("picture.png", 64, 80)] {
        image::imageops::resize(&map, width, height, image::imageops::Lanczos3).save(sandbox.path(name)).unwrap();
    }
    let mask = image::GrayImage::from_fn(64, 80, |x, _| image::Luma([if x < 32 { 255 } else { 0 }]));
    mask.save(sandbox.path("mask.png")).unwrap();
    sandbox
}

pub fn run(sandbox: &Sandbox, command: &str, line: &str) -> Outcome {
    sandbox.run([command].into_iter().chain(SMALL).chain(line.split_whitespace()))
}

pub fn picture(sandbox: &Sandbox, command: &str, line: &str) -> image::RgbImage {
    pixels(&run(sandbox, command, &format!("{line} -o -")).succeeds().stdout)
}

const FILL: &str = "-m flux-fill -i picture.png --mask mask.png";
const CONTROL: &str = "-m flux-control --control canny=picture.png";

#[test]
fn they_are_for_what_they_see() {
    let sandbox = sandbox();
    let refused = |command: &str, line: &str, code: u8, words: &[&str]| {
        run(&sandbox, command, &format!("{line} -o x.png")).fails(code).says(words);
    };
    let fill = ["flux-fill", "inpainting", "transformer", "sdgen inpaint"];
    refused("generate", "-m flux-fill", exit_code::MODEL, &fill);
    refused("flux", "-m flux-fill", exit_code::MODEL, &fill);
    refused("img2img", "-m flux-fill -i picture.png", exit_code::MODEL, &fill);
    refused("controlnet", "-m flux-fill --control canny=map.png", exit_code::MODEL, &fill);
    refused("inpaint", &format!("{FILL} --control canny=map.png"), exit_code::MODEL, &["ControlNets for FLUX.1 Fill"]);
    refused("generate", "-m flux-control", exit_code::MODEL, &["control map", "sdgen controlnet --control canny="]);
    let inpaint = "-m flux-control -i picture.png --mask mask.png";
    refused("inpaint", inpaint, exit_code::MODEL, &["sdgen inpaint --control canny="]);
    refused("controlnet", "-m flux-control --control ./net=map.png", exit_code::USAGE, &["no ControlNet", "depth="]);
    refused("controlnet", "-m flux-control --control cany=map.png", exit_code::USAGE, &["did you mean `canny`"]);
    refused("controlnet", &format!("{CONTROL} --control depth=map.png"), exit_code::USAGE, &["one control map"]);
    refused("controlnet", "-m flux-control --control union#canny=map.png", exit_code::USAGE, &["say the kind alone"]);
    refused("controlnet", &format!("{CONTROL} -W 72"), exit_code::USAGE, &["multiple of 16", "FLUX.1 Canny or Depth"]);
    refused("controlnet", "-m flux-control --control canny=no.png", exit_code::MODEL, &["no.png"]);
    refused("generate", "-m emoji -g 25", exit_code::USAGE, &["25 is above 20", "take the scale as an input"]);
    assert!(!sandbox.path("x.png").exists());
}

#[test]
fn what_they_see_decides_the_picture() {
    let sandbox = sandbox();
    let filled = picture(&sandbox, "inpaint", FILL);
    assert!(
        difference(&filled, &picture(&sandbox, "inpaint", &format!("{FILL} --invert-mask --no-paste-back"))).1 > 1.0
    );
    // The unmasked half is the picture's own, and new ground goes around it.
    let given = pixels(&fs::read(sandbox.path("picture.png")).unwrap());
    assert!((32..64).all(|x| filled.get_pixel(x, 40) == given.get_pixel(x, 40)));
    let extended = picture(&sandbox, "inpaint", "-m flux-fill -i picture.png --extend 16,0,0,0");
    assert_eq!((extended.dimensions(), extended.get_pixel(60, 40)), ((80, 80), given.get_pixel(44, 40)));
    let soft = picture(&sandbox, "inpaint", &format!("{FILL} --soft-mask --no-paste-back"));
    assert!(difference(&soft, &picture(&sandbox, "inpaint", &format!("{FILL} --no-paste-back"))).1 > 0.1);
    // Edges of the picture are another map than the picture.
    let edges = picture(&sandbox, "controlnet", CONTROL);
    assert!(difference(&edges, &picture(&sandbox, "controlnet", &format!("{CONTROL} --preprocessor none"))).1 > 1.0);
    let line = format!("{CONTROL}:0.5:0:0.6 --control-mode prompt -o same.png");
    let same = run(&sandbox, "controlnet", &line).succeeds();
    same.says(&["canny makes the map", "the scale and the end and the control mode of `canny` have no effect"]);
    assert_eq!(pixels(&fs::read(sandbox.path("same.png")).unwrap()), edges);
}

#[test]
fn their_defaults_are_those_of_their_publishers() {
    let sandbox = sandbox();
    let planned = |command: &str, line: &str| {
        let plan = sandbox.run([command, "x", "--dry-run"].into_iter().chain(line.split_whitespace())).succeeds();
        let plan: serde_json::Value = serde_json::from_str(plan.text()).unwrap();
        let request = &plan["request"];
        let [steps, guidance] = ["steps", "guidance"].map(|name| request["sampling"][name].as_f64().unwrap());
        let [width, height] = ["width", "height"].map(|name| request["image"][name].as_u64().unwrap());
        (steps, guidance, width, height)
    };
    assert_eq!(planned("inpaint", FILL), (50.0, 30.0, 64, 80));
    // Whole tokens.
    assert_eq!(planned("controlnet", "-m flux-control --control canny=map.png"), (50.0, 30.0, 64, 80));
    let depth = "-m flux-control --control depth=picture.png --preprocessor none";
    assert_eq!(planned("controlnet", depth), (30.0, 10.0, 64, 80));
    assert_eq!(planned("controlnet", &format!("{depth} --steps 7 -g 4")), (7.0, 4.0, 64, 80));
}

#[test]
fn a_picture_says_how_to_make_it_again() {
    let sandbox = sandbox();
    for (command, line) in [("inpaint", FILL), ("controlnet", CONTROL)] {
        run(&sandbox, command, &format!("{line} -o first.png")).succeeds();
        let first = fs::read(sandbox.path("first.png")).unwrap();
        assert!(text_chunk(&first, "parameters").unwrap().contains("CFG scale: 30"), "{command}");
        let again = ["--from", "first.png", "--overwrite", "-o", "again.png"];
        sandbox.run([command].into_iter().chain(again)).succeeds();
        let [first, again] = ["first.png", "again.png"].map(|name| pixels(&fs::read(sandbox.path(name)).unwrap()));
        assert_eq!(first, again, "{command}");
    }
}

#[test]
fn bare_transformers_are_known_by_their_first_layer() {
    let sandbox = sandbox();
    let base = fixtures().join("models/flux-dev");
    let base = base.to_str().unwrap();
    for (model, command, rest, title, pipeline) in [
        ("flux-fill", "inpaint", "-i picture.png --mask mask.png", "FLUX.1 Fill", "FluxFillPipeline"),
        ("flux-control", "controlnet", "--control canny=map.png", "FLUX.1 Canny or Depth", "FluxControlPipeline"),
    ] {
        let expected = picture(&sandbox, command, &format!("-m {model} {rest}"));
        fs::write(sandbox.path("unet.safetensors"), file(&transformer(model), &[])).unwrap();
        fs::write(sandbox.path("unet.gguf"), gguf(&transformer(model))).unwrap();
        for unet in ["unet.safetensors", "unet.gguf"] {
            let painted = run(&sandbox, command, &format!("-m {base} --unet {unet} {rest} -o unet.png")).succeeds();
            painted.says(&[&format!("{unet}: {title}")]);
            assert_eq!(pixels(&fs::read(sandbox.path("unet.png")).unwrap()), expected, "{unet}");
        }
        // In one file with the original code's names, and back in a folder.
        sandbox.run(["convert", model, "-o", "all.safetensors", "--layout", "single", "--overwrite"]).succeeds();
        let line = format!("-m all.safetensors --config {model} {rest} -o all.png");
        run(&sandbox, command, &line).succeeds().says(&[&format!("all.safetensors: {title}")]);
        assert_eq!(pixels(&fs::read(sandbox.path("all.png")).unwrap()), expected);
        let back = format!("back-{model}");
        sandbox.run(["convert", "all.safetensors", "-o", &back, "--layout", "diffusers", "--config", base]).succeeds();
        let index = fs::read_to_string(sandbox.path(&back).join("model_index.json")).unwrap();
        assert!(index.contains(pipeline), "{index}");
    }
}

#[test]
fn they_are_verified_with_what_they_see() {
    let sandbox = sandbox();
    for (model, kind) in [("flux-fill", "fill"), ("flux-control", "canny or depth")] {
        let verified = sandbox.run(["verify", model, "--smoke"]).succeeds();
        assert!(verified.text().contains(&format!("FLUX.1 transformer, {kind}")), "{}", verified.text());
    }
    sandbox
        .run(["bench", "--model", "flux-control", "--control", "canny=map.png", "--only", "step", "--steps", "1"])
        .succeeds();
}
