//! `sdgen verify` on what was downloaded: contents against the checksums that the cache and the registry have, and licences.

use std::fs;
use std::path::{Path, PathBuf};

use sdgen::error::exit_code;
use sdgen::hub::cache::Cache;
use serde_json::Value;

use crate::support::{copy, Outcome, Sandbox};

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A cache in the folder `cache` of a sandbox.
struct Downloaded(Sandbox);

impl Downloaded {
    fn new() -> Self {
        Downloaded(Sandbox::new())
    }

    /// Puts files below a folder into the cache as `repo`, each content under its SHA-256.
    fn add(&self, repo: &str, folder: &Path) {
        let cache = Cache::new(&self.0.path("cache")).repo(repo);
        fs::create_dir_all(cache.blob("")).unwrap();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let bytes = fs::read(&path).unwrap();
                let hash = sdgen::image::sha256(&bytes[..]).unwrap();
                fs::write(cache.blob(&hash), bytes).unwrap();
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
                cache.link(COMMIT, &name, &hash).unwrap();
            }
        }
        cache.name_commit("main", COMMIT).unwrap();
    }

    fn file(&self, repo: &str, file: &str) -> PathBuf {
        Cache::new(&self.0.path("cache")).repo(repo).snapshot_folder(COMMIT).join(file)
    }

    fn verify(&self, args: &[&str]) -> Outcome {
        let mut command = self.0.command(["verify"].iter().chain(args));
        Outcome::new(command.env("HF_HUB_CACHE", self.0.path("cache")).output().unwrap())
    }
}

/// Another byte in the last tensor, which stays a number.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.len() - 2;
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn events(outcome: &Outcome) -> Vec<Value> {
    outcome.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_file<'a>(events: &'a [Value], file: &str) -> &'a Value {
    events.iter().find(|event| event["file"] == file).unwrap_or_else(|| panic!("no {file} in {events:?}"))
}

#[test]
fn contents_are_compared_with_the_names_that_the_cache_gave_them() {
    let cache = Downloaded::new();
    cache.add("org/model", &fixture("models/sd15"));
    let sound = cache.verify(&["org/model"]).succeeds();
    assert!(sound.text().contains("as published"), "{}", sound.text());
    let (unet, config) = (cache.file("org/model", UNET), cache.file("org/model", "tokenizer/vocab.json"));
    let need = unet.canonicalize().unwrap().file_name().unwrap().to_str().unwrap().to_string();
    flip(&unet);
    let have = sdgen::image::sha256_file(&unet).unwrap();
    fs::write(&config, "{}").unwrap();
    let outcome = cache.verify(&["org/model", "--json"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()), "{}", outcome.stderr);
    let events = events(&outcome);
    let file = of_file(&events, UNET);
    assert_eq!((&file["sha256"], &file["published"]), (&have.as_str().into(), &need.as_str().into()));
    let problem = file["problems"][0].as_str().unwrap();
    for word in [&have, &need, "wrong content", "sdgen download org/model"] {
        assert!(problem.contains(word), "no `{word}` in: {problem}");
    }
    let model = events.iter().find(|event| event["event"] == "model").unwrap();
    let problem = model["problems"][0].as_str().unwrap();
    assert!(problem.starts_with("tokenizer/vocab.json: wrong content"), "{problem}");
    assert_eq!(model["problems"].as_array().unwrap().len(), 1);
}

