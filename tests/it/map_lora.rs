//! LoRAs that make FLUX.1 dev take a control map: those of FLUX.1 Canny and Depth.

use std::fs;

use sdgen::error::exit_code;

use crate::kontext::kontext;
use crate::single_file::{checkpoint, file, fixtures, gguf};
use crate::support::{copy, difference, pixels, text_chunk, Sandbox};
use crate::wide_flux::{self, picture, run};

const LORA: &str = "flux1-canny-dev-lora.safetensors";
const WITH: &str = "-m flux-dev -l flux1-canny-dev-lora.safetensors";
const CONTROL: &str = "-m flux-dev -l flux1-canny-dev-lora.safetensors --control canny=picture.png";

fn sandbox() -> Sandbox {
    let sandbox = wide_flux::sandbox();
    copy(&fixtures().join("models/flux-dev"), &sandbox.path("flux-dev"));
    fs::copy(fixtures().join("lora/flux-control.safetensors"), sandbox.path(LORA)).unwrap();
    fs::copy(fixtures().join("lora/flux-xlabs.safetensors"), sandbox.path("style.safetensors")).unwrap();
    sandbox
}

#[test]
fn they_are_for_dev_with_a_map() {
    let sandbox = sandbox();
    kontext(&sandbox);
    fs::copy(sandbox.path(LORA), sandbox.path("other.safetensors")).unwrap();
    let refused = |command: &str, line: &str, code: u8, words: &[&str]| {
        run(&sandbox, command, &format!("{line} -o x.png")).fails(code).says(words);
    };
    let told = ["flux-dev with flux1-canny-dev-lora", "control map", "sdgen controlnet --control canny="];
    refused("generate", WITH, exit_code::MODEL, &told);
    let other = ["flux1-canny-dev-lora", "control map", "which sees", "-m flux-dev"];
    let line = WITH.replace("flux-dev", "flux-kontext");
    refused("img2img", &format!("{line} -i picture.png"), exit_code::MODEL, &other);
    let line = WITH.replace("flux-dev", "flux-fill");
    refused("inpaint", &format!("{line} -i picture.png --mask mask.png"), exit_code::MODEL, &other);
    refused("controlnet", &format!("{CONTROL} -l other.safetensors"), exit_code::USAGE, &["`other` both"]);
    let no_lora = "-m flux-dev --control canny=picture.png";
    refused("controlnet", no_lora, exit_code::MODEL, &["ControlNets for FLUX.1 dev", "LoRAs (`--lora`)"]);
    let merge = ["lora-merge", "-m", "flux-dev", LORA, "-o", "merged"];
    sandbox.run(merge).fails(exit_code::MODEL).says(&["takes a control map", "cannot be merged"]);
    assert!(!sandbox.path("x.png").exists() && !sandbox.path("merged").exists());
}

#[test]
fn the_map_decides_the_picture() {
    let sandbox = sandbox();
    let edges = picture(&sandbox, "controlnet", CONTROL);
    assert!(difference(&edges, &picture(&sandbox, "controlnet", &format!("{CONTROL} --preprocessor none"))).1 > 1.0);
    let other = CONTROL.replace("lora.safetensors", "lora.safetensors:0.5");
    assert!(difference(&edges, &picture(&sandbox, "controlnet", &other)).1 > 1.0);
    let said = run(&sandbox, "controlnet", &format!("{CONTROL} -o a.png")).succeeds();
    said.says(&["take a control map, as FLUX.1 Canny, by its name", "48 of 48 modules, rank 4"]);
    // Beside another one, in whatever order.
    let both = picture(&sandbox, "controlnet", &format!("{CONTROL} -l style.safetensors:0.8"));
    let turned = CONTROL.replace("-l flux1", "-l style.safetensors:0.8 -l flux1");
    assert!(difference(&both, &edges).1 > 0.1);
    assert!(difference(&both, &picture(&sandbox, "controlnet", &turned)).0 <= 1);
    // Without strength there is no map.
    let idle = CONTROL.replace("lora.safetensors", "lora.safetensors:0");
    let line = format!("{idle} -o idle.png");
    run(&sandbox, "controlnet", &line).succeeds().says(&["at scale 0", "does not heed the map"]);
    let blind = picture(&sandbox, "controlnet", &format!("{idle} --preprocessor none"));
    assert_eq!(pixels(&fs::read(sandbox.path("idle.png")).unwrap()), blind);
    let plain = picture(&sandbox, "generate", "-m flux-dev -W 64 -H 80 -g 30");
    assert!(difference(&plain, &blind).1 > 0.1, "norms take the place of the model's");
}

