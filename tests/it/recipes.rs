//! `--from`: a picture's recipe makes the same picture again, whatever it was made with; options count before it.

use std::fs;
use std::path::{Path, PathBuf};

use sdgen::error::exit_code;
use serde_json::Value;

use crate::support::{copy, pixels, Outcome, Sandbox};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A sandbox with the folder `sub`, which holds what pictures are made with.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("sub")).unwrap();
    for (from, to) in [
        ("tests/fixtures/golden/a-red-apple-7.png", "sub/in.png"),
        ("tests/fixtures/pictures/given/mask.png", "sub/mask.png"),
        ("tests/fixtures/pictures/given/map.png", "sub/map.png"),
        ("assets/lora/line-drawing.safetensors", "sub/line-drawing.safetensors"),
        ("tests/fixtures/lora/sd15-kohya.safetensors", "sub/kohya.safetensors"),
    ] {
        fs::copy(repository(from), sandbox.path(to)).unwrap();
    }
    for (from, to) in [("sd15", "sub/model"), ("controlnet-sd15", "sub/net")] {
        copy(&repository("tests/fixtures/models").join(from), &sandbox.path(to));
    }
    // No multiple of 8: a second run must not scale what the first one cut.
    image::open(sandbox.path("sub/in.png"))
        .unwrap()
        .crop_imm(0, 0, 125, 101)
        .save(sandbox.path("sub/odd.png"))
        .unwrap();
    sandbox
}

fn of(sandbox: &Sandbox, name: &str) -> image::RgbImage {
    pixels(&fs::read(sandbox.path(name)).unwrap())
}

/// Makes `a.png` with these arguments, and `b.png` from it.
#[track_caller]
fn again(sandbox: &Sandbox, line: &[&str]) -> Outcome {
    let common = ["--steps", "2", "--device", "cpu", "--overwrite", "-o", "a.png"];
    sandbox.run(line.iter().chain(&common)).succeeds();
    let repeated = sandbox.run(["generate", "--from", "a.png", "-o", "b.png", "--overwrite"]).succeeds();
    assert_eq!(of(sandbox, "a.png"), of(sandbox, "b.png"), "{line:?}");
    repeated
}

#[test]
fn pictures_of_every_kind_are_made_again() {
    let sandbox = sandbox();
    let prompt = "a \"red\" apple, {round|flat}, (shiny:1.2) \u{1f34e}";
    again(
        &sandbox,
        &["generate", prompt, "-n", "blurry,\nlines", "--scheduler", "dpm++2m-sde-karras", "--dtype", "bf16"],
    );
    again(
        &sandbox,
        &["generate", "sun", "--rng", "philox", "-g", "3.3", "--eta", "0.5", "--scheduler", "ddim", "-n", ""],
    );
    again(&sandbox, &["img2img", "a green apple", "-i", "sub/in.png", "--strength", "0.7"]);
    again(&sandbox, &["img2img", "a green apple", "-i", "sub/odd.png"]);
    again(
        &sandbox,
        &["inpaint", "a pear", "-i", "sub/in.png", "--mask", "sub/mask.png", "--mask-blur", "4", "--invert-mask"],
    );
    again(
        &sandbox,
        &["inpaint", "a pear", "-i", "sub/in.png", "--mask", "sub/mask.png", "--only-masked=16", "--no-paste-back"],
    );
    again(&sandbox, &["inpaint", "a meadow", "-i", "sub/odd.png", "--extend", "16,0,16,8"]);
    again(&sandbox, &["generate", "a cat", "-l", "sub/line-drawing.safetensors:0.8"]);
    again(&sandbox, &["generate", "a cat <lora:line-drawing:0.6>", "--lora-dir", "sub"]);
    let tiny = ["-m", "sub/model", "-W", "64", "-H", "64"];
    again(
        &sandbox,
        &[&["generate", "x", "-l", "sub/kohya.safetensors:1:0.5", "--lora-blocks", "MID=0.5"], &tiny[..]].concat(),
    );
    let net = "sub/net=sub/map.png:0.8:0:0.6";
    again(&sandbox, &[&["controlnet", "x", "--control", net, "--preprocessor", "none"], &tiny[..]].concat());
    again(
        &sandbox,
        &[&["img2img", "x", "-i", "sub/in.png", "--control", net, "--control-mode", "prompt"], &tiny[..]].concat(),
    );
    let batch = again(&sandbox, &["generate", "moon", "-b", "1"]);
    batch.says(&["the recipe of a.png is by sdgen"]);
}