#[test]
fn all_that_was_downloaded_is_checked_as_wholes() {
    let cache = Downloaded::new();
    let none = cache.verify(&["--all"]).fails(exit_code::MODEL);
    assert!(none.stderr.contains("no model is in the cache") && none.stderr.contains("sdgen download"));
    cache.add("org/model", &fixture("models/sd15"));
    // A part by itself, a file without a config, and configs alone, as Python leaves them.
    cache.add("org/part", &fixture("models/sd15/vae"));
    cache.add("org/file", &fixture("metadata"));
    cache.add("org/configs", &fixture("models/sd15/scheduler"));
    let below = cache.0.path("below");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("config.json"), "{}").unwrap();
    copy(&fixture("metadata"), &below.join("onnx"));
    let outcome = cache.verify(&["--all", "--smoke", "--junit", "report.xml", "--json"]).succeeds();
    let events = events(&outcome);
    let count = |event: &str, target: &str| {
        events.iter().filter(|e| e["event"] == event && e["target"].as_str().unwrap().starts_with(target)).count()
    };
    assert_eq!((count("file", "org/model"), count("model", "org/model"), count("run", "")), (3, 1, 1));
    assert_eq!((count("file", "org/part"), count("file", "org/configs")), (1, 0));
    assert_eq!(count("file", "org/file/plain.safetensors"), 1);
    let xml = fs::read_to_string(cache.0.path("report.xml")).unwrap();
    assert!(xml.contains("<testsuite name=\"org/model\" tests=\"5\" failures=\"0\""), "{xml}");
    // A config whose weights are further down once ended all the checks.
    cache.add("org/below", &below);
    let outcome = cache.verify(&["--all", "--json"]).succeeds();
    assert!(outcome.text().contains("org/below/onnx/plain.safetensors"), "{}", outcome.text());
    // A content that went missing is a fault of its model, and of that alone.
    fs::remove_file(cache.file("org/part", "diffusion_pytorch_model.safetensors").canonicalize().unwrap()).unwrap();
    let outcome = cache.verify(&["--all"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()));
    assert_eq!(outcome.text().matches("FAILED").count(), 1, "{}", outcome.text());
    cache.verify(&["--all", "emoji"]).fails(exit_code::USAGE);
}

#[test]
fn licences_come_from_the_registry_the_readme_and_the_file() {
    let cache = Downloaded::new();
    let licence = |outcome: Outcome, event: &str| {
        let events = events(&outcome.succeeds());
        events.iter().find(|e| e["event"] == event).unwrap()["licence"].clone()
    };
    // A repository that the registry knows.
    cache.add("stabilityai/sdxl-turbo", &fixture("models/sdxl-turbo"));
    assert_eq!(licence(cache.verify(&["sdxl-turbo", "--json"]), "model"), "Stability AI Community License");
    // The first lines of a page beside the model.
    let folder = cache.0.path("folder");
    copy(&fixture("models/sd15"), &folder);
    assert_eq!(licence(cache.verify(&["folder", "--json"]), "model"), Value::Null);
    fs::write(folder.join("README.md"), "---\nlicense: openrail\n---\n").unwrap();
    assert_eq!(licence(cache.verify(&["folder", "--json"]), "model"), "openrail");
    cache.add("org/model", &folder);
    assert_eq!(licence(cache.verify(&["org/model", "--json"]), "model"), "openrail");
    // A word in the file itself.
    let header =
        br#"{"__metadata__":{"modelspec.license":"mine"},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let file = [&(header.len() as u64).to_le_bytes(), &header[..], b"x"].concat();
    fs::write(cache.0.path("a.safetensors"), file).unwrap();
    assert_eq!(licence(cache.verify(&["a.safetensors", "--json"]), "file"), "mine");
    assert_eq!(licence(cache.verify(&["emoji", "--json"]), "model"), "MIT OR Apache-2.0");
}

#[test]
fn what_the_registry_knows_of_a_file_is_compared() {
    let cache = Downloaded::new();
    // By its place: the cache of a system without links has copies, whose names say nothing.
    let repo = "stable-diffusion-v1-5/stable-diffusion-v1-5";
    cache.add(repo, &fixture("models/sd15"));
    let unet = cache.file(repo, UNET);
    let changed = cache.verify(&["sd15"]).succeeds();
    assert!(changed.text().contains("changed since this version was made"), "{}", changed.text());
    let bytes = fs::read(&unet).unwrap();
    fs::remove_file(&unet).unwrap();
    fs::write(&unet, bytes).unwrap();
    let outcome = cache.verify(&["sd15"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()));
    for word in ["wrong content", "19da7aaa4b880e59d56843f1fcb4dd9b599c28a1d9d9af7c1143057c8ffae9f1"] {
        assert!(outcome.text().contains(word), "no `{word}` in: {}", outcome.text());
    }
    // By its name, which only hints at what it should be: another size is another file.
    fs::copy(fixture("metadata/plain.safetensors"), cache.0.path("sdxl_vae.safetensors")).unwrap();
    let other = cache.verify(&["sdxl_vae.safetensors"]).succeeds();
    assert!(
        other.text().contains("note: it is not the file of this name in `stabilityai/sdxl-vae`"),
        "{}",
        other.text()
    );
}
