//! Files of FLUX.1 and Stable Diffusion 3: in one piece, apart, quantised, incomplete, or of the other family.

use std::fs;
use std::path::PathBuf;

use sdgen::error::exit_code;
use serde_json::Value;

use crate::single_file::{checkpoint, file, fixtures, gguf, read, Stored};
use crate::support::{copy, difference, pixels, replace, Outcome, Sandbox, QUICK};

const TRANSFORMER: &str = "model.diffusion_model.";
const T5: &str = "text_encoders.t5xxl.transformer.";

fn folder(model: &str) -> String {
    let path: PathBuf = fixtures().join("models").join(model);
    path.to_str().unwrap().into()
}

/// The tensors of a checkpoint below a prefix, without it.
fn below(model: &str, prefix: &str) -> Vec<Stored> {
    let strip = |tensor: Stored| Some(Stored { name: tensor.name.strip_prefix(prefix)?.into(), ..tensor });
    checkpoint(model).into_iter().filter_map(strip).collect()
}

/// The parts of FLUX.1 dev as ComfyUI has them apart, T5 in the names of llama.cpp.
fn apart() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut t5 = below("flux-dev", T5);
    for tensor in &mut t5 {
        let layers = [("layer.0.", "attn_"), ("layer.1.", "ffn_"), ("SelfAttention.", ""), ("DenseReluDense.", "")];
        let parts = [("relative_attention_bias", "rel_b"), ("layer_norm", "norm"), ("wi_0", "gate"), ("wi_1", "up")];
        let outside = [("encoder.final_attn_norm", "enc.output_norm"), ("encoder.final_norm", "enc.output_norm")];
        let names = [("encoder.block.", "enc.blk."), ("shared.", "token_embd."), ("wo", "down")];
        for (from, to) in layers.into_iter().chain(parts).chain(outside).chain(names) {
            tensor.name = tensor.name.replace(from, to);
        }
    }
    let write = |name: &str, bytes: Vec<u8>| fs::write(sandbox.path(name), bytes).unwrap();
    write("flux1-dev.safetensors", file(&below("flux-dev", TRANSFORMER), &[]));
    write("flux1-dev-BF16.gguf", gguf(&below("flux-dev", TRANSFORMER)));
    write("ae.safetensors", file(&below("flux-dev", "vae."), &[]));
    write("clip_l.safetensors", file(&below("flux-dev", "text_encoders.clip_l.transformer."), &[]));
    write("t5xxl.safetensors", file(&below("flux-dev", T5), &[]));
    write("t5-encoder.gguf", gguf(&t5));
    sandbox
}

fn paint(sandbox: &Sandbox, output: &str, model: &[&str]) -> Outcome {
    let fixed = ["-W", "64", "-H", "64", "--max-tokens", "16", "-o", output];
    sandbox.run(QUICK.iter().chain(model).chain(&fixed))
}

/// The picture of the folder and that of other arguments are the same.
fn same_picture(sandbox: &Sandbox, model: &str, arguments: &[&str]) -> Outcome {
    paint(sandbox, "folder.png", &["--model", &folder(model), "--overwrite"]).succeeds();
    let outcome = paint(sandbox, "file.png", &[arguments, &["--overwrite"]].concat()).succeeds();
    let picture = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    assert!(picture("folder.png") == picture("file.png"), "{arguments:?}: another picture");
    outcome
}

#[test]
fn one_file_paints_what_its_folder_paints() {
    let mut sd35 = checkpoint("sd35");
    // Published files lack it, which makes another pooled text.
    let clip = read(&fixtures().join("models/sd35/text_encoder/model.safetensors"));
    let projection = clip.into_iter().find(|tensor| tensor.name == "text_projection.weight").unwrap();
    let name = "text_encoders.clip_l.transformer.text_projection.weight".into();
    sd35.push(Stored { name, ..projection });
    for (model, tensors, found) in [
        ("flux-dev", checkpoint("flux-dev"), "all.safetensors: FLUX.1 dev, bf16, with VAE and text encoders"),
        ("sd35", sd35, "all.safetensors: SD 3.5 medium, f16, with VAE and text encoders"),
    ] {
        let sandbox = Sandbox::new();
        fs::write(sandbox.path("all.safetensors"), file(&tensors, &[])).unwrap();
        let outcome = same_picture(&sandbox, model, &["--model", "all.safetensors", "--config", &folder(model)]);
        assert!(!outcome.says(&[found]).stderr.contains("does not use"), "{model}");
    }
}

