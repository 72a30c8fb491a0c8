//! `sdgen lora-merge`: a merged model paints what the model paints with its LoRAs, and one LoRA what several do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use image::RgbImage;
use sdgen::error::exit_code;
use serde_json::Value;

use crate::adapters;
use crate::single_file::{checkpoint, ckpt, file, fixtures, gguf, read, zeros, Stored};
use crate::support::{difference, pixels, Sandbox, QUICK};

fn folder(model: &str) -> String {
    fixtures().join("models").join(model).to_str().unwrap().into()
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    adapters::write(&sandbox.path("in/style.safetensors"), "sd15", 4, 1);
    adapters::write(&sandbox.path("in/face.safetensors"), "sd15", 2, 2);
    adapters::write(&sandbox.path("in/xl.safetensors"), "sdxl", 4, 3);
    fs::write(sandbox.path("in/tiny.safetensors"), file(&checkpoint("sd15"), &[("title", "tiny")])).unwrap();
    sandbox
}

fn paint(sandbox: &Sandbox, arguments: &[&str]) -> RgbImage {
    let size = ["-W", "64", "-H", "64", "-g", "4", "-o", "-"];
    pixels(&sandbox.run(QUICK.iter().chain(arguments).chain(&size)).succeeds().stdout)
}

fn words(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    header["__metadata__"].clone()
}

fn tensors(path: &Path) -> BTreeMap<String, Stored> {
    read(path).into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect()
}

const BOTH: [&str; 2] = ["in/style.safetensors:0.8:0.4", "in/face.safetensors:-0.5"];
const WITH_BOTH: [&str; 4] = ["-l", BOTH[0], "-l", BOTH[1]];

