//! What `--control` takes beside ControlNets for one kind of map: unions, T2I-Adapters, files of differences. Their pictures are
//! compared with those of diffusers in `parity.rs`.

use std::fs;
use std::path::Path;

use sdgen::error::exit_code;

use crate::controlnet::{original_tensors, union};
use crate::single_file::{ckpt, file, fixtures, read, Stored};
use crate::support::{copy, difference, pixels, Outcome, Sandbox};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// A sandbox with the tiny model `model` and the pictures `map.png` and `picture.png`.
fn sandbox(model: &str, nets: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in [&[model], nets].concat() {
        copy(&fixtures().join("models").join(name), &sandbox.path(name));
    }
    for name in ["map.png", "picture.png"] {
        fs::copy(fixtures().join("pictures/given").join(name), sandbox.path(name)).unwrap();
    }
    sandbox
}

fn run(sandbox: &Sandbox, model: &str, more: &[&str]) -> Outcome {
    let quick = ["a cat", "--seed", "3", "--steps", "3", "-W", "64", "-H", "64", "--device", "cpu", "--dtype", "f32"];
    sandbox.run(["controlnet", "-m", model, "-o", "-"].iter().chain(&quick).chain(more))
}

/// The picture that a control makes, whose map is taken as it is.
fn picture(sandbox: &Sandbox, model: &str, controls: &[&str]) -> image::RgbImage {
    let controls: Vec<&str> = controls.iter().flat_map(|control| ["--control", control]).collect();
    let outcome = run(sandbox, model, &[&controls, &["--preprocessor", "none"][..]].concat());
    pixels(&outcome.succeeds().stdout)
}

#[test]
fn a_union_is_told_the_kind_of_map() {
    let sandbox = sandbox("sdxl", &[]);
    union(&sandbox.path("net"));
    let of = |controls: &[&str]| picture(&sandbox, "sdxl", controls);
    let pictures = [
        of(&["net#canny=map.png"]),
        of(&["net#depth=map.png"]),
        of(&["net#canny=map.png", "net#depth=map.png"]),
        of(&["net#canny=map.png:0"]),
    ];
    for (i, a) in pictures.iter().enumerate() {
        assert!(pictures[..i].iter().all(|b| difference(a, b).1 > 0.05), "{i}");
    }
    // One that counts nothing is not there.
    assert_eq!(of(&["net#canny=map.png", "net#depth=map.png:0"]), pictures[0]);
    // All kinds of lines have one number, and a preprocessor tells its kind.
    assert_eq!(of(&["net#lineart=map.png"]), pictures[0]);
    let told = run(&sandbox, "sdxl", &["--control", "net=picture.png", "--preprocessor", "canny"]).succeeds();
    let outcome = run(&sandbox, "sdxl", &["--control", "net#canny=picture.png"]).succeeds();
    assert_eq!(pixels(&told.stdout), pixels(&outcome.stdout));
    outcome.says(&["canny makes the map of `picture.png`"]);
    // A file without a folder, and the config of the published union, which has another class.
    fs::copy(sandbox.path("net").join(WEIGHTS), sandbox.path("alone.safetensors")).unwrap();
    let config = sandbox.path("net/config.json");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("ControlNetUnionModel", "ControlNetModel").replace("\"num_control_type\": 6,", "");
    fs::write(config, text).unwrap();
    assert_eq!(of(&["net#canny=map.png"]), pictures[0]);
    // The tiny one has other heads than those that are published: no tensor tells.
    run(&sandbox, "sdxl", &["--control", "alone.safetensors#canny=map.png"]).succeeds().says(&["a ControlNet, f16"]);
}

#[test]
fn kinds_that_a_union_does_not_know_are_refused() {
    let sandbox = sandbox("sdxl", &["sd15"]);
    union(&sandbox.path("net"));
    let fails = |control: &str, code| run(&sandbox, "sdxl", &["--control", control]).fails(code);
    fails("net=map.png", exit_code::USAGE).says(&["several kinds", "#canny", "openpose, "]);
    fails("net#cany=map.png", exit_code::USAGE).says(&["no kind of map `cany`", "did you mean `canny`"]);
    fails("net#tile=map.png", exit_code::USAGE).says(&["does not know maps of the kind `tile`", "it knows openpose"]);
    fails("#canny=map.png", exit_code::MODEL).says(&["no such ControlNet"]);
    let outcome = run(&sandbox, "sd15", &["--control", "net#canny=map.png"]).fails(exit_code::MODEL);
    outcome.says(&["is for SDXL", "SD 1.x"]);
}