#[test]
fn parts_apart_are_one_model() {
    let sandbox = apart();
    let config = folder("flux-dev");
    for (transformer, t5) in
        [("flux1-dev.safetensors", "t5xxl.safetensors"), ("flux1-dev-BF16.gguf", "t5-encoder.gguf")]
    {
        let parts = ["--vae", "ae.safetensors", "--clip-l", "clip_l.safetensors", "--t5", t5];
        let arguments = [&["--unet", transformer, "--config", &config], &parts[..]].concat();
        let outcome = same_picture(&sandbox, "flux-dev", &arguments);
        let found = [format!("{transformer}: FLUX.1 dev"), format!("{t5}: a text encoder (T5)")];
        assert!(!outcome.says(&found.each_ref().map(String::as_str)).stderr.contains("does not use"), "{t5}");
    }
    same_picture(&sandbox, "flux-dev", &["--model", &config, "--unet", "flux1-dev.safetensors"]);
    same_picture(&sandbox, "flux-dev", &["--model", &config, "--t5", "t5-encoder.gguf"]);
}

#[test]
fn what_a_file_lacks_is_said_with_what_brings_it() {
    let sandbox = apart();
    let config = folder("flux-dev");
    let lone = paint(&sandbox, "x.png", &["--model", "flux1-dev.safetensors"]).fails(exit_code::MODEL);
    lone.says(&["FLUX.1 dev, bf16, without VAE and text encoder", "--vae FILE --clip-l FILE --t5 FILE"]);
    let parts = ["--vae", "ae.safetensors", "--clip-l", "clip_l.safetensors", "--config", &config];
    let missing = paint(&sandbox, "x.png", &[&["--model", "flux1-dev.safetensors"], &parts[..]].concat());
    missing.fails(exit_code::MODEL).says(&["T5, its large text encoder", "sdgen download ", "--t5"]);
    let without_t5: Vec<Stored> = checkpoint("sd35").into_iter().filter(|t| !t.name.starts_with(T5)).collect();
    fs::write(sandbox.path("sd35.safetensors"), file(&without_t5, &[])).unwrap();
    let arguments = ["--model", "sd35.safetensors", "--config", &folder("sd35")];
    paint(&sandbox, "x.png", &arguments).fails(exit_code::MODEL).says(&["T5", "`--no-t5`"]);
    paint(&sandbox, "x.png", &[&arguments[..], &["--no-t5"]].concat()).succeeds();
    // Real vocabularies, which nothing but a folder replaces, are larger than this one.
    let parts = [&parts[..4], &["--t5", "t5xxl.safetensors"]].concat();
    let sizes = paint(&sandbox, "y.png", &[&["--model", "flux1-dev.safetensors"], &parts[..]].concat());
    sizes.fails(exit_code::MODEL).says(&["--config DIR"]);
}

#[test]
fn parts_of_other_families_are_refused_by_name() {
    let sandbox = apart();
    fs::write(sandbox.path("sd35.safetensors"), file(&below("sd35", TRANSFORMER), &[])).unwrap();
    let refused = |model: &str, more: &[&str], words: &[&str]| {
        let arguments = [&["--model", model], more].concat();
        paint(&sandbox, "x.png", &arguments).fails(exit_code::MODEL).says(words);
    };
    let (flux, sd35, sd15) = (folder("flux-dev"), folder("sd35"), folder("sd15"));
    refused(&flux, &["--unet", "sd35.safetensors"], &["no transformer for `flux-dev`", "SD 3.5 medium"]);
    refused(&sd35, &["--unet", "flux1-dev.safetensors"], &["no transformer for `sd35`", "FLUX.1 dev"]);
    refused(&sd15, &["--unet", "flux1-dev.safetensors"], &["nothing for `--unet`", "FLUX.1 dev", "a UNet"]);
    refused(&flux, &["--t5", "clip_l.safetensors"], &["nothing for `--t5`", "CLIP-L", "(T5)"]);
    refused(&flux, &["--clip-l", "t5xxl.safetensors"], &["nothing for `--clip-l`", "(T5)"]);
    refused(&flux, &["--vae", "clip_l.safetensors"], &["nothing for `--vae`", "a VAE"]);
    let parts = ["--vae", "ae.safetensors", "--clip-l", "clip_l.safetensors", "--t5", "t5xxl.safetensors"];
    let line = ["flux", "x", "--variant", "schnell", "--unet", "flux1-dev.safetensors", "--config", &flux];
    let other = sandbox.run(line.iter().chain(&parts)).fails(exit_code::MODEL);
    other.says(&["no flux-schnell", "takes guidance as an input"]);
}

