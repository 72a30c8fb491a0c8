//! `sdgen verify`: sound models pass, each kind of damage is named.

use std::fs;
use std::path::{Path, PathBuf};

use sdgen::error::exit_code;
use sdgen::image::{encode, read_texts};
use serde_json::Value;

use crate::single_file::{checkpoint, file};
use crate::support::{pixels, Outcome, Sandbox};

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).to_str().unwrap().into()
}

/// The events of a run with `--json`.
fn events(outcome: &Outcome) -> Vec<Value> {
    outcome.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn event<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("no {name} in {events:?}"))
}

/// Verifies a damaged copy of the built-in model: exit code 5, and the words in what is printed. The copy is not changed.
#[track_caller]
fn fails(damage: impl FnOnce(&Path), words: &[&str]) {
    let sandbox = Sandbox::new();
    damage(&sandbox.model());
    let before = fs::read(sandbox.path("model").join(UNET)).unwrap();
    let outcome = sandbox.run(["verify", "model"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()), "{}", outcome.stderr);
    for word in words {
        assert!(outcome.text().contains(word), "no `{word}` in: {}", outcome.text());
    }
    assert!(outcome.stderr.contains("error: ") && outcome.stderr.contains("hint: "), "{}", outcome.stderr);
    assert_eq!(fs::read(sandbox.path("model").join(UNET)).unwrap(), before);
    assert_eq!(sandbox.files(), ["model"]);
}

/// Replaces bytes of a file that occur in it once, by as many others.
fn patch(file: PathBuf, from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(&file).unwrap();
    let places: Vec<usize> = (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    let [at] = places[..] else { panic!("{} places", places.len()) };
    bytes[at..at + to.len()].copy_from_slice(to);
    fs::write(file, bytes).unwrap();
}

#[test]
fn without_a_name_the_program_tests_itself() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["verify"]).succeeds();
    for word in ["emoji", UNET, "smoke test: 2 steps of 128x128", "5 checks, all passed"] {
        assert!(outcome.text().contains(word), "no `{word}` in: {}", outcome.text());
    }
    assert!(sandbox.files().is_empty());
}

#[test]
fn models_are_named_and_their_tensors_counted() {
    for (model, family, variant, prediction, tensors) in [
        ("sd15", "sd1", "text-to-image", "epsilon", 684),
        ("sd21", "sd2", "text-to-image", "v_prediction", 324),
        ("sdxl", "sdxl", "text-to-image", "epsilon", 620),
        ("sdxl-turbo", "sdxl", "turbo", "epsilon", 388),
    ] {
        let name = fixture(&format!("models/{model}"));
        let outcome = Sandbox::new().run(["verify", &name, "--json"]).succeeds();
        let events = events(&outcome);
        let kind = event(&events, "model");
        assert_eq!((&kind["family"], &kind["variant"]), (&family.into(), &variant.into()), "{model}");
        assert_eq!(kind["prediction"], prediction, "{model}");
        let unet = events.iter().find(|event| event["file"] == UNET).unwrap();
        assert_eq!((&unet["tensors"], &unet["expected"]), (&tensors.into(), &tensors.into()), "{model}");
        assert_eq!((&unet["container"], &unet["part"]), (&"safetensors".into(), &"unet".into()));
        let bytes = fs::read(Path::new(&name).join(UNET)).unwrap();
        assert_eq!(unet["bytes"], bytes.len());
        assert_eq!(unet["sha256"], sdgen::image::sha256(&bytes[..]).unwrap());
        assert_eq!(event(&events, "summary")["failed"], 0);
        assert!(events.iter().all(|event| event["schema"] == 1));
    }
}

#[test]
fn a_part_alone_is_compared_with_its_config() {
    let folder = fixture("models/sd15-inpaint/unet");
    for name in [folder.clone(), format!("{folder}/diffusion_pytorch_model.safetensors")] {
        let outcome = Sandbox::new().run(["verify", &name, "--json"]).succeeds();
        let events = events(&outcome);
        let file = event(&events, "file");
        assert_eq!((&file["family"], &file["variant"]), (&"sd1".into(), &"inpainting".into()));
        assert_eq!(file["expected"], file["tensors"]);
    }
}