#[test]
fn a_quantised_model_takes_it() {
    let sandbox = sandbox();
    let expected = picture(&sandbox, "controlnet", CONTROL);
    fs::write(sandbox.path("all.safetensors"), file(&checkpoint("flux-dev"), &[])).unwrap();
    let transformer: Vec<_> = checkpoint("flux-dev")
        .into_iter()
        .filter_map(|mut tensor| {
            tensor.name = tensor.name.strip_prefix("model.diffusion_model.")?.into();
            Some(tensor)
        })
        .collect();
    fs::write(sandbox.path("unet.gguf"), gguf(&transformer)).unwrap();
    for (more, bound) in [("--unet unet.gguf", 0.0), ("--quantize q8_0", 4.0)] {
        let painted = picture(&sandbox, "controlnet", &format!("{CONTROL} {more}"));
        let (_, mean) = difference(&painted, &expected);
        assert!(mean <= bound, "{more}: {mean}");
    }
}

#[test]
fn a_plan_and_a_picture_tell_of_it() {
    let sandbox = sandbox();
    let planned = |line: &str| {
        let plan = sandbox.run(["controlnet", "x", "--dry-run"].into_iter().chain(line.split_whitespace())).succeeds();
        let plan: serde_json::Value = serde_json::from_str(plan.text()).unwrap();
        let [steps, guidance] = ["steps", "guidance"].map(|name| plan["request"]["sampling"][name].as_f64().unwrap());
        (steps, guidance)
    };
    assert_eq!(planned(CONTROL), (50.0, 30.0));
    let depth = CONTROL.replace("canny=picture", "depth=picture");
    assert_eq!(planned(&format!("{depth} --preprocessor none")), (30.0, 10.0));
    let line = format!("{depth} --preprocessor none -o depth.png");
    run(&sandbox, "controlnet", &line).succeeds().says(&["says canny, and it is shown a map of the kind depth"]);
    run(&sandbox, "controlnet", &format!("{CONTROL} -o first.png")).succeeds();
    let first = fs::read(sandbox.path("first.png")).unwrap();
    assert!(text_chunk(&first, "parameters").unwrap().contains("<lora:flux1-canny-dev-lora:1>"));
    sandbox.run(["controlnet", "--from", "first.png", "--overwrite", "-o", "again.png"]).succeeds();
    assert_eq!(pixels(&first), pixels(&fs::read(sandbox.path("again.png")).unwrap()));
    let info = sandbox.run(["info", LORA]).succeeds();
    assert!(info.text().contains("it makes FLUX.1 dev take one"), "{}", info.text());
    sandbox.run(["verify", LORA]).succeeds();
}

#[test]
fn it_is_there_for_all_pictures_of_a_run() {
    let sandbox = sandbox();
    let run = |command: &str, prompt: &str, seed: &str, more: &[&str]| {
        let line =
            [command, prompt, "-m", "flux-dev", "--lora-dir", ".", "--steps", "1", "--max-tokens", "8", "-s", seed];
        sandbox.run(line.iter().chain(&["-W", "64", "-H", "64", "--overwrite", "-o", "{index}.png"]).chain(more))
    };
    let control = ["--control", "canny=picture.png", "--count", "2"];
    let tagged = run("controlnet", "x <lora:flux1-canny-dev-lora:1>", "5", &control);
    tagged.succeeds().says(&["take a control map"]);
    // The first picture has it and the second one has not, and the other way round.
    let drawn = "{<lora:flux1-canny-dev-lora:1>|y}";
    for (command, seed, more, told) in [
        ("controlnet", "5", &control[..], "no longer"),
        ("generate", "2", &control[2..], "not from the first picture on"),
    ] {
        let outcome = run(command, drawn, seed, more);
        assert_eq!((outcome.code, outcome.paths()), (Some(exit_code::USAGE.into()), vec!["0.png"]));
        outcome.says(&["flux1-canny-dev-lora", told, "for all pictures of the run"]);
    }
}
