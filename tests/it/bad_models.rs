use std::fs;
use std::path::Path;

use sdgen::error::exit_code;

use crate::support::{replace, Sandbox, QUICK};

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// Runs on a damaged copy of the built-in model: exit code 3, the words in the message, no picture.
#[track_caller]
fn refused(damage: impl FnOnce(&Path), words: &[&str]) {
    let sandbox = Sandbox::new();
    damage(&sandbox.model());
    sandbox.quick(&["--model", "model"]).fails(exit_code::MODEL).says(words);
    assert_eq!(sandbox.files(), ["model"]);
}

#[test]
fn the_copy_itself_is_sound() {
    let sandbox = Sandbox::new();
    sandbox.model();
    sandbox.quick(&["--model", "model"]).succeeds();
}

#[test]
fn no_such_model() {
    let sandbox = Sandbox::new();
    sandbox.quick(&["--model", "no-such-model"]).fails(exit_code::MODEL).says(&["no-such-model", "built-in"]);
    assert!(sandbox.files().is_empty());
}

#[test]
fn a_folder_that_is_no_model() {
    refused(|model| fs::remove_file(model.join("model_index.json")).unwrap(), &["model_index.json"]);
}

#[test]
fn a_part_is_missing() {
    refused(|model| fs::remove_dir_all(model.join("vae")).unwrap(), &["vae"]);
    refused(|model| fs::remove_file(model.join(UNET)).unwrap(), &["unet"]);
    refused(|model| fs::remove_file(model.join("unet/config.json")).unwrap(), &["unet/config.json"]);
    refused(|model| fs::remove_file(model.join("text_encoder/model.safetensors")).unwrap(), &["text_encoder"]);
}

#[test]
fn a_truncated_file_says_what_there_is_and_what_is_needed() {
    let whole = 7_991_568;
    refused(
        |model| {
            let file = fs::OpenOptions::new().write(true).open(model.join(UNET)).unwrap();
            assert_eq!(file.metadata().unwrap().len(), whole, "the built-in UNet changed: mend this test's number");
            file.set_len(4_000_000).unwrap();
        },
        &[UNET, "incomplete"],
    );
    // Not even the header is there.
    refused(|model| fs::OpenOptions::new().write(true).open(model.join(UNET)).unwrap().set_len(100).unwrap(), &[UNET]);
}