#[test]
fn a_file_that_is_a_byte_short_is_named() {
    let cut = |model: &Path| {
        let file = fs::OpenOptions::new().write(true).open(model.join(UNET)).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    };
    fails(cut, &["FAILED unet/diffusion_pytorch_model.safetensors", "incomplete", "7991567 of 7991568 bytes"]);
}

#[test]
fn a_tensor_of_another_name_is_missing() {
    let rename = |model: &Path| patch(model.join(UNET), b"\"conv_in.bias\"", b"\"conv_in.bios\"");
    fails(
        rename,
        &["FAILED unet/", "missing: 1 tensor (conv_in.bias)", "not used by the model: 1 tensor (conv_in.bios)"],
    );
}

#[test]
fn a_tensor_of_another_shape_is_named() {
    let reshape = |model: &Path| {
        let file = model.join("unet/config.json");
        let config = fs::read_to_string(&file).unwrap();
        fs::write(&file, config.replace("\"cross_attention_dim\": 128", "\"cross_attention_dim\": 64")).unwrap();
    };
    fails(
        reshape,
        &[
            "FAILED unet/",
            "FAILED model",
            "do not belong together",
            "attn2.to_k.weight is [128, 128] instead of [128, 64]",
            "wrong shape: ",
        ],
    );
}

#[test]
fn one_value_that_is_no_number_is_named() {
    let break_it = |model: &Path| {
        let mut bytes = fs::read(model.join(UNET)).unwrap();
        let at = bytes.len() - 2;
        bytes[at..].copy_from_slice(&half::f16::NAN.to_le_bytes());
        fs::write(model.join(UNET), bytes).unwrap();
    };
    fails(break_it, &["FAILED unet/", "broken values: ", "1 of ", "not a number"]);
}

#[test]
fn parts_that_are_gone_and_configs_that_are_damaged_are_said() {
    fails(
        |model| fs::remove_file(model.join("vae/diffusion_pytorch_model.safetensors")).unwrap(),
        &["the vae has no weights"],
    );
    fails(
        |model| fs::write(model.join("vae/config.json"), "{\"act_fn\": \"gelu\"}").unwrap(),
        &["FAILED vae/", "act_fn"],
    );
    fails(|model| fs::remove_dir_all(model.join("scheduler")).unwrap(), &["FAILED model", "scheduler"]);
    fails(|model| fs::write(model.join("model_index.json"), "[]").unwrap(), &["FAILED model", "model_index.json"]);
    fails(|model| fs::write(model.join("vae/diffusion_pytorch_model.safetensors"), "<html>").unwrap(), &["web page"]);
}

/// Sizes that no published model has are not in the tensors: that is no fault of the file.
#[test]
fn a_checkpoint_of_unusual_sizes_is_not_failed_for_them() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("tiny.safetensors"), file(&checkpoint("sd15"), &[])).unwrap();
    let outcome = sandbox.run(["verify", "tiny.safetensors"]).succeeds();
    assert!(outcome.text().contains("cannot be told from its tensors"), "{}", outcome.text());
    assert!(outcome.text().contains("--config DIR"), "{}", outcome.text());
}

#[test]
fn files_of_any_content_end_in_a_report() {
    let sandbox = Sandbox::new();
    let whole = fs::read(fixture("metadata/plain.safetensors")).unwrap();
    let mut names = Vec::new();
    for at in 0..60 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        names.push(format!("{at}.safetensors"));
        fs::write(sandbox.path(names.last().unwrap()), bytes).unwrap();
    }
    fs::write(sandbox.path("empty.safetensors"), "").unwrap();
    names.push("empty.safetensors".into());
    let outcome = sandbox.run(["verify", "--json"].into_iter().chain(names.iter().map(String::as_str)));
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()), "{}", outcome.stderr);
    let events = events(&outcome);
    assert_eq!(event(&events, "summary")["targets"], names.len());
    assert_eq!(events.iter().filter(|event| event["event"] == "file").count(), names.len());
}

