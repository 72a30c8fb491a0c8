//! Pictures of the tiny models against those that diffusers paints (`tools/reference/pictures.py`).
//!
//! Of candle's own defects that a picture shows, these would show: pooled text and sizes not used by SDXL, states of the wrong
//! layer, a wrong VAE scale, wrong padding, halves of a guided batch mixed up (`batch`), one step too many with trailing
//! timesteps (`turbo`), truncated timesteps (`karras`), steps found by their timestep (`heun`, `pndm`), a default sampler that
//! is not the model's (`own-scheduler`), noise from another generator (`eta`, `euler-a`), truncated pixels, and a prediction
//! type that is guessed (`sd21`). With a picture to begin with: draws in another order (these VAEs' variance is large), a wrong
//! first step, noise of a wrong level put back around the mask, a mask that is ignored, wrong channels for an inpainting
//! model or for one that is shown a map.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::controlnet::union;
use crate::kontext::kontext;
use crate::support::{copy, difference, pixels, Sandbox};
use crate::wide_flux::wide_flux;

#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    command: String,
    pictures: usize,
    arguments: Vec<String>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Paints all cases whose name begins with `prefix` and compares them. Over all cases no pixel is off by more than 1 of 255,
/// and no picture by more than 0.0005 in the mean.
fn compare(prefix: &str) {
    let cases = fs::read(fixtures().join("pictures/cases.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&cases).unwrap();
    let cases: Vec<&Case> = cases.iter().filter(|case| case.name.starts_with(prefix)).collect();
    assert!(!cases.is_empty(), "no case begins with {prefix}");
    for case in cases {
        let sandbox = Sandbox::new();
        let model = match case.model.as_str() {
            "flux-kontext" => kontext(&sandbox),
            "flux-fill" | "flux-control" => wide_flux(&case.model, &sandbox),
            model => fixtures().join("models").join(model),
        };
        for given in ["picture.png", "mask.png", "map.png"] {
            fs::copy(fixtures().join("pictures/given").join(given), sandbox.path(given)).unwrap();
        }
        for lora in ["sd15-kohya", "sdxl-peft", "flux-xlabs", "flux-control"].map(|name| format!("{name}.safetensors"))
        {
            fs::copy(fixtures().join("lora").join(&lora), sandbox.path(&lora)).unwrap();
        }
        if case.name.contains("redux") {
            copy(&fixtures().join("models/flux-redux"), &sandbox.path("flux-redux"));
        }
        if case.name.contains("control") {
            // Which kind a ControlNet is, its name tells.
            copy(&fixtures().join("models/controlnet-sd15"), &sandbox.path("controlnet-inpaint"));
            for net in ["sd15", "sdxl", "sd21", "small"].map(|name| format!("controlnet-{name}")) {
                copy(&fixtures().join("models").join(&net), &sandbox.path(&net));
            }
            for adapter in ["adapter-sd15", "adapter-light", "adapter-sdxl"] {
                copy(&fixtures().join("models").join(adapter), &sandbox.path(adapter));
            }
            union(&sandbox.path("controlnet-union"));
        }
        let fixed = ["--weighting", "none", "--long-prompt", "truncate", "--device", "cpu", "--dtype", "f32"];
        let arguments =
            [&case.command, "--model", model.to_str().unwrap(), "-o", "{index}.png"].into_iter().chain(fixed);
        let outcome = sandbox.run(arguments.chain(case.arguments.iter().map(String::as_str))).succeeds();
        assert_eq!(outcome.paths().len(), case.pictures, "{}", case.name);
        for (index, path) in outcome.paths().iter().enumerate() {
            let golden = fixtures().join(format!("pictures/{}-{index}.png", case.name));
            let painted = pixels(&fs::read(sandbox.path(path)).unwrap());
            let (max, mean) = difference(&painted, &pixels(&fs::read(golden).unwrap()));
            assert!(max <= 1 && mean <= 0.005, "{} {index}: max {max}, mean {mean}", case.name);
        }
    }
}

#[test]
fn sd15_pictures_are_those_of_diffusers() {
    compare("sd15-");
}

#[test]
fn sd21_pictures_are_those_of_diffusers() {
    compare("sd21-");
}

#[test]
fn sdxl_pictures_are_those_of_diffusers() {
    compare("sdxl-");
}

#[test]
fn flux_pictures_are_those_of_diffusers() {
    compare("flux-");
}

#[test]
fn sd35_pictures_are_those_of_diffusers() {
    compare("sd35");
}