#[test]
fn files_that_are_no_weights_are_told_apart() {
    let write = |bytes: &'static [u8]| move |model: &Path| fs::write(model.join(UNET), bytes).unwrap();
    refused(write(b""), &[UNET, "empty"]);
    refused(write(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7991568\n"), &[UNET, "LFS"]);
    refused(write(b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"), &[UNET, "web page"]);
    refused(write(b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"), &[UNET, "header"]);
    refused(write(b"\x02\0\0\0\0\0\0\0{}"), &[UNET]);
}

/// Pipes and devices in a model's folder were waited for, or read without end.
#[cfg(target_os = "linux")]
#[test]
fn pipes_and_devices_are_not_read() {
    for file in
        [UNET, "unet/config.json", "tokenizer/merges.txt", "unet/diffusion_pytorch_model.safetensors.index.json"]
    {
        // An index of pieces is read where there is no one file.
        let clear = |model: &Path| {
            for file in [file].into_iter().chain(file.starts_with("unet").then_some(UNET)) {
                let _ = fs::remove_file(model.join(file));
            }
        };
        refused(
            |model| {
                clear(model);
                assert!(std::process::Command::new("mkfifo").arg(model.join(file)).status().unwrap().success());
            },
            &[file, "pipe"],
        );
        let zero = |model: &Path| {
            clear(model);
            std::os::unix::fs::symlink("/dev/zero", model.join(file)).unwrap();
        };
        refused(zero, &[file]);
    }
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_are_said() {
    for file in [UNET, "unet/config.json", "tokenizer/tokenizer_config.json"] {
        let dangling = |model: &Path| {
            fs::remove_file(model.join(file)).unwrap();
            std::os::unix::fs::symlink("../../blobs/gone", model.join(file)).unwrap();
        };
        refused(dangling, &[file, "link"]);
    }
}

#[test]
fn small_files_that_are_stand_ins_or_folders_are_said() {
    let files = ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json", "tokenizer/merges.txt"];
    for file in files {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n";
        refused(|model| fs::write(model.join(file), pointer).unwrap(), &[file, "LFS", "123"]);
        refused(|model| fs::write(model.join(file), "<html></html>").unwrap(), &[file, "web page"]);
        refused(|model| fs::write(model.join(file), "").unwrap(), &[file, "empty"]);
        let folder = |model: &Path| {
            fs::remove_file(model.join(file)).unwrap();
            fs::create_dir(model.join(file)).unwrap();
        };
        refused(folder, &[file.rsplit('/').next().unwrap()]);
    }
    refused(|model| fs::write(model.join("model_index.json"), "[]").unwrap(), &["model_index.json"]);
}

#[test]
fn a_config_that_is_no_json() {
    refused(|model| fs::write(model.join("unet/config.json"), "{").unwrap(), &["unet/config.json"]);
    refused(|model| fs::write(model.join("vae/config.json"), "[]").unwrap(), &["vae/config.json"]);
}

#[test]
fn weights_that_do_not_fit_their_config_are_named_all_at_once() {
    refused(
        |model| {
            replace(
                &model.join("text_encoder/config.json"),
                "\"intermediate_size\": 512",
                "\"intermediate_size\": 256",
            );
        },
        &["layers.0.mlp.fc1.weight", "layers.2.mlp.fc2.weight", "512", "256"],
    );
}

#[test]
fn hostile_configs_end_in_an_error() {
    for (file, from, to) in [
        ("unet/config.json", "\"norm_num_groups\": 32", "\"norm_num_groups\": 0"),
        ("unet/config.json", "\"norm_num_groups\": 32", "\"norm_num_groups\": 7"),
        ("unet/config.json", "\"attention_head_dim\": 8", "\"attention_head_dim\": 0"),
        ("unet/config.json", "\"layers_per_block\": 1", "\"layers_per_block\": 1000000000"),
        ("unet/config.json", "\"transformer_layers_per_block\": 1", "\"transformer_layers_per_block\": 1000000000"),
        ("unet/config.json", "\"CrossAttnDownBlock2D\"", "\"StrangeBlock2D\""),
        ("unet/config.json", "\"sample_size\": 16", "\"sample_size\": 99999999"),
        ("vae/config.json", "\"norm_num_groups\": 16", "\"norm_num_groups\": 0"),
        ("vae/config.json", "\"layers_per_block\": 1", "\"layers_per_block\": 1000000000"),
        ("vae/config.json", "\"latent_channels\": 4", "\"latent_channels\": 400000000"),
        ("vae/config.json", "\"scaling_factor\": 0.18215", "\"scaling_factor\": 0"),
        ("text_encoder/config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 0"),
        ("text_encoder/config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 0"),
        ("text_encoder/config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1000000000"),
        ("text_encoder/config.json", "\"vocab_size\": 2560", "\"vocab_size\": 10"),
        ("text_encoder/config.json", "\"hidden_act\": \"quick_gelu\"", "\"hidden_act\": \"strange\""),
        ("scheduler/scheduler_config.json", "\"num_train_timesteps\": 1000", "\"num_train_timesteps\": 0"),
        ("scheduler/scheduler_config.json", "\"beta_schedule\": \"scaled_linear\"", "\"beta_schedule\": \"strange\""),
        // diffusers takes the class from here, whatever the scheduler's own file says.
        ("model_index.json", "DDIMScheduler", "StrangeScheduler"),
    ] {
        let sandbox = Sandbox::new();
        replace(&sandbox.model().join(file), from, to);
        let outcome = sandbox.quick_in_little_memory(&["--model", "model"]);
        assert!(matches!(outcome.code, Some(2 | 3)), "{to}: {:?}: {}", outcome.code, outcome.stderr);
        assert!(outcome.stderr.contains("hint: "), "{to}: {}", outcome.stderr);
        assert_eq!(sandbox.files(), ["model"], "{to}");
    }
}

#[test]
fn a_single_file_is_refused_by_what_it_is() {
    let sandbox = Sandbox::new();
    let model = sandbox.model();
    fs::write(sandbox.path("page.safetensors"), "<html></html>").unwrap();
    sandbox
        .run(QUICK.iter().chain(&["--model", "page.safetensors"]))
        .fails(exit_code::MODEL)
        .says(&["page.safetensors"]);
    let file = model.join(UNET);
    sandbox.quick(&["--model", file.to_str().unwrap()]).fails(exit_code::MODEL).says(&["not a whole model", "--vae"]);
}

#[test]
fn parts_of_different_models_do_not_belong_together() {
    for (file, from, to, words) in [
        ("text_encoder/config.json", "\"hidden_size\": 128", "\"hidden_size\": 64", ["text", "128"]),
        ("unet/config.json", "\"out_channels\": 4", "\"out_channels\": 8", ["8 channels", "VAE"]),
        ("vae/config.json", "\"latent_channels\": 4", "\"latent_channels\": 16", ["4 channels", "VAE takes 16"]),
    ] {
        refused(|model| replace(&model.join(file), from, to), &words);
    }
}