#[test]
fn models_for_inpainting_are_shown_a_mask_when_they_paint() {
    let outcome = Sandbox::new().run(["verify", &fixture("models/sd15-inpaint"), "--smoke"]).succeeds();
    assert!(outcome.text().contains("smoke test: 2 steps of"), "{}", outcome.text());
}

#[test]
fn a_smoke_test_paints_unless_the_files_are_broken() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["verify", &fixture("models/sd15"), "--smoke", "--json"]).succeeds();
    let run = event(&events(&outcome), "run").clone();
    assert_eq!((&run["width"], &run["height"], &run["problems"]), (&128.into(), &128.into(), &Value::Array(vec![])));
    assert!(run["seconds"].as_f64().unwrap() > 0.0);
    if cfg!(target_os = "linux") {
        assert!(run["peak_bytes"].as_u64().unwrap() > 1 << 20);
    }
    fs::remove_file(sandbox.model().join(UNET)).unwrap();
    let outcome = sandbox.run(["verify", "model", "--smoke"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()));
    assert!(outcome.text().contains("smoke test: not run"), "{}", outcome.text());
    // All values finite, and no picture: the last layer adds so much that all is white.
    fs::remove_dir_all(sandbox.path("model")).unwrap();
    let vae = sandbox.model().join("vae/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&vae).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let at = 8 + length + header["decoder.conv_out.bias"]["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[at..at + 6].copy_from_slice(&half::f16::MAX.to_le_bytes().repeat(3));
    fs::write(&vae, bytes).unwrap();
    let outcome = sandbox.run(["verify", "model", "--smoke"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()));
    assert!(outcome.text().contains("FAILED smoke test"), "{}", outcome.text());
    assert!(outcome.text().contains("broken"), "{}", outcome.text());
}

#[test]
fn build_servers_get_their_xml() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.model().join(UNET)).unwrap();
    let outcome = sandbox.run(["verify", "model", &fixture("models/sd15"), "--junit", "report.xml"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()));
    let xml = fs::read_to_string(sandbox.path("report.xml")).unwrap();
    assert!(xml.contains("tests=\"7\" failures=\"1\""), "{xml}");
    assert!(xml.contains("<testsuite name=\"model\" tests=\"3\" failures=\"1\"") && xml.contains("<failure"), "{xml}");
    sandbox.run(["verify", "model", "--junit", "no/report.xml"]).fails(exit_code::FAILURE).says(&["no"]);
}

#[test]
fn a_picture_is_made_again_from_its_recipe() {
    let sandbox = Sandbox::new();
    sandbox.quick(&["-o", "a.png", "--batch", "2"]).succeeds();
    let files: Vec<String> = sandbox.files();
    assert_eq!(files.len(), 2);
    let outcome = sandbox.run(["verify", &files[0], &files[1], "--reproduce"]).succeeds();
    assert_eq!(outcome.text().matches("identical").count(), 2, "{}", outcome.text());

    let png = fs::read(sandbox.path(&files[1])).unwrap();
    let mut picture = pixels(&png);
    picture.get_pixel_mut(3, 4).0[1] ^= 4;
    fs::write(sandbox.path("b.png"), encode(&picture, &read_texts(&png).unwrap()).unwrap()).unwrap();
    let outcome = sandbox.run(["verify", "b.png", "--reproduce", "--json"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()));
    let events = events(&outcome);
    let report = event(&events, "verified_picture");
    assert_eq!((&report["identical"], &report["max_difference"]), (&false.into(), &4.into()));
}

#[test]
fn a_recipe_needs_its_model() {
    let sandbox = Sandbox::new();
    let model = sandbox.model();
    sandbox.quick(&["-o", "a.png", "--model", "model"]).succeeds();
    fs::rename(&model, sandbox.path("elsewhere")).unwrap();
    sandbox.run(["verify", "a.png", "--reproduce"]).fails(exit_code::MODEL).says(&["`model`", "--model"]);
    sandbox.run(["verify", "a.png", "--reproduce", "--model", "elsewhere"]).succeeds();
}

