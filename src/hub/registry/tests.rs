//! The registry itself, and how names are found in it.

use std::collections::HashSet;

use super::*;
use crate::hub::RepoId;

#[test]
fn the_registry_is_read_whole() {
    let read: Result<Registry, _> = toml::from_str(include_str!("../../../assets/registry.toml"));
    assert_eq!(read.unwrap().model.len(), all().len());
    let unknown = "[[model]]\nalias = 'a'\ntitle = 'A'\nkind = 'lora'\nfamily = 'sd1'\nrepo = 'a/b'\nsizes = 3";
    assert!(toml::from_str::<Registry>(unknown).unwrap_err().to_string().contains("sizes"));
}

#[test]
fn every_name_is_there_once() {
    let mut seen = HashSet::new();
    for name in all().iter().flat_map(Entry::names) {
        assert!(seen.insert(name.to_lowercase()), "`{name}` twice");
        assert!(!name.contains('/'), "`{name}` looks like a repository");
    }
    for name in [
        "sd14",
        "sd15",
        "sd15-inpaint",
        "sd20",
        "sd21",
        "sd2-inpaint",
        "sd-turbo",
        "sdxl",
        "sdxl-inpaint",
        "sdxl-turbo",
        "sd3-medium",
        "sd35-medium",
        "sd35-large",
        "sd35-large-turbo",
        "flux-dev",
        "flux-fill",
        "flux-canny",
        "flux-depth",
        "flux-schnell",
        "flux-dev-q8",
        "flux-schnell-q4",
        "vae-mse",
        "sdxl-vae-fp16-fix",
        "cn-sd15-canny",
        "cn-sdxl-depth",
        "lcm-lora-sd15",
        "lcm-lora-sdxl",
    ] {
        assert!(by_alias(name).is_some(), "`{name}` is missing");
    }
}

#[test]
fn what_is_known_has_the_right_form() {
    for entry in all() {
        for repo in entry.repos().chain(entry.files.iter().filter_map(|file| file.repo.as_deref())) {
            assert!(RepoId::parse(repo).is_ok_and(|id| id.file.is_none()), "{}: {repo}", entry.alias);
        }
        assert!(
            ["sd1", "sd2", "sdxl", "sd3", "sd35", "flux", "any"].contains(&entry.family.as_str()),
            "{}",
            entry.family
        );
        for file in entry.known.iter().chain(&entry.files) {
            let path = &file.path;
            assert!(file.size.is_some() || file.sha256.is_some(), "{path}: nothing is known");
            if let Some(hash) = &file.sha256 {
                assert!(hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{path}");
            }
        }
        assert!(entry.known.iter().all(|file| file.repo.is_none()), "{}", entry.alias);
        if entry.supported && entry.kind == Kind::Checkpoint {
            let scheduler = entry.default.scheduler.as_deref().unwrap();
            assert!(crate::sampling::parse_scheduler(scheduler).is_ok(), "{scheduler}");
            assert!(entry.default.size.is_some() && entry.default.steps.is_some());
        }
    }
}

#[test]
fn names_are_found_in_any_spelling() {
    assert_eq!(by_alias("SD1.5").unwrap().alias, "sd15");
    assert!(by_alias("stable-diffusion-v1-5/stable-diffusion-v1-5").is_none());
    assert_eq!(by_repo("runwayml/stable-diffusion-v1-5").unwrap().alias, "sd15");
    assert_eq!(by_repo("Stabilityai/SDXL-turbo").unwrap().alias, "sdxl-turbo");
    assert!(by_repo("city96/FLUX.1-dev-gguf").is_none());
    assert_eq!(nearest("sdlx"), Some("sdxl"));
    assert_eq!(nearest("zebra"), None);
}

#[test]
fn files_are_known_by_place_content_and_name() {
    let (entry, file) = file_of_repo("runwayml/stable-diffusion-v1-5", "text_encoder/model.safetensors").unwrap();
    assert_eq!((entry.alias.as_str(), file.size), ("sd15", Some(492_265_874)));
    assert_eq!(file_by_hash(file.sha256.as_deref().unwrap()).unwrap().1, file);
    // The encoder of FLUX lies in a repository of its own.
    assert!(file_of_repo("city96/FLUX.1-dev-gguf", "clip_l.safetensors").is_none());
    assert!(file_of_repo("comfyanonymous/flux_text_encoders", "clip_l.safetensors").is_some());
    assert_eq!(file_by_name("sdxl_vae.safetensors").unwrap().0.alias, "sdxl-vae");
    assert_eq!(file_by_name("ae.safetensors").unwrap().1.size, Some(335_304_388));
    // Two models, one name; and a name that every folder has.
    assert!(file_by_name("pytorch_lora_weights.safetensors").is_none());
    assert!(file_by_name("diffusion_pytorch_model.safetensors").is_none());
    assert!(file_by_hash("").is_none());
}

#[test]
fn sizes_add_up_where_all_are_known() {
    assert_eq!(by_alias("lcm-lora-sd15").unwrap().bytes(), Some(134_621_556));
    assert_eq!(by_alias("lcm-lora-sdxl").unwrap().bytes(), None);
    assert_eq!(by_alias("sd15").unwrap().bytes(), Some(2_133_000_000));
}
