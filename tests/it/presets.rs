//! Presets: those of the program are true, and users can have their own.

use std::fs;
use std::path::{Path, PathBuf};

use sdgen::config::{preset, Surroundings};
use sdgen::error::exit_code;
use sdgen::hub::registry::{self, Kind};
use serde_json::Value;

use crate::support::{Outcome, Sandbox};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A tiny model of the family of a short name.
fn tiny(alias: &str) -> String {
    let family = match alias {
        "sd-turbo" => "sd21",
        "sdxl" | "sdxl-turbo" | "sd15" | "sd21" => alias,
        "sd35-medium" => "sd35",
        "flux-dev" | "flux-schnell" => "flux-dev",
        other => return other.into(),
    };
    fixture("models").join(family).to_string_lossy().into_owned()
}

#[test]
fn those_of_the_program_are_true() {
    let presets = preset::all(&Surroundings::default()).unwrap();
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("presets")).unwrap().count();
    assert!(presets.len() >= 10 && presets.len() == files, "{} of {files} files", presets.len());
    let sandbox = Sandbox::new();
    for preset in &presets {
        let name = &preset.name;
        let file = preset.read(&Surroundings::default()).unwrap();
        assert!(file.description.is_some_and(|text| !text.is_empty()), "{name} says what it is for");
        let given = preset::layer(name, &Surroundings::default()).unwrap().given;
        let get =
            |option: &str| given.iter().find(|given| given.setting.option == option).map(|given| given.texts.clone());
        let mut line: Vec<String> = ["generate", "a hill", "--dry-run", "--preset", name].map(Into::into).to_vec();
        if let Some(model) = get("model") {
            let known = model[0] == "emoji" || registry::by_alias(&model[0]).is_some_and(|entry| entry.supported);
            assert!(known, "{name}: no model `{}`", model[0]);
            line.extend(["-m".into(), tiny(&model[0])]);
        }
        for lora in get("lora").into_iter().flatten() {
            assert_eq!(registry::by_alias(&lora).map(|entry| entry.kind), Some(Kind::Lora), "{name}: {lora}");
            let file = if name.contains("sdxl") { "sdxl-peft" } else { "sd15-kohya" };
            line.extend([
                "-l".into(),
                fixture("lora").join(file).with_extension("safetensors").to_string_lossy().into_owned(),
            ]);
        }
        let outcome = sandbox.run(&line).succeeds();
        let plan: Value = serde_json::from_str(outcome.text()).unwrap();
        for (option, field) in
            [("steps", "steps"), ("guidance", "guidance"), ("scheduler", "scheduler"), ("sigmas", "sigmas")]
        {
            let Some(expected) = get(option) else { continue };
            let planned = &plan["request"]["sampling"][field];
            let same = match planned {
                Value::String(text) => *text == expected[0],
                number => number.as_f64() == expected[0].parse().ok(),
            };
            assert!(same, "{name}: {option} is {planned}, not {}", expected[0]);
        }
        let text = plan["request"]["prompt"]["text"].as_str().unwrap();
        let around =
            [get("prompt-prefix"), get("prompt-suffix")].map(|text| text.map_or(String::new(), |t| t[0].clone()));
        assert_eq!(text, format!("{}a hill{}", around[0], around[1]), "{name}");
    }
}

#[test]
fn the_project_comes_before_the_user_and_the_user_before_the_program() {
    let sandbox = Sandbox::new();
    let steps = || {
        let outcome = sandbox.run(["generate", "x", "--preset", "watercolor", "--dry-run"]).succeeds();
        serde_json::from_str::<Value>(outcome.text()).unwrap()["request"]["sampling"]["steps"].clone()
    };
    let own = steps();
    let user = sandbox.user().join("presets");
    fs::create_dir_all(&user).unwrap();
    fs::write(user.join("watercolor.toml"), "[sampling]\nsteps = 3").unwrap();
    assert_eq!(steps(), 3);
    fs::create_dir(sandbox.path("presets")).unwrap();
    fs::write(sandbox.path("presets/watercolor.toml"), "[sampling]\nsteps = 4").unwrap();
    assert_eq!(steps(), 4);
    assert_ne!(own, 3);
    let list = sandbox.run(["preset", "list"]).succeeds();
    let lines: Vec<&str> = list.text().lines().filter(|line| line.starts_with("watercolor ")).collect();
    assert!(lines.len() == 1 && lines[0].contains("presets/watercolor.toml"), "{lines:?}");
    let mut command = sandbox.command(["generate", "x", "--dry-run"]);
    let outcome = Outcome::new(command.env("SDGEN_PRESET", "watercolor").output().unwrap()).succeeds();
    assert!(outcome.text().contains("\"steps\": 4"));
}