#[test]
fn pictures_without_a_recipe_and_broken_ones() {
    let sandbox = Sandbox::new();
    let png = fs::read(fixture("golden/a-red-apple-7.png")).unwrap();
    fs::write(sandbox.path("a.png"), &png).unwrap();
    let outcome = sandbox.run(["verify", "a.png"]).succeeds();
    assert!(outcome.text().contains("128x128, without a recipe"), "{}", outcome.text());
    sandbox.run(["verify", "a.png", "--reproduce"]).fails(exit_code::MODEL).says(&["no recipe"]);
    fs::write(sandbox.path("a.png"), &png[..png.len() / 2]).unwrap();
    let outcome = sandbox.run(["verify", "a.png"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()));
    assert!(outcome.text().contains("damaged"), "{}", outcome.text());
    let black = encode(&image::RgbImage::new(16, 16), &[]).unwrap();
    fs::write(sandbox.path("a.png"), black).unwrap();
    let outcome = sandbox.run(["verify", "a.png"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()));
    assert!(outcome.text().contains("black"), "{}", outcome.text());
}

#[test]
fn what_is_not_there_or_makes_no_sense_is_refused_before_any_work() {
    let sandbox = Sandbox::new();
    sandbox.run(["verify", "emoji", "no-such-model"]).fails(exit_code::MODEL).says(&["no-such-model"]);
    sandbox.run(["verify", "--reproduce"]).fails(exit_code::USAGE).says(&["picture"]);
    sandbox.run(["verify", "emoji", "--reproduce"]).fails(exit_code::USAGE).says(&["emoji", "--reproduce"]);
    sandbox.run(["verify", &fixture("golden/a-red-apple-7.png"), "--smoke"]).fails(exit_code::USAGE).says(&["--smoke"]);
    fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.run(["verify", "empty"]).fails(exit_code::MODEL).says(&["model_index.json"]);
}

/// One part without weights, or a picture without a recipe, once ended the checks of all that came behind it.
#[test]
fn one_of_several_that_cannot_be_checked_is_a_failed_check() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("part")).unwrap();
    fs::write(sandbox.path("part/config.json"), "{}").unwrap();
    let outcome = sandbox.run(["verify", "part", "emoji", "--json", "--junit", "report.xml"]);
    assert_eq!(outcome.code, Some(exit_code::VERIFICATION.into()), "{}", outcome.stderr);
    let events = events(&outcome);
    let error = event(&events, "error");
    assert_eq!((&error["exit_code"], &error["fatal"]), (&exit_code::MODEL.into(), &false.into()));
    assert!(error["message"].as_str().unwrap().starts_with("part: "), "{error}");
    assert_eq!(
        (&event(&events, "model")["target"], &event(&events, "summary")["failed"]),
        (&"emoji".into(), &1.into())
    );
    let xml = fs::read_to_string(sandbox.path("report.xml")).unwrap();
    assert!(xml.contains("<testsuite name=\"part\" tests=\"1\" failures=\"1\""), "{xml}");
    let alone = sandbox.run(["verify", "part", "--prediction", "v"]);
    assert_eq!(alone.code, Some(exit_code::MODEL.into()), "{}", alone.stderr);
    // What is for files alone was ignored without a word.
    alone.says(&["`--prediction` has no effect", "no weights"]);
}

#[test]
fn a_place_that_cannot_take_the_xml_is_refused_before_the_work() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("folder")).unwrap();
    sandbox.run(["verify", "emoji", "--junit", "folder"]).fails(exit_code::FAILURE).says(&["folder"]);
    sandbox.run(["verify", "emoji", "--junit", "-"]).fails(exit_code::USAGE).says(&["standard output"]);
    assert_eq!(sandbox.files(), ["folder"]);
}