#[test]
fn a_union_that_is_here_stands_in_for_a_net_that_is_not() {
    let sandbox = sandbox("sdxl", &[]);
    let run = |control: &str| {
        let fixed = ["controlnet", "-m", "sdxl", "-o", "-", "a cat", "--seed", "3", "--steps", "2", "--dtype", "f32"];
        let map = ["-W", "64", "-H", "64", "--preprocessor", "none", "--control", &format!("{control}=map.png")];
        let mut command = sandbox.command(fixed.iter().chain(&map));
        Outcome::new(command.env("HF_HOME", sandbox.path("hf")).env_remove("HF_HUB_CACHE").output().unwrap())
    };
    run("canny").fails(exit_code::MODEL).says(&["sdgen download cn-sdxl-canny"]);
    // There is no net of SDXL for this kind alone that has a short name.
    run("normal").fails(exit_code::MODEL).says(&["sdgen download cn-sdxl-union"]);
    let repository = sandbox.path("hf/hub/models--xinsir--controlnet-union-sdxl-1.0");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for folder in ["refs", "snapshots"] {
        fs::create_dir_all(repository.join(folder)).unwrap();
    }
    fs::write(repository.join("refs/main"), commit).unwrap();
    union(&repository.join("snapshots").join(commit));
    let at_once = pixels(&run("union#canny").succeeds().stdout);
    let outcome = run("canny").succeeds().says(&["`cn-sdxl-union`", "map of the kind `canny`"]);
    assert_eq!(pixels(&outcome.stdout), at_once);
    assert!(difference(&pixels(&run("normal").succeeds().stdout), &at_once).1 > 0.05);
    run("union").fails(exit_code::USAGE).says(&["#canny"]);
}

/// The name in TencentARC's code of a tensor of an adapter with so many residual blocks in each block, or of a light one.
fn original(name: &str, depth: Option<usize>) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let number = |i: usize| parts[i].parse::<usize>().unwrap();
    match (&parts[1..], depth) {
        (["conv_in", kind], _) => format!("conv_in.{kind}"),
        (["body", i, "resnets", j, rest @ ..], None) => format!("body.{i}.body.{j}.{}", rest.join(".")),
        (["body", _, "resnets", _, rest @ ..], Some(depth)) => {
            format!("body.{}.{}", number(2) * depth + number(4), rest.join("."))
        }
        (["body", i, rest @ ..], None) => format!("body.{i}.{}", rest.join(".")),
        (["body", _, rest @ ..], Some(depth)) => format!("body.{}.{}", number(2) * depth, rest.join(".")),
        _ => panic!("{name}"),
    }
}

fn originals(folder: &Path, depth: Option<usize>) -> Vec<Stored> {
    let tensors = read(&folder.join(WEIGHTS)).into_iter();
    tensors.map(|tensor| Stored { name: original(&tensor.name, depth), ..tensor }).collect()
}

#[test]
fn adapters_of_the_original_code_are_the_same() {
    let models = sandbox("sd15", &["adapter-sd15", "adapter-light"]);
    for (name, depth) in [("adapter-sd15", Some(2)), ("adapter-light", None)] {
        fs::write(models.path("net.pth"), ckpt(&originals(&models.path(name), depth), 1)).unwrap();
        let folder = picture(&models, "sd15", &[&format!("{name}=map.png")]);
        assert_eq!(picture(&models, "sd15", &["net.pth=map.png"]), folder, "{name}");
        fs::copy(models.path(name).join(WEIGHTS), models.path("alone.safetensors")).unwrap();
        assert_eq!(picture(&models, "sd15", &["alone.safetensors=map.png"]), folder, "{name}");
    }
    run(&models, "sd15", &["--control", "net.pth=map.png"]).succeeds().says(&["net.pth: a T2I-Adapter, f16"]);
    let models = sandbox("sdxl", &["adapter-sdxl"]);
    fs::write(models.path("net.pth"), ckpt(&originals(&models.path("adapter-sdxl"), Some(2)), 1)).unwrap();
    assert_eq!(picture(&models, "sdxl", &["net.pth=map.png"]), picture(&models, "sdxl", &["adapter-sdxl=map.png"]));
}

