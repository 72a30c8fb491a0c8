use std::fs;

use crate::support::{pixels, text_chunk as text, texts, Sandbox};

#[test]
fn a_picture_tells_how_it_was_made_as_much_as_asked() {
    let sandbox = Sandbox::new();
    for (kind, has_parameters, has_request) in [("full", true, true), ("a1111", true, false), ("none", false, false)] {
        sandbox.quick(&["-o", "a.png", "--overwrite", "--metadata", kind]).succeeds();
        let png = fs::read(sandbox.path("a.png")).unwrap();
        assert_eq!(text(&png, "parameters").is_some(), has_parameters, "{kind}");
        assert_eq!(text(&png, "sdgen").is_some(), has_request, "{kind}");
        if kind == "none" {
            assert!(texts(&png).is_empty());
        }
    }
}

#[test]
fn a1111s_text_has_its_form() {
    let sandbox = Sandbox::new();
    sandbox.quick(&["-o", "a.png", "-n", "blurry", "--scheduler", "dpm++2m-karras", "-g", "4.5"]).succeeds();
    let parameters = text(&fs::read(sandbox.path("a.png")).unwrap(), "parameters").unwrap();
    let lines: Vec<&str> = parameters.lines().collect();
    assert_eq!(lines[..2], ["a red apple", "Negative prompt: blurry"]);
    assert!(
        lines[2].starts_with("Steps: 2, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 4.5, Seed: 7"),
        "{parameters}"
    );
    assert!(lines[2].contains("Size: 128x128"), "{parameters}");
}

#[test]
fn a_random_seed_is_printed_and_stored_and_repeats_the_picture() {
    let sandbox = Sandbox::new();
    let args = ["generate", "pizza", "--steps", "2", "-o", "a.png"];
    let outcome = sandbox.run(args).succeeds();
    let png = fs::read(sandbox.path("a.png")).unwrap();
    let chunk: serde_json::Value = serde_json::from_str(&text(&png, "sdgen").unwrap()).unwrap();
    let seed = chunk["request"]["sampling"]["seed"].to_string();
    assert!(outcome.stderr.contains(&seed), "seed {seed} is not in: {}", outcome.stderr);
    sandbox.run(args.iter().chain(&["--seed", &seed, "--overwrite"])).succeeds();
    assert_eq!(pixels(&fs::read(sandbox.path("a.png")).unwrap()), pixels(&png));
}

#[test]
fn random_seeds_differ() {
    let sandbox = Sandbox::new();
    let seed = || {
        let outcome = sandbox.run(["generate", "x", "--dry-run"]).succeeds();
        let plan: serde_json::Value = serde_json::from_str(outcome.text()).unwrap();
        plan["request"]["sampling"]["seed"].as_u64().unwrap()
    };
    assert_ne!(seed(), seed());
}

#[test]
fn no_folder_of_this_machine_is_in_the_picture() {
    let sandbox = Sandbox::new();
    let model = sandbox.model();
    let output = sandbox.path("out-{seed}.png");
    sandbox.quick(&["--model", model.to_str().unwrap(), "-o", output.to_str().unwrap()]).succeeds();
    let png = fs::read(sandbox.path("out-7.png")).unwrap();
    let texts = format!("{:?}", texts(&png));
    let folder = sandbox.path("").to_str().unwrap().trim_end_matches('/').to_string();
    assert!(!texts.contains(&folder), "{texts}");
    assert!(texts.contains("model"), "{texts}");
}