#[test]
fn a_merged_model_paints_what_the_model_paints_with_its_loras() {
    let sandbox = sandbox();
    let sd15 = folder("sd15");
    let plain = paint(&sandbox, &["-m", &sd15]);
    let expected = paint(&sandbox, &[&["-m", &sd15], &WITH_BOTH[..]].concat());
    assert!(difference(&plain, &expected).0 > 8, "the LoRAs change little");
    for (model, output, more) in [
        (sd15.as_str(), "merged", &[][..]),
        (&sd15, "merged.safetensors", &["--layout", "single"]),
        ("in/tiny.safetensors", "tiny.safetensors", &["--strict"]),
        ("in/tiny.safetensors", "unpacked", &["--layout", "diffusers", "--config", &sd15]),
    ] {
        let line = ["lora-merge", "-m", model, BOTH[0], BOTH[1], "-o", output];
        let outcome = sandbox.run(line.iter().chain(more)).succeeds().says(&["style: ", "face: ", "text"]);
        assert_eq!(outcome.paths(), [output]);
        let painted = paint(&sandbox, &["-m", output, "--config", &sd15]);
        let (most, _) = difference(&painted, &expected);
        assert!(most <= 1, "{output}: {most}");
    }
    assert_eq!(sandbox.files(), ["in", "merged", "merged.safetensors", "tiny.safetensors", "unpacked"]);
    let verified = sandbox.run(["verify", "merged", "tiny.safetensors"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
}

#[test]
fn what_no_lora_changes_keeps_its_bytes() {
    let sandbox = sandbox();
    let before = tensors(&sandbox.path("in/tiny.safetensors"));
    let merge = |loras: &[&str], output: &str| {
        let line = ["lora-merge", "-m", "in/tiny.safetensors", "-o", output];
        sandbox.run(line.iter().chain(loras)).succeeds();
        tensors(&sandbox.path(output))
    };
    assert!(merge(&["in/style.safetensors:0", "in/face.safetensors:0:0"], "zero.safetensors") == before);
    let after = merge(&["in/style.safetensors"], "one.safetensors");
    let changed: Vec<&String> = before.keys().filter(|name| after[*name] != before[*name]).collect();
    let is_layer = |name: &&String| name.ends_with(".weight") && !name.starts_with("first_stage_model.");
    assert!(changed.len() > 20 && changed.iter().all(is_layer), "{changed:?}");
    assert!(before.iter().all(|(name, tensor)| after[name].shape == tensor.shape && after[name].dtype == tensor.dtype));
    // Folders: parts without a change are copied whole.
    let sd15 = folder("sd15");
    sandbox.run(["lora-merge", "-m", &sd15, "in/style.safetensors:0", "-o", "folder"]).succeeds();
    for part in ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"] {
        let name = format!("{part}.safetensors");
        assert!(tensors(&sandbox.path("folder").join(&name)) == tensors(&Path::new(&sd15).join(&name)), "{part}");
    }
}

#[test]
fn the_result_tells_what_is_in_it() {
    let sandbox = sandbox();
    let merge = |model: &str, lora: &str, output: &str| {
        sandbox.run(["lora-merge", "-m", model, lora, "-o", output]).succeeds();
        words(&sandbox.path(output))
    };
    merge("in/tiny.safetensors", BOTH[0], "once.safetensors");
    let words = merge("once.safetensors", BOTH[1], "twice.safetensors");
    let merged: Value = serde_json::from_str(words["sdgen.merged"].as_str().unwrap()).unwrap();
    let sha256 = |name: &str| sdgen::image::sha256_file(&sandbox.path(name)).unwrap();
    let expected = serde_json::json!([
        { "name": "style", "sha256": sha256("in/style.safetensors"), "scale": 0.8, "text_scale": 0.4 },
        { "name": "face", "sha256": sha256("in/face.safetensors"), "scale": -0.5 },
    ]);
    assert_eq!(merged, expected);
    assert_eq!((&words["title"], &words["modelspec.merged_from"]), (&"tiny".into(), &"once, face".into()));
    let line = ["lora-merge", "-m", "in/tiny.safetensors", BOTH[0], "-o", "json.safetensors", "--json"];
    let outcome = sandbox.run(line).succeeds();
    let event: Value = serde_json::from_str(outcome.text().lines().next_back().unwrap()).unwrap();
    assert_eq!((&event["event"], &event["path"]), (&"merged".into(), &"json.safetensors".into()));
    assert_eq!(event["loras"][0], expected[0]);
    assert_eq!(event["bytes"], fs::metadata(sandbox.path("json.safetensors")).unwrap().len());
}

#[test]
fn other_containers_and_types_become_safetensors() {
    let sandbox = sandbox();
    fs::write(sandbox.path("in/tiny.ckpt"), ckpt(&checkpoint("sd15"), 1)).unwrap();
    fs::write(sandbox.path("in/tiny.gguf"), gguf(&checkpoint("sd15"))).unwrap();
    sandbox.run(["lora-merge", "-m", "in/tiny.safetensors", BOTH[0], "-o", "expected.safetensors"]).succeeds();
    let expected = tensors(&sandbox.path("expected.safetensors"));
    for ending in ["ckpt", "gguf"] {
        let (model, output) = (format!("in/tiny.{ending}"), format!("{ending}.safetensors"));
        sandbox.run(["lora-merge", "-m", &model, BOTH[0], "-o", &output]).succeeds();
        assert!(tensors(&sandbox.path(&output)) == expected, "{ending}");
    }
    let line = ["lora-merge", "-m", "in/tiny.safetensors", BOTH[0], "-o", "wide.safetensors", "--dtype", "f32"];
    sandbox.run(line).succeeds();
    assert!(tensors(&sandbox.path("wide.safetensors")).values().all(|tensor| tensor.dtype != "F16"));
    // Sums of quantised numbers are not quantised again.
    let quantised = ["convert", "emoji", "-o", "in/emoji.gguf", "--layout", "single", "--quantize", "q8_0"];
    sandbox.run(quantised).succeeds();
    let emoji = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/emoji");
    adapters::write(&sandbox.path("in/emoji.safetensors"), emoji, 2, 4);
    let line = ["lora-merge", "-m", "in/emoji.gguf", "in/emoji.safetensors", "-o", "emoji.safetensors"];
    sandbox.run(line).succeeds().says(&["quantised (q8_0): written as f16"]);
    assert!(tensors(&sandbox.path("emoji.safetensors")).values().all(|tensor| tensor.dtype == "F16"));
}

#[test]
fn bad_input_leaves_nothing_behind() {
    let sandbox = sandbox();
    let style = adapters::lora("sd15", 4, 1);
    let write = |name: &str, tensors: &[Stored]| fs::write(sandbox.path(name), file(tensors, &[])).unwrap();
    let whole = fs::read(sandbox.path("in/style.safetensors")).unwrap();
    fs::write(sandbox.path("in/cut.safetensors"), &whole[..whole.len() / 2]).unwrap();
    let half: Vec<Stored> = style.iter().filter(|t| t.name != style[1].name).cloned().collect();
    write("in/half.safetensors", &half);
    let mut ranks = style.clone();
    ranks[1] = zeros(&style[1].name, &[style[1].shape[0], 3]);
    write("in/ranks.safetensors", &ranks);
    fs::copy(fixtures().join("images/gradient.png"), sandbox.path("in/picture.safetensors")).ok();
    fs::write(sandbox.path("taken.safetensors"), "x").unwrap();
    let unet = format!("{}/unet/diffusion_pytorch_model.safetensors", folder("sd15"));
    for (lora, output, code, said) in [
        ("in/cut.safetensors", "out.safetensors", exit_code::MODEL, &["cut.safetensors", "incomplete"][..]),
        ("in/half.safetensors", "out.safetensors", exit_code::MODEL, &["half.safetensors", "missing"]),
        ("in/ranks.safetensors", "out.safetensors", exit_code::MODEL, &["ranks.safetensors", "rank"]),
        ("in/xl.safetensors", "out.safetensors", exit_code::MODEL, &["SDXL", "SD 1.x"]),
        (&unet, "out.safetensors", exit_code::MODEL, &["no LoRA", "UNet"]),
        ("in/nothing.safetensors", "out.safetensors", exit_code::MODEL, &["no LoRA `in/nothing.safetensors`"]),
        ("in/style.safetensors:abc", "out.safetensors", exit_code::USAGE, &["`abc`", "FILE:SCALE"]),
        ("in/style.safetensors", "taken.safetensors", exit_code::USAGE, &["exists", "--overwrite"]),
        ("in/style.safetensors", "in/tiny.safetensors", exit_code::USAGE, &["is what the result is made of"]),
        ("in/style.safetensors", "in/style.safetensors", exit_code::USAGE, &["is what the result is made of"]),
        ("in/style.safetensors", "out", exit_code::USAGE, &[".safetensors"]),
    ] {
        let before = sandbox.files();
        sandbox.run(["lora-merge", "-m", "in/tiny.safetensors", lora, "-o", output]).fails(code).says(said);
        assert_eq!(sandbox.files(), before, "{lora}");
        assert_eq!(fs::read(sandbox.path("taken.safetensors")).unwrap(), b"x");
    }
    let line = ["lora-merge", "-m", "in/style.safetensors", "in/face.safetensors", "-o", "out.safetensors"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["nothing to merge a LoRA into", "LoRA"]);
    sandbox
        .run(["lora-merge", "in/style.safetensors", "-o", "out.safetensors"])
        .fails(exit_code::USAGE)
        .says(&["model"]);
}

#[test]
fn a_part_without_a_place_is_told_and_strict_refuses_it() {
    let sandbox = sandbox();
    let mut tensors = adapters::lora("sd15", 4, 1);
    for tensor in tensors.iter_mut().take(3) {
        tensor.name = tensor.name.replace("lora_unet_", "lora_unet_elsewhere_");
    }
    fs::write(sandbox.path("in/part.safetensors"), file(&tensors, &[])).unwrap();
    let line = ["lora-merge", "-m", "in/tiny.safetensors", "in/part.safetensors", "-o", "out.safetensors"];
    sandbox.run(line.iter().chain(&["--strict"])).fails(exit_code::MODEL).says(&["only in part", "elsewhere"]);
    sandbox.run(line).succeeds().says(&["warning", "only in part", "lora_unet_elsewhere_"]);
}

#[test]
fn several_loras_become_one_without_loss() {
    let sandbox = sandbox();
    let sd15 = folder("sd15");
    let expected = paint(&sandbox, &[&["-m", &sd15], &WITH_BOTH[..]].concat());
    let line = ["lora-merge", "--lora-only", "-m", &sd15, BOTH[0], BOTH[1], "-o", "both.safetensors"];
    sandbox.run(line).succeeds().says(&["rank 6"]);
    let (most, _) = difference(&paint(&sandbox, &["-m", &sd15, "-l", "both.safetensors"]), &expected);
    assert!(most <= 1, "{most}");
    let words = words(&sandbox.path("both.safetensors"));
    assert_eq!((&words["ss_network_dim"], &words["ss_network_alpha"]), (&"6".into(), &"6".into()));
    let tensors = tensors(&sandbox.path("both.safetensors"));
    let given: Vec<String> = adapters::lora("sd15", 4, 1).into_iter().map(|tensor| tensor.name).collect();
    assert!(given.iter().all(|name| tensors.contains_key(name)) && tensors.len() == given.len());
    // All of the rank that there is, by another way; and less of it.
    let of_rank = |rank: &str| {
        let more = ["--rank", rank, "--overwrite"];
        let outcome = sandbox.run(line.iter().chain(&more)).succeeds().says(&["keeps at least"]);
        let kept = outcome.stderr.split("at least ").nth(1).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
        (kept, difference(&paint(&sandbox, &["-m", &sd15, "-l", "both.safetensors"]), &expected).0)
    };
    let (kept, most) = of_rank("6");
    assert!(kept > 99.99 && most <= 1, "{kept} {most}");
    let (less, _) = of_rank("3");
    assert!(less > 20.0 && less < 99.0, "{less}");
}

#[test]
fn the_family_is_enough_for_loras_of_full_size() {
    let sandbox = sandbox();
    let to_k = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k";
    for (family, module, [outputs, inputs], same) in [
        ("sd1", to_k, [1280, 768], to_k),
        ("sd2", to_k, [1280, 1024], to_k),
        ("sdxl", "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k", [1280, 2048], ""),
        (
            "flux",
            "lora_unet_double_blocks_7_img_attn_proj",
            [3072, 3072],
            "transformer.transformer_blocks.7.attn.to_out.0",
        ),
        (
            "flux-t5",
            "lora_unet_single_blocks_37_linear2",
            [3072, 15360],
            "transformer.single_transformer_blocks.37.proj_out",
        ),
        ("sd3", "transformer.transformer_blocks.23.attn.to_q", [1536, 1536], ""),
        ("sd35-medium", "transformer.transformer_blocks.12.attn2.to_q", [1536, 1536], ""),
        ("sd35-large", "transformer.transformer_blocks.37.attn.to_q", [2432, 2432], ""),
    ] {
        let same = if same.is_empty() { module } else { same };
        let roles = |module: &str| if module.contains('.') { ["lora_A", "lora_B"] } else { ["lora_down", "lora_up"] };
        let [down, up] = roles(module);
        let down = zeros(&format!("{module}.{down}.weight"), &[4, inputs]);
        let up = zeros(&format!("{module}.{up}.weight"), &[outputs, 4]);
        let name = format!("in/{family}.safetensors");
        fs::write(sandbox.path(&name), file(&[down, up], &[])).unwrap();
        let output = format!("{family}.safetensors");
        let outcome = sandbox.run(["lora-merge", "--lora-only", &name, &name, "-o", &output]).succeeds();
        outcome.says(&["1 of 1 modules", "1 module, rank 8"]);
        let tensors = tensors(&sandbox.path(&output));
        let [down, up] = roles(same).map(|role| format!("{same}.{role}.weight"));
        assert_eq!((&tensors[&down].shape[..], &tensors[&up].shape[..]), (&[8, inputs][..], &[outputs, 8][..]));
        assert!(tensors.values().all(|tensor| tensor.dtype == "F16"));
    }
    // Whatever family it may be of: nothing but its text tells the size.
    let said = [("modelspec.architecture", "stable-diffusion-3.5-large/lora")];
    let module = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj";
    let thin = [
        zeros(&format!("{module}.lora_down.weight"), &[4, 768]),
        zeros(&format!("{module}.lora_up.weight"), &[768, 4]),
    ];
    fs::write(sandbox.path("in/text.safetensors"), file(&thin, &said)).unwrap();
    let line = ["lora-merge", "--lora-only", "in/text.safetensors", "-o", "text.safetensors"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["medium or large", "--model"]);
}

#[test]
fn loras_of_sdxl_get_the_names_of_kohyas_scripts() {
    let sandbox = sandbox();
    let line = ["lora-merge", "--lora-only", "-m", &folder("sdxl"), "in/xl.safetensors", "-o", "one.safetensors"];
    sandbox.run(line).succeeds();
    let tensors = tensors(&sandbox.path("one.safetensors"));
    let name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight";
    assert!(tensors.contains_key(name), "{:?}", tensors.keys().take(9).collect::<Vec<_>>());
    let of_text = |name: &&String| name.starts_with("lora_te1_text_model_encoder_layers_0_");
    assert!(tensors.keys().any(|name| of_text(&name)));
    let both = |lora: &str| paint(&sandbox, &["-m", &folder("sdxl"), "-l", lora]);
    assert!(difference(&both("one.safetensors"), &both("in/xl.safetensors")).0 <= 1);
}

#[test]
fn other_kinds_need_a_rank() {
    let sandbox = sandbox();
    let (layer, name) = ("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q", "in/loha.safetensors");
    let shape = adapters::lora("sd15", 2, 1).into_iter().find(|t| t.name == format!("{layer}.lora_down.weight"));
    let width = shape.unwrap().shape[1];
    let like = adapters::lora("sd15", 2, 9);
    let take = |role: &str, of: &str| {
        let found = like.iter().filter(|t| t.name.ends_with(of) && t.shape.contains(&width) && t.shape.len() == 2);
        let tensor =
            found.filter(|t| t.shape.iter().product::<usize>() == 2 * width).nth(usize::from(role.contains('2')));
        Stored { name: format!("{layer}.{role}"), ..tensor.unwrap().clone() }
    };
    let loha = [
        take("hada_w1_a", "lora_up.weight"),
        take("hada_w1_b", "lora_down.weight"),
        take("hada_w2_a", "lora_up.weight"),
        take("hada_w2_b", "lora_down.weight"),
    ];
    fs::write(sandbox.path(name), file(&loha, &[])).unwrap();
    let sd15 = folder("sd15");
    let line = ["lora-merge", "--lora-only", "-m", &sd15, name, "in/face.safetensors", "-o", "one.safetensors"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["LoHa", "--rank"]);
    // The product of two matrices of rank 2 has rank 4 at most, and the other LoRA 2.
    sandbox.run(line.iter().chain(&["--rank", "6"])).succeeds().says(&["keeps at least 100.00 %"]);
    let expected = paint(&sandbox, &["-m", &sd15, "-l", name, "-l", "in/face.safetensors"]);
    assert!(difference(&paint(&sandbox, &["-m", &sd15, "-l", "one.safetensors"]), &expected).0 <= 1);
    let line = ["lora-merge", "--lora-only", "in/face.safetensors", "in/xl.safetensors", "-o", "two.safetensors"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["one family"]);
}
