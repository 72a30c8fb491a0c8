//! Checkpoint files and parts: what they are is found out, and they paint what their folder paints.

use std::fs;
use std::path::PathBuf;

use sdgen::error::exit_code;

use crate::single_file::{checkpoint, ckpt, file, fixtures, gguf, read, zeros, Stored};
use crate::support::{copy, pixels, replace, Outcome, Sandbox, QUICK};

fn folder(model: &str) -> PathBuf {
    fixtures().join("models").join(model)
}

/// The tensors below a prefix, without it.
fn below(model: &str, prefix: &str) -> Vec<Stored> {
    let strip = |tensor: Stored| Some(Stored { name: tensor.name.strip_prefix(prefix)?.into(), ..tensor });
    checkpoint(model).into_iter().filter_map(strip).collect()
}

/// A sandbox with these files in it.
fn sandbox(files: &[(&str, &[Stored])]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, tensors) in files {
        fs::write(sandbox.path(name), file(tensors, &[])).unwrap();
    }
    sandbox
}

fn paint(sandbox: &Sandbox, output: &str, model: &[&str]) -> Outcome {
    let fixed = ["-W", "64", "-H", "64", "-o", output];
    sandbox.run(QUICK.iter().chain(model).chain(&fixed))
}

/// The picture of the folder and that of other arguments are the same.
fn same_picture(sandbox: &Sandbox, model: &str, arguments: &[&str]) -> Outcome {
    paint(sandbox, "folder.png", &["--model", folder(model).to_str().unwrap()]).succeeds();
    let outcome = paint(sandbox, "file.png", arguments).succeeds();
    let picture = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    assert!(picture("folder.png") == picture("file.png"), "{model}: another picture");
    outcome
}

#[test]
fn checkpoints_paint_what_their_folder_paints() {
    for (model, found) in [
        ("sd15", "my model.safetensors: SD 1.x, f16, with VAE and text encoder"),
        ("sd21", "my model.safetensors: SD 2.x, f16, with VAE and text encoder"),
        ("sdxl", "my model.safetensors: SDXL, f16, with VAE and text encoders"),
    ] {
        let sandbox = sandbox(&[("my model.safetensors", &checkpoint(model))]);
        let config = folder(model);
        let arguments = ["--model", "my model.safetensors", "--config", config.to_str().unwrap()];
        same_picture(&sandbox, model, &arguments).says(&[found]);
        let png = fs::read(sandbox.path("file.png")).unwrap();
        let says = |text: &str| png.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(says("Model: my model,") && !says(fixtures().to_str().unwrap()), "{model}");
    }
}

#[test]
fn every_container_holds_the_same_model() {
    let tensors = checkpoint("sd15");
    let unet = below("sd15", "model.diffusion_model.");
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("whole.gguf"), gguf(&tensors)).unwrap();
    fs::write(sandbox.path("unet.gguf"), gguf(&unet)).unwrap();
    fs::write(sandbox.path("whole.ckpt"), ckpt(&tensors, 7)).unwrap();
    let config = folder("sd15");
    let config = config.to_str().unwrap();
    for file in ["whole.gguf", "whole.ckpt"] {
        same_picture(&sandbox, "sd15", &["--model", file, "--config", config])
            .says(&[&format!("{file}: SD 1.x, f16, with VAE and text encoder")]);
    }
    same_picture(&sandbox, "sd15", &["--model", config, "--unet", "unet.gguf"]).says(&["unet.gguf: SD 1.x, f16"]);
}

