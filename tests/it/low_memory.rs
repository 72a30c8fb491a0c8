//! `--low-memory`: the same picture from weights that stay in their files.

use std::fs;

use serde_json::Value;

use crate::single_file::fixtures;
use crate::support::{Outcome, Sandbox};

fn paint(sandbox: &Sandbox, model: &str, more: &[&str]) -> Outcome {
    let model = fixtures().join("models").join(model);
    let fixed = ["generate", "a {cat|dog}", "--model", model.to_str().unwrap(), "-W", "64", "-H", "64", "--steps", "2"];
    let seed = ["--seed", "5", "--device", "cpu", "--vae-tiling", "on", "--metadata", "none"];
    sandbox.run(fixed.iter().chain(&seed).chain(more)).succeeds()
}

#[test]
fn the_picture_is_the_same_bit_for_bit() {
    let sandbox = Sandbox::new();
    fs::copy(fixtures().join("lora/sd15-kohya.safetensors"), sandbox.path("a.safetensors")).unwrap();
    let cases = [
        ("sd15", &["--dtype", "f32"][..]),
        ("sd15", &["--dtype", "bf16"]),
        ("sd15", &["--dtype", "f32", "-l", "a.safetensors"]),
        ("sd15", &["--dtype", "f32", "--quantize", "q8_0"]),
        ("sd15", &["--dtype", "f32", "--count", "2"]),
        ("flux-dev", &["--dtype", "f32"]),
        ("sd35", &["--dtype", "f32"]),
    ];
    for (model, more) in cases {
        let pictures = |low: &[&str], words: &[&str]| {
            let name = if more.contains(&"--count") { "{seed}.png" } else { "5.png" };
            paint(&sandbox, model, &[&["-o", name, "--overwrite"], more, low].concat()).says(words);
            let made = sandbox.files().into_iter().filter(|name| name != "a.safetensors");
            made.map(|name| fs::read(sandbox.path(&name)).unwrap()).collect::<Vec<_>>()
        };
        let plain = pictures(&[], &[]);
        assert!(pictures(&["--low-memory"], &["slower", "every step"]) == plain, "{model} {more:?}");
    }
}

#[test]
fn the_plan_counts_it() {
    let sandbox = Sandbox::new();
    let memory = |more: &[&str]| {
        let plan = paint(&sandbox, "sd15", &[&["--dry-run"], more].concat());
        let plan: Value = serde_json::from_str(plan.text()).unwrap();
        let of = |key: &str| plan["memory"][key].as_u64().unwrap();
        (of("mapped"), of("peak") - of("mapped"))
    };
    let (plain, low) = (memory(&[]), memory(&["--low-memory"]));
    assert!(plain.0 == 0 && low.0 > 0 && low.1 < plain.1, "{plain:?} {low:?}");
}