#[test]
fn options_count_before_a_recipe() {
    let sandbox = sandbox();
    let line =
        ["img2img", "an apple", "-i", "sub/in.png", "--seed", "5", "--steps", "3", "--scheduler", "dpm++2m-karras"];
    sandbox.run(line.iter().chain(&["-o", "a.png"])).succeeds();
    let request = |more: &[&str]| {
        let outcome = sandbox.run(["generate", "--from", "a.png", "--dry-run"].iter().chain(more)).succeeds();
        serde_json::from_str::<Value>(outcome.text()).unwrap()["request"].clone()
    };
    let whole = request(&[]);
    assert_eq!((&whole["sampling"]["seed"], &whole["prompt"]["text"]), (&5.into(), &"an apple".into()));
    let changed = request(&["a pear", "--seed", "6", "--scheduler", "euler", "--strength", "0.4", "-n", "x"]);
    assert_eq!((&changed["sampling"]["seed"], &changed["prompt"]["text"]), (&6.into(), &"a pear".into()));
    assert_eq!(
        (&changed["sampling"]["scheduler"], &changed["sampling"]["sigmas"]),
        (&"euler".into(), &"normal".into())
    );
    assert_eq!((&changed["input"]["strength"], &changed["sampling"]["steps"]), (&0.4.into(), &3.into()));
    sandbox.run(["config", "--from", "a.png", "--show-origin"]).succeeds();
    let dropped = sandbox.run(["controlnet", "--from", "a.png", "--dry-run"]).fails(exit_code::USAGE);
    dropped.says(&["no ControlNet"]);
    sandbox.run(["preset", "save", "x", "--from", "a.png"]).fails(exit_code::USAGE).says(&["recipe"]);
}

#[test]
fn what_a_recipe_names_and_is_not_here_is_asked_for() {
    let sandbox = sandbox();
    again(&sandbox, &["img2img", "an apple", "-i", "sub/in.png"]);
    let from = ["generate", "--from", "a.png", "-o", "c.png"];
    fs::copy(sandbox.path("sub/mask.png"), sandbox.path("sub/in.png")).unwrap();
    sandbox.run(from).fails(exit_code::MODEL).says(&["another content", "--image"]);
    sandbox.run(from.iter().chain(&["-i", "sub/in.png"])).succeeds();
    fs::remove_file(sandbox.path("sub/in.png")).unwrap();
    sandbox.run(from).fails(exit_code::MODEL).says(&["`in.png`, which is not here", "--image FILE"]);
    // Beside the picture it is found again.
    fs::copy(repository("tests/fixtures/golden/a-red-apple-7.png"), sandbox.path("in.png")).unwrap();
    sandbox.run(from).succeeds();
    again(&sandbox, &["generate", "x", "-m", "sub/model", "-W", "64", "-H", "64"]);
    fs::rename(sandbox.path("sub/model"), sandbox.path("sub/other")).unwrap();
    let gone = ["model `model`, which is not here", "--model PATH"];
    sandbox.run(from).fails(exit_code::MODEL).says(&gone);
    sandbox.run(["generate", "--from", "a.png", "-m", "sub/other", "-o", "c.png", "--overwrite"]).succeeds();
    assert_eq!(of(&sandbox, "a.png"), of(&sandbox, "c.png"));
    sandbox.run(["generate", "--from", "none.png"]).fails(exit_code::MODEL).says(&["none.png"]);
    let plain = repository("tests/fixtures/metadata/recipes/none.png");
    sandbox.run(["generate", "--from", plain.to_str().unwrap()]).fails(exit_code::MODEL).says(&["no recipe"]);
}

#[test]
fn pictures_of_other_programs_are_made_alike() {
    let sandbox = Sandbox::new();
    let file = |name: &str| repository("tests/fixtures/metadata/recipes").join(name).to_str().unwrap().to_string();
    let dry =
        |name: &str, more: &[&str]| sandbox.run(["generate", "--dry-run", "--from", &file(name)].iter().chain(more));
    let missing = dry("a1111.jpg", &[]).fails(exit_code::MODEL);
    missing.says(&["v1-5-pruned-emaonly", "not here", "--model PATH"]);
    let lora = repository("tests/fixtures/lora/sd15-kohya.safetensors").to_str().unwrap().to_string();
    let model = repository("tests/fixtures/models/sd15").to_str().unwrap().to_string();
    let taken = dry("a1111.jpg", &["-m", &model, "-l", &lora]).succeeds();
    let taken = taken.says(&["is by A1111", "like it, not the same", "`--lora` of the recipe", "style_v1:0.8"]);
    let plan: Value = serde_json::from_str(taken.text()).unwrap();
    assert_eq!(
        (&plan["request"]["sampling"]["seed"], &plan["request"]["prompt"]["clip_skip"]),
        (&1002.into(), &2.into())
    );
    let img2img = dry("comfyui_img2img.png", &["-m", &model]).fails(exit_code::USAGE);
    img2img.says(&["no picture is given", "--image"]);
    let input = repository("tests/fixtures/golden/a-red-apple-7.png").to_str().unwrap().to_string();
    let img2img = dry("comfyui_img2img.png", &["-m", &model, "-i", &input]).succeeds();
    img2img.says(&["not taken from the recipe", "LoadImage in.png"]);
    let info = sandbox.run(["info", &file("comfyui_lora.png")]).succeeds();
    for line in ["recipe by ComfyUI: --prompt a lighthouse", "--lora style_v1.safetensors:0.8:0.6, sub/detail"] {
        assert!(info.text().contains(line), "{}", info.text());
    }
}