#[test]
fn one_extends_another_and_no_circle() {
    let sandbox = Sandbox::new();
    let write = |name: &str, text: &str| fs::write(sandbox.path(name), text).unwrap();
    fs::create_dir(sandbox.path("presets")).unwrap();
    write("presets/base.toml", "[sampling]\nsteps = 3\nguidance = 2\n[prompt]\nsuffix = ', in oil'");
    write("presets/next.toml", "extends = 'base'\n[sampling]\nsteps = 5");
    let outcome = sandbox.run(["preset", "show", "next"]).succeeds();
    let text = outcome.text().split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "steps = 5 # presets/next.toml:3",
        "guidance = 2 # presets/base.toml:3",
        "suffix = \", in oil\" # presets/base",
    ] {
        assert!(text.contains(line), "{text}");
    }
    write("presets/base.toml", "extends = 'next'");
    let circle = ["presets/base.toml:1", "circle", "presets/next.toml -> presets/base.toml -> presets/next.toml"];
    sandbox.run(["preset", "show", "next"]).fails(exit_code::USAGE).says(&circle);
    write("presets/base.toml", "extends = 'photograph'");
    sandbox
        .run(["generate", "x", "--preset", "base"])
        .fails(exit_code::USAGE)
        .says(&["base.toml:1", "did you mean `photo`?"]);
    sandbox.run(["generate", "x", "--preset", "./none.toml"]).fails(exit_code::MODEL).says(&["none.toml"]);
}

#[test]
fn options_are_saved_and_come_back() {
    let sandbox = Sandbox::new();
    let save =
        ["preset", "save", "mine", "--steps", "7", "--scheduler", "euler-karras", "-n", "blurry, \"dark\"", "--ema"];
    let saved = sandbox.run(save.iter().chain(&["--description", "Mine"])).succeeds();
    let path = sandbox.user().join("presets/mine.toml");
    assert_eq!(saved.paths(), [path.to_str().unwrap()]);
    let shown = sandbox.run(["preset", "show", "mine"]).succeeds();
    for line in ["steps = 7", "sampler = \"euler\"", "schedule = \"karras\"", "ema = true"] {
        assert!(shown.text().contains(line), "{}", shown.text());
    }
    let plan = sandbox.run(["generate", "x", "--preset", "mine", "--no-ema", "--dry-run"]).succeeds();
    let plan: Value = serde_json::from_str(plan.text()).unwrap();
    assert_eq!(plan["request"]["prompt"]["negative"], "blurry, \"dark\"");
    assert_eq!(plan["request"]["sampling"]["scheduler"], "euler");
    sandbox.run(save).fails(exit_code::USAGE).says(&["already", "--replace"]);
    sandbox.run(["preset", "save", "mine", "--replace", "--preset", "photo", "-W", "640"]).succeeds();
    assert!(fs::read_to_string(&path).unwrap().contains("extends = \"photo\""));
    fs::create_dir(sandbox.path("sub")).unwrap();
    fs::write(sandbox.path("sub/style.safetensors"), "").unwrap();
    sandbox.run(["preset", "save", "sub/p.toml", "-l", "sub/style.safetensors:0.5"]).succeeds();
    let whole = format!("{}:0.5", sandbox.path("sub/style.safetensors").canonicalize().unwrap().display());
    assert!(fs::read_to_string(sandbox.path("sub/p.toml")).unwrap().contains(&whole));
}

#[test]
fn what_is_no_preset_is_not_saved() {
    let sandbox = Sandbox::new();
    let refused = |more: &[&str]| sandbox.run(["preset", "save", "mine"].iter().chain(more)).fails(exit_code::USAGE);
    refused(&[]).says(&["nothing to save"]);
    refused(&["--device", "cpu"]).says(&["--device", "machine"]);
    refused(&["--steps", "900"]).says(&["900"]);
    refused(&["--preset", "fotos"]).says(&["there is no preset"]);
    refused(&["--steps", "3", "--dry-run"]).says(&["no picture"]);
    assert!(!sandbox.user().exists());
}

/// A variable, or a file, that names no preset once kept `preset list` from showing which there are, and `download` from fetching.
#[test]
fn a_wrong_name_in_a_variable_does_not_hide_the_list() {
    let sandbox = Sandbox::new();
    let run = |args: &[&str]| {
        let mut command = sandbox.command(args);
        Outcome::new(command.env("SDGEN_PRESET", "watercolour").output().unwrap())
    };
    fs::write(sandbox.path("sdgen.toml"), "extends = \"watercolour\"\n").unwrap();
    assert!(run(&["preset", "list"]).succeeds().text().contains("watercolor"));
    run(&["download", "--list"]).succeeds();
    run(&["generate", "x", "--dry-run"]).fails(exit_code::USAGE).says(&["watercolour", "did you mean `watercolor`?"]);
}