#[test]
fn adapters_count_as_the_mode_says() {
    let sandbox = sandbox("sd15", &["adapter-sd15", "controlnet-sd15"]);
    let of = |more: &[&str]| pixels(&run(&sandbox, "sd15", more).succeeds().stdout);
    let adapter = |more: &[&str]| of(&[&["--control", "adapter-sd15=map.png"], more].concat());
    let plain = of(&["--control", "adapter-sd15=map.png:0"]);
    let pictures =
        [adapter(&[]), adapter(&["--control-mode", "prompt"]), adapter(&["--control-mode", "control"]), plain];
    for (i, a) in pictures.iter().enumerate() {
        assert!(pictures[..i].iter().all(|b| difference(a, b).1 > 0.05), "{i}");
    }
    // With a ControlNet beside it, and twice half of it.
    let both = adapter(&["--control", "controlnet-sd15=map.png"]);
    assert!(difference(&both, &pictures[0]).1 > 0.05);
    let halves = of(&["--control", "adapter-sd15=map.png:0.5", "--control", "adapter-sd15=map.png:0.5"]);
    assert!(difference(&halves, &pictures[0]).0 <= 1);
    // Prompts of different length are predicted one by one.
    let long = vec!["dog"; 90].join(" ");
    adapter(&["--control-mode", "control", "--negative-prompt", &long]);
}

#[test]
fn adapters_that_do_not_fit_are_refused() {
    let models = sandbox("sd15", &["adapter-sd15", "adapter-sdxl", "sdxl", "sd21"]);
    let fails = |model: &str, control: &str, code| run(&models, model, &["--control", control]).fails(code);
    fails("sd15", "adapter-sdxl=map.png", exit_code::MODEL).says(&["the T2I-Adapter", "is for SDXL", "SD 1.x"]);
    fails("sdxl", "adapter-sd15=map.png", exit_code::MODEL).says(&["is for SD 1.x", "`sdxl` is SDXL"]);
    fails("sd21", "adapter-sd15=map.png", exit_code::MODEL).says(&["does not fit `sd21`", "16 at 1/8"]);
    let tall = run(&models, "sdxl", &["--control", "adapter-sdxl=map.png", "-H", "72"]).fails(exit_code::USAGE);
    tall.says(&["multiples of 16, not 64x72", "--width 64 --height 64"]);
    let alone = models.run(["generate", "x", "-m", "adapter-sd15/diffusion_pytorch_model.safetensors"]);
    alone.fails(exit_code::MODEL).says(&["it is a T2I-Adapter", "sdgen controlnet --control"]);
}