#[test]
fn a_transformer_brings_its_noise_levels() {
    let sandbox = apart();
    let mut schnell = below("flux-dev", TRANSFORMER);
    schnell.retain(|tensor| !tensor.name.starts_with("guidance_in."));
    fs::write(sandbox.path("flux1-schnell.safetensors"), file(&schnell, &[])).unwrap();
    let plan = |more: &[&str]| {
        let model = folder("flux-dev");
        let arguments = ["generate", "x", "--dry-run", "--model", &model];
        let plan = sandbox.run(arguments.iter().chain(more)).succeeds();
        let plan: serde_json::Value = serde_json::from_str(plan.text()).unwrap();
        let sampling = &plan["request"]["sampling"];
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap().round()).collect()
        };
        (sampling["steps"].clone(), sampling["guidance"].clone(), numbers(&plan["schedule"]["timesteps"]))
    };
    let dev = plan(&["--unet", "flux1-dev.safetensors"]);
    assert_eq!((&dev.0, &dev.1), (&28.into(), &3.5.into()));
    assert_eq!(plan(&[]), dev);
    // Dev shifts the levels as the size says, and schnell does not.
    let schnell = plan(&["--unet", "flux1-schnell.safetensors"]);
    assert_eq!(schnell, (4.into(), 0.0.into(), vec![1000.0, 750.0, 500.0, 250.0]));
}