#[test]
fn damaged_files_are_refused_by_what_is_wrong_with_them() {
    let whole = file(&checkpoint("sd15"), &[]);
    let mut header = whole.clone();
    header[..8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    let harmful = fs::read(fixtures().join("pickle/harmful.pt")).unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4265146304\n".to_vec();
    let cut = gguf(&checkpoint("sd15"));
    let cut = cut[..cut.len() - 100].to_vec();
    let have_and_need = format!("{} of {} bytes", whole.len() - 100, whole.len());
    let cases: [(Vec<u8>, &[&str]); 6] = [
        (pointer, &["LFS", "4265146304 bytes"]),
        (b"<!DOCTYPE html><html>".into(), &["web page"]),
        (whole[..whole.len() - 100].into(), &["incomplete", &have_and_need]),
        (header, &["1099511627776", &format!("the whole file has {}", whole.len())]),
        (harmful, &["harmful.run_me"]),
        (cut, &["incomplete"]),
    ];
    for (bytes, words) in cases {
        let sandbox = Sandbox::new();
        fs::write(sandbox.path("model.safetensors"), bytes).unwrap();
        paint(&sandbox, "x.png", &["--model", "model.safetensors"]).fails(exit_code::MODEL).says(words);
        paint(&sandbox, "x.png", &["--vae", "model.safetensors"]).fails(exit_code::MODEL).says(words);
        assert_eq!(sandbox.files(), ["model.safetensors"]);
    }
}

#[test]
fn parts_from_several_files_are_one_model() {
    let parts = [
        ("unet.safetensors", "model.diffusion_model."),
        ("vae.safetensors", "first_stage_model."),
        ("clip.safetensors", "cond_stage_model.transformer."),
    ];
    let parts: Vec<(&str, Vec<Stored>)> = parts.iter().map(|(name, prefix)| (*name, below("sd15", prefix))).collect();
    let sandbox = sandbox(&parts.iter().map(|(name, tensors)| (*name, tensors.as_slice())).collect::<Vec<_>>());
    let config = folder("sd15");
    let config = config.to_str().unwrap();
    let (vae, clip) = (["--vae", "vae.safetensors"], ["--clip-l", "clip.safetensors"]);
    let all = [&["--unet", "unet.safetensors", "--config", config], &vae[..], &clip[..]].concat();
    let shown = same_picture(&sandbox, "sd15", &all);
    let png = fs::read(sandbox.path("file.png")).unwrap();
    assert!(!png.windows(config.len()).any(|window| window == config.as_bytes()), "a path is in the picture");
    shown.says(&["unet.safetensors: SD 1.x, f16", "vae.safetensors: a VAE, f16"]);
    same_picture(&sandbox, "sd15", &[&["--model", config], &vae[..], &clip[..]].concat());
    // Parts of another model make another picture, and folders of parts are as good as files.
    let unet = folder("sd15").join("unet");
    same_picture(&sandbox, "sd15", &["--model", config, "--unet", unet.to_str().unwrap(), "--vae", config]);
    let other = folder("sd21").join("vae/diffusion_pytorch_model.safetensors");
    paint(&sandbox, "other.png", &["--model", config, "--vae", other.to_str().unwrap()]).succeeds();
    let picture = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    assert!(picture("other.png") != picture("folder.png"));
}

#[test]
fn a_model_that_is_not_whole_says_what_it_lacks() {
    let (unet, vae) = (below("sdxl", "model.diffusion_model."), below("sdxl", "first_stage_model."));
    let sandbox = sandbox(&[("unet.safetensors", &unet), ("vae.safetensors", &vae)]);
    paint(&sandbox, "x.png", &["--model", "unet.safetensors", "--vae", "vae.safetensors"])
        .fails(exit_code::MODEL)
        .says(&["SDXL, f16, without VAE and text encoder", "--clip-l FILE --clip-g FILE"]);
    paint(&sandbox, "x.png", &["--model", folder("sdxl").to_str().unwrap(), "--vae", "unet.safetensors"])
        .fails(exit_code::MODEL)
        .says(&["unet.safetensors", "--vae", "SDXL"]);
    let empty = sandbox.path("empty");
    fs::create_dir(&empty).unwrap();
    paint(&sandbox, "x.png", &["--vae", "empty"]).fails(exit_code::MODEL).says(&["empty", "--vae", "config.json"]);
    paint(&sandbox, "x.png", &["--vae", "gone"]).fails(exit_code::MODEL).says(&["gone"]);
    let sd15 = folder("sd15");
    let clip = folder("sdxl").join("text_encoder_2/model.safetensors");
    fs::copy(clip, sandbox.path("clip.safetensors")).unwrap();
    paint(&sandbox, "x.png", &["--model", sd15.to_str().unwrap(), "--clip-g", "clip.safetensors"])
        .fails(exit_code::USAGE)
        .says(&["--clip-g", "one text encoder", "--clip-l"]);
    paint(&sandbox, "x.png", &["--ema"]).fails(exit_code::USAGE).says(&["--ema"]);
    paint(&sandbox, "x.png", &["--config", "gone"]).fails(exit_code::MODEL).says(&["gone"]);
}

#[test]
fn what_is_no_model_is_refused_by_name() {
    let mut refiner = checkpoint("sdxl");
    refiner.iter_mut().for_each(|t| t.name = t.name.replace("embedders.1.model.", "embedders.0.model."));
    let one = |name: &str| vec![zeros(name, &[4, 4])];
    for (tensors, words) in [
        (one("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight"), &["a LoRA"][..]),
        (one("control_model.input_blocks.0.0.weight"), &["a ControlNet"]),
        (below("sd15", "first_stage_model."), &["a VAE", "--vae"]),
        (below("sd15", "cond_stage_model.transformer."), &["a text encoder", "--clip-l"]),
        (one("double_blocks.0.img_attn.qkv.weight"), &["a diffusion transformer", "FLUX.1"]),
        (one("something"), &["no model that is known"]),
        (refiner, &["refiner", "base model"]),
    ] {
        let sandbox = sandbox(&[("file.safetensors", &tensors)]);
        paint(&sandbox, "x.png", &["--model", "file.safetensors"]).fails(exit_code::MODEL).says(words);
        assert_eq!(sandbox.files(), ["file.safetensors"]);
    }
}

#[test]
fn an_ambiguous_prediction_is_asked_for() {
    let sandbox = sandbox(&[("sd2.safetensors", &checkpoint("sd21"))]);
    fs::write(sandbox.path("said.safetensors"), file(&checkpoint("sd21"), &[("modelspec.prediction_type", "v")]))
        .unwrap();
    paint(&sandbox, "x.png", &["--model", "sd2.safetensors"]).fails(exit_code::MODEL).says(&[
        "sd2.safetensors",
        "--prediction v",
        "--prediction epsilon",
        "768",
    ]);
    // The rest of the scheduler's config is the family's; sizes and vocabulary have to come from somewhere.
    let config = sandbox.path("config");
    fs::create_dir(&config).unwrap();
    for part in ["unet", "vae", "text_encoder", "tokenizer"] {
        fs::create_dir(config.join(part)).unwrap();
        for file in fs::read_dir(folder("sd21").join(part)).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_none_or(|ending| ending != "safetensors") {
                fs::copy(&file, config.join(part).join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    let config = config.to_str().unwrap();
    let with = |file: &'static str, more: &[&'static str]| [&["--model", file, "--config", config], more].concat();
    same_picture(&sandbox, "sd21", &with("sd2.safetensors", &["--prediction", "v"]));
    same_picture(&sandbox, "sd21", &with("said.safetensors", &[])).says(&["SD 2.x, v-prediction"]);
    paint(&sandbox, "epsilon.png", &with("said.safetensors", &["--prediction", "epsilon"])).succeeds();
    let picture = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    assert!(picture("epsilon.png") != picture("folder.png"));
    // A folder's own scheduler yields as well.
    let model = folder("sd21");
    let arguments = ["--model", model.to_str().unwrap(), "--prediction", "epsilon", "--scheduler", "ddim"];
    paint(&sandbox, "epsilon2.png", &arguments).succeeds();
    assert!(picture("epsilon2.png") != picture("folder.png"));
}

#[test]
fn averaged_weights_are_taken_when_asked_for() {
    let mut tensors = checkpoint("sd15");
    let averaged: Vec<Stored> = below("sd15", "model.")
        .into_iter()
        .map(|tensor| Stored { name: format!("model_ema.{}", tensor.name.replace('.', "")), ..tensor })
        .collect();
    for tensor in tensors.iter_mut().filter(|tensor| tensor.name.ends_with("out.2.bias")) {
        tensor.bytes.iter_mut().for_each(|byte| *byte = 0);
    }
    let plain = tensors.clone();
    tensors.extend(averaged);
    let sandbox = sandbox(&[("both.ckpt.safetensors", &tensors), ("plain.safetensors", &plain)]);
    let config = folder("sd15");
    let with = |file: &'static str, more: &[&'static str]| {
        [&["--model", file, "--config", config.to_str().unwrap()], more].concat()
    };
    same_picture(&sandbox, "sd15", &with("both.ckpt.safetensors", &["--ema"])).says(&["EMA"]);
    paint(&sandbox, "plain.png", &with("both.ckpt.safetensors", &[])).succeeds().says(&["--ema"]);
    let picture = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    assert!(picture("plain.png") != picture("folder.png"));
    paint(&sandbox, "x.png", &with("plain.safetensors", &["--ema"])).fails(exit_code::USAGE).says(&["--ema"]);
}

/// As in SSD-1B nothing attends in the middle, and the way up is no mirror image of the way down.
#[test]
fn pruned_unets_paint_what_their_folder_paints() {
    let mut unet = below("sdxl", "model.diffusion_model.");
    let gone = ["middle_block.1.", "middle_block.2.", "output_blocks.0.1.transformer_blocks.1."];
    unet.retain(|tensor| !gone.iter().any(|front| tensor.name.starts_with(front)));
    let sandbox = sandbox(&[("pruned.safetensors", &unet)]);
    copy(&folder("sdxl"), &sandbox.path("pruned"));
    let weights = sandbox.path("pruned/unet/diffusion_pytorch_model.safetensors");
    let mut tensors = read(&weights);
    let gone = ["mid_block.attentions.", "mid_block.resnets.1.", "up_blocks.0.attentions.0.transformer_blocks.1."];
    tensors.retain(|tensor| !gone.iter().any(|front| tensor.name.starts_with(front)));
    fs::write(&weights, file(&tensors, &[])).unwrap();
    let config = sandbox.path("pruned/unet/config.json");
    replace(&config, "UNetMidBlock2DCrossAttn", "UNetMidBlock2D");
    let reverse = "\"reverse_transformer_layers_per_block\": ";
    replace(&config, &format!("{reverse}null"), &format!("{reverse}[[1, 2, 2], 1, 1]"));
    paint(&sandbox, "folder.png", &["--model", "pruned"]).succeeds();
    let whole = folder("sdxl");
    let outcome =
        paint(&sandbox, "file.png", &["--model", whole.to_str().unwrap(), "--unet", "pruned.safetensors"]).succeeds();
    assert!(!outcome.stderr.contains("does not use"), "{}", outcome.stderr);
    let picture = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    assert!(picture("folder.png") == picture("file.png"));
}