/// The values of a tensor in f16 or f32.
fn values(tensor: &Stored) -> Vec<f32> {
    match tensor.dtype.as_str() {
        "F16" => tensor.bytes.chunks(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        _ => tensor.bytes.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
    }
}

fn of_values(name: &str, shape: &[usize], values: &[f32]) -> Stored {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Stored { name: name.into(), dtype: "F32".into(), shape: shape.into(), bytes }
}

/// The tensors of the ControlNet in the names of the original code, each with what of it lies beyond the UNet's, and whether that
/// has one.
fn changes(sandbox: &Sandbox) -> Vec<(Stored, Vec<f32>, bool)> {
    let unet = read(&sandbox.path("sd15/unet").join(WEIGHTS));
    let own = read(&sandbox.path("controlnet-sd15").join(WEIGHTS));
    let change = |(tensor, own): (Stored, &Stored)| {
        let base = unet.iter().find(|base| base.name == own.name).map(values);
        let is_shared = base.is_some();
        let base = base.unwrap_or_else(|| vec![0.0; values(own).len()]);
        let change = values(own).into_iter().zip(base).map(|(own, base)| own - base).collect();
        (tensor, change, is_shared)
    };
    original_tensors().into_iter().zip(&own).map(change).collect()
}

#[test]
fn differences_are_added_to_the_unet() {
    let sandbox = sandbox("sd15", &["controlnet-sd15"]);
    let changes = changes(&sandbox).into_iter();
    let mut tensors: Vec<Stored> =
        changes.map(|(tensor, change, _)| of_values(&tensor.name, &tensor.shape, &change)).collect();
    tensors.push(Stored { name: "difference".into(), dtype: "F32".into(), shape: vec![], bytes: vec![0; 4] });
    fs::write(sandbox.path("diff.safetensors"), file(&tensors, &[])).unwrap();
    let full = picture(&sandbox, "sd15", &["controlnet-sd15=map.png"]);
    // Measured: no difference.
    assert!(difference(&picture(&sandbox, "sd15", &["diff.safetensors=map.png"]), &full).0 <= 1);
    let outcome = run(&sandbox, "sd15", &["--control", "diff.safetensors=map.png"]).succeeds();
    let outcome = outcome.says(&["holds differences", "added to the model's UNet"]);
    assert!(!outcome.stderr.contains("does not use"), "{}", outcome.stderr);
    // Without the mark it is another network.
    tensors.pop();
    fs::write(sandbox.path("whole.safetensors"), file(&tensors, &[])).unwrap();
    assert!(difference(&picture(&sandbox, "sd15", &["whole.safetensors=map.png"]), &full).1 > 0.05);
}

/// A Control-LoRA of full rank: each matrix of the UNet with a factor of ones on the diagonal.
#[test]
fn control_loras_are_added_to_the_unet() {
    let sandbox = sandbox("sd15", &["controlnet-sd15"]);
    let mut tensors = vec![of_values("lora_controlnet", &[0], &[])];
    for (tensor, change, is_shared) in changes(&sandbox) {
        let name = tensor.name.strip_prefix("control_model.").unwrap();
        match name.strip_suffix(".weight").filter(|_| is_shared && tensor.shape.len() > 1) {
            Some(layer) => {
                let rows = tensor.shape[0];
                let diagonal: Vec<f32> = (0..rows * rows).map(|i| f32::from(u8::from(i / rows == i % rows))).collect();
                let up = [&[rows, rows][..], &vec![1; tensor.shape.len() - 2]].concat();
                tensors.push(of_values(&format!("{layer}.up"), &up, &diagonal));
                tensors.push(of_values(&format!("{layer}.down"), &tensor.shape, &change));
            }
            None => tensors.push(Stored { name: name.into(), ..tensor }),
        }
    }
    fs::write(sandbox.path("lora.safetensors"), file(&tensors, &[])).unwrap();
    let full = picture(&sandbox, "sd15", &["controlnet-sd15=map.png"]);
    // Measured: no difference.
    assert!(difference(&picture(&sandbox, "sd15", &["lora.safetensors=map.png"]), &full).0 <= 1);
    let outcome = run(&sandbox, "sd15", &["--control", "lora.safetensors=map.png"]).succeeds();
    let outcome = outcome.says(&["lora.safetensors: a ControlNet", "added to the model's UNet"]);
    assert!(!outcome.stderr.contains("does not use"), "{}", outcome.stderr);
}

#[test]
fn relatives_of_controlnets_are_refused_by_name() {
    let sandbox = sandbox("sd15", &[]);
    for (name, what) in [
        ("lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight", "a ControlNet-LLLite"),
        ("down_blocks.0.base_to_ctrl.0.weight", "a ControlNet-XS"),
        ("control_model.enc_zero_convs_out.0.weight", "a ControlNet-XS"),
    ] {
        let own = of_values("controlnet_cond_embedding.conv_in.weight", &[1], &[0.0]);
        fs::write(sandbox.path("net.safetensors"), file(&[of_values(name, &[1], &[0.0]), own], &[])).unwrap();
        let outcome = run(&sandbox, "sd15", &["--control", "net.safetensors=map.png"]).fails(exit_code::MODEL);
        outcome.says(&[&format!("it is {what}"), "a ControlNet or a T2I-Adapter"]);
    }
}