/// Nothing but the name tells it. What the user says goes before.
#[test]
fn large_turbo_is_known_by_its_name() {
    let sandbox = Sandbox::new();
    let plan = |name: &str, more: &[&str]| {
        copy(&PathBuf::from(folder("sd35")), &sandbox.path(name));
        let config = sandbox.path(name).join("transformer/config.json");
        replace(&config, "\"dual_attention_layers\": [\n    0,\n    1\n  ]", "\"dual_attention_layers\": []");
        let outcome = sandbox.run([&["generate", "x", "--dry-run", "-m", name], more].concat()).succeeds();
        let plan: Value = serde_json::from_str(outcome.text()).unwrap();
        let sampling = &plan["request"]["sampling"];
        let notes = plan["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("by its name"));
        (sampling["steps"].as_u64().unwrap(), sampling["guidance"].as_f64().unwrap(), notes)
    };
    assert_eq!(plan("sd3.5_large", &[]), (28, 4.5, false));
    assert_eq!(plan("sd3.5_large_turbo", &[]), (4, 0.0, true));
    assert_eq!(plan("SD3.5-Large-Turbo", &["--steps", "6"]), (6, 0.0, true));
}

#[test]
fn a_short_name_stands_for_parts_that_lie_apart() {
    let sandbox = apart();
    let place = |repo: &str, file: &str, from: &str| {
        let repo = sandbox.path("cache").join(format!("models--{}", repo.replace('/', "--")));
        fs::create_dir_all(repo.join("refs")).unwrap();
        fs::write(repo.join("refs/main"), "c0").unwrap();
        let path = repo.join("snapshots/c0").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(sandbox.path(from), path).unwrap();
    };
    place("city96/FLUX.1-dev-gguf", "flux1-dev-Q8_0.gguf", "flux1-dev-BF16.gguf");
    place("comfyanonymous/flux_text_encoders", "clip_l.safetensors", "clip_l.safetensors");
    place("second-state/FLUX.1-schnell-GGUF", "t5xxl-Q8_0.gguf", "t5-encoder.gguf");
    let run = |more: &[&str]| {
        let config = folder("flux-dev");
        let fixed = ["-m", "flux-dev-q8", "--config", &config, "-W", "64", "-H", "64", "-o", "short.png"];
        let line = QUICK.iter().chain(&fixed).chain(&["--max-tokens", "16"]).chain(more);
        Outcome::new(sandbox.command(line).env("HF_HUB_CACHE", sandbox.path("cache")).output().unwrap())
    };
    run(&[]).fails(exit_code::MODEL).says(&["flux-dev-q8", "sdgen download flux-dev-q8"]);
    place("Comfy-Org/Lumina_Image_2.0_Repackaged", "split_files/vae/ae.safetensors", "ae.safetensors");
    run(&[]).succeeds().says(&["flux1-dev-Q8_0.gguf: FLUX.1 dev", "t5xxl-Q8_0.gguf: a text encoder (T5)"]);
    paint(&sandbox, "folder.png", &["--model", &folder("flux-dev")]).succeeds();
    let picture = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    assert!(picture("folder.png") == picture("short.png"));
    // What the user names goes before.
    run(&["--t5", "clip_l.safetensors"]).fails(exit_code::MODEL).says(&["nothing for `--t5`"]);
}

#[test]
fn folders_become_files_and_come_back() {
    for model in ["flux-dev", "sd35"] {
        let sandbox = Sandbox::new();
        let config = folder(model);
        sandbox.run(["convert", &config, "-o", "all.safetensors", "--layout", "single"]).succeeds();
        same_picture(&sandbox, model, &["--model", "all.safetensors", "--config", &config]);
        let back = ["convert", "all.safetensors", "-o", "back", "--layout", "diffusers"];
        sandbox.run(back.iter().chain(&["--config", &config])).succeeds();
        same_picture(&sandbox, model, &["--model", "back"]);
        let names = |tensors: Vec<Stored>| {
            let mut names: Vec<String> = tensors.into_iter().map(|tensor| tensor.name).collect();
            // The kit's file lacks a projection, and has a table twice.
            names.retain(|name| !name.contains("clip_l.transformer.text_projection") && !name.contains("embed_tokens"));
            names.sort();
            names
        };
        assert_eq!(names(read(&sandbox.path("all.safetensors"))), names(checkpoint(model)), "{model}");
    }
}

#[test]
fn what_a_folder_would_lack_is_no_conversion() {
    let sandbox = Sandbox::new();
    for model in ["flux-dev", "sd35"] {
        fs::write(sandbox.path(&format!("{model}.safetensors")), file(&checkpoint(model), &[])).unwrap();
    }
    let line = ["convert", "flux-dev.safetensors", "-o", "x", "--layout", "diffusers"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["no tokenizer_2", "--config"]);
    let line = ["convert", "sd35.safetensors", "-o", "x", "--layout", "diffusers", "--config", &folder("sd35")];
    sandbox.run(line).fails(exit_code::MODEL).says(&["no projection", "--layout single"]);
    assert_eq!(sandbox.files(), ["flux-dev.safetensors", "sd35.safetensors"]);
}

#[test]
fn a_lora_is_merged_into_folders_files_and_others() {
    let sandbox = apart();
    let (model, lora) = (folder("flux-dev"), fixtures().join("lora/flux-xlabs.safetensors"));
    let strong = format!("{}:0.8", lora.display());
    let merge = |more: &[&str]| {
        let line = ["lora-merge", &strong, "--strict"];
        sandbox.run(line.iter().chain(more)).succeeds().says(&["8 of 8 modules", "transformer 8"]);
    };
    merge(&["-m", &model, "-o", "merged", "--dtype", "f32"]);
    merge(&["-m", "flux1-dev.safetensors", "-o", "merged.safetensors", "--dtype", "f32"]);
    merge(&["--lora-only", "-m", &model, "-o", "lora.safetensors"]);
    paint(&sandbox, "lora.png", &["--model", &model, "--lora", &strong]).succeeds();
    let picture = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    for (name, arguments) in [
        ("folder.png", &["--model", "merged"][..]),
        ("file.png", &["--model", &model, "--unet", "merged.safetensors"]),
        ("tag.png", &["--model", &model, "--lora", "lora.safetensors"]),
    ] {
        paint(&sandbox, name, arguments).succeeds();
        let (max, mean) = difference(&picture("lora.png"), &picture(name));
        // The rounding of sums, and of the merged factors to bf16.
        assert!(max <= 1 && mean < 0.05, "{name}: {max}, {mean}");
    }
    paint(&sandbox, "plain.png", &["--model", &model]).succeeds();
    assert!(difference(&picture("lora.png"), &picture("plain.png")).0 > 10);
}
