//! LoRAs on the tiny models: what is said, what cannot be, and that it is the weights that change. Pictures of diffusers: `parity`.

use std::fs;
use std::path::Path;

use sdgen::error::exit_code;

use crate::single_file::{checkpoint, ckpt, file, fixtures, gguf, read, Stored};
use crate::support::{difference, pixels, Outcome, Sandbox};

/// A sandbox with the LoRAs of the fixtures.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for lora in ["sd15-kohya.safetensors", "sdxl-peft.safetensors"] {
        fs::copy(fixtures().join("lora").join(lora), sandbox.path(lora)).unwrap();
    }
    sandbox
}

fn paint(sandbox: &Sandbox, model: &Path, more: &[&str]) -> Outcome {
    let fixed =
        ["generate", "a cat", "--model", model.to_str().unwrap(), "--width", "64", "--height", "64", "--steps", "2"];
    let seed = ["--seed", "5", "--device", "cpu", "--dtype", "f32", "-o", "-"];
    sandbox.run(fixed.iter().chain(&seed).chain(more))
}

fn sd15() -> std::path::PathBuf {
    fixtures().join("models/sd15")
}

/// The pixels that SD 1.5 paints.
fn picture(sandbox: &Sandbox, more: &[&str]) -> image::RgbImage {
    pixels(&paint(sandbox, &sd15(), more).succeeds().stdout)
}

/// The tensors of the fixture for SD 1.5.
fn kohya() -> Vec<Stored> {
    read(&fixtures().join("lora/sd15-kohya.safetensors"))
}

/// Writes `x.safetensors`, a LoRA with changed tensors, and expects its refusal with these words.
#[track_caller]
fn refused(change: impl FnOnce(&mut Vec<Stored>), words: &[&str]) {
    let sandbox = sandbox();
    let mut tensors = kohya();
    change(&mut tensors);
    fs::write(sandbox.path("x.safetensors"), file(&tensors, &[])).unwrap();
    paint(&sandbox, &sd15(), &["-l", "x.safetensors"]).fails(exit_code::MODEL).says(words).says(&["x.safetensors"]);
}

const Q: &str = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";

#[test]
fn what_was_applied_is_said() {
    let sandbox = sandbox();
    let said = "LoRA sd15-kohya: 114 of 114 modules, rank 4, UNet 96, text 18";
    paint(&sandbox, &sd15(), &["--lora", "sd15-kohya.safetensors"]).succeeds().says(&[said]);
}

#[test]
fn scale_zero_is_the_plain_picture() {
    let sandbox = sandbox();
    let plain = picture(&sandbox, &[]);
    assert_eq!(picture(&sandbox, &["-l", "sd15-kohya.safetensors:0"]), plain);
    assert_eq!(picture(&sandbox, &["-l", "sd15-kohya.safetensors", "--lora-blocks", "ALL=0"]), plain);
    paint(&sandbox, &sd15(), &["-l", "sd15-kohya.safetensors:0"]).says(&["no effect"]);
}

#[test]
fn scales_of_text_and_denoiser_are_two() {
    let sandbox = sandbox();
    let with = |scales: &str| picture(&sandbox, &["-l", &format!("sd15-kohya.safetensors:{scales}")]);
    let (plain, both, half) = (picture(&sandbox, &[]), with("1"), with("0.5"));
    let (denoiser, text) = (with("1:0"), with("0:1"));
    let all = [&plain, &both, &half, &denoiser, &text];
    for (index, one) in all.iter().enumerate() {
        assert!(all[..index].iter().all(|other| difference(one, other).0 > 2), "{index}");
    }
    assert_eq!(with("1:1"), both);
    let blocks = |weights: &str| picture(&sandbox, &["-l", "sd15-kohya.safetensors", "--lora-blocks", weights]);
    assert_eq!(blocks("BASE=0"), denoiser);
    assert_eq!(blocks("ALL=0,BASE=1"), text);
}

#[test]
fn the_order_makes_no_difference() {
    let sandbox = sandbox();
    fs::copy(sandbox.path("sd15-kohya.safetensors"), sandbox.path("b.safetensors")).unwrap();
    let (a, b) = (["-l", "sd15-kohya.safetensors:0.6"], ["-l", "b.safetensors:-1.3:0.4"]);
    let (first, second) = (picture(&sandbox, &[a, b].concat()), picture(&sandbox, &[b, a].concat()));
    assert!(difference(&first, &second).0 <= 1);
    let alone = picture(&sandbox, &a);
    assert!(difference(&first, &alone).0 > 2);
    // Scales add up.
    let half = ["-l", "sd15-kohya.safetensors:0.5", "-l", "b.safetensors:0.5"];
    assert!(difference(&picture(&sandbox, &half), &picture(&sandbox, &["-l", "b.safetensors"])).0 <= 1);
}

#[test]
fn all_containers_work_alike() {
    let sandbox = sandbox();
    let expected = picture(&sandbox, &["-l", "sd15-kohya.safetensors"]);
    fs::write(sandbox.path("style.pt"), ckpt(&kohya(), 0)).unwrap();
    assert_eq!(picture(&sandbox, &["-l", "style.pt"]), expected);
    let folder = sd15();
    let more = ["--config", folder.to_str().unwrap(), "-l", "style.pt"];
    let tensors = checkpoint("sd15");
    for (name, bytes) in [("model.safetensors", file(&tensors, &[])), ("model.gguf", gguf(&tensors))] {
        fs::write(sandbox.path(name), bytes).unwrap();
        let outcome = paint(&sandbox, &sandbox.path(name), &more).succeeds();
        assert_eq!(pixels(&outcome.stdout), expected, "{name}");
    }
}

#[test]
fn a_lora_for_another_family_says_so() {
    let sandbox = sandbox();
    let words = ["sdxl-peft.safetensors", "is for SDXL, and the model is SD 1.x"];
    paint(&sandbox, &sd15(), &["-l", "sdxl-peft.safetensors"]).fails(exit_code::MODEL).says(&words);
    let sdxl = fixtures().join("models/sdxl");
    let words = ["is for SD 1.x, and the model is SDXL"];
    paint(&sandbox, &sdxl, &["-l", "sd15-kohya.safetensors"]).fails(exit_code::MODEL).says(&words);
    let words = ["is for SD 1.x, and the model is of a family of its own"];
    sandbox.quick(&["-l", "sd15-kohya.safetensors"]).fails(exit_code::MODEL).says(&words);
}

#[test]
fn what_has_no_place_is_named_and_refused_when_strict() {
    let sandbox = sandbox();
    let mut tensors = kohya();
    tensors.iter_mut().filter(|tensor| tensor.name.starts_with(Q)).for_each(|tensor| {
        tensor.name = tensor.name.replace("mid_block", "side_block");
    });
    fs::write(sandbox.path("part.safetensors"), file(&tensors, &[])).unwrap();
    let words = ["113 of 114 modules", "warning", "1 name without a place", "side_block"];
    paint(&sandbox, &sd15(), &["-l", "part.safetensors"]).succeeds().says(&words);
    let strict = ["-l", "part.safetensors", "--strict"];
    paint(&sandbox, &sd15(), &strict).fails(exit_code::MODEL).says(&["only in part", "side_block"]);
    paint(&sandbox, &sd15(), &["-l", "sd15-kohya.safetensors", "--strict"]).succeeds();
    refused(
        |tensors| tensors.iter_mut().for_each(|tensor| tensor.name = format!("other_{}", tensor.name)),
        &["0 of 114 modules", "other_lora_"],
    );
}

#[test]
fn damage_is_told_with_its_place() {
    refused(
        |tensors| tensors.retain(|tensor| tensor.name != format!("{Q}.lora_up.weight")),
        &[Q, "up matrix", "missing"],
    );
    refused(|tensors| tensors.retain(|tensor| tensor.name != format!("{Q}.lora_down.weight")), &[Q, "down matrix"]);
    let change = |what: &'static str, shape: fn(&mut Vec<usize>)| {
        move |tensors: &mut Vec<Stored>| {
            let tensor = tensors.iter_mut().find(|tensor| tensor.name == format!("{Q}.{what}.weight")).unwrap();
            shape(&mut tensor.shape);
            tensor.bytes = vec![0; 2 * tensor.shape.iter().product::<usize>()];
        }
    };
    refused(change("lora_up", |shape| shape[1] += 1), &[Q, "rank"]);
    refused(change("lora_up", |shape| shape[0] += 1), &[Q, "model's is"]);
    refused(change("lora_down", |shape| shape[1] *= 2), &[Q, "model's is"]);
}

#[test]
fn what_is_no_lora_is_refused() {
    let sandbox = sandbox();
    let refused = |name: &str, bytes: &[u8], words: &[&str]| {
        fs::write(sandbox.path(name), bytes).unwrap();
        paint(&sandbox, &sd15(), &["-l", name]).fails(exit_code::MODEL).says(words).says(&[name]);
    };
    let whole = fs::read(sandbox.path("sd15-kohya.safetensors")).unwrap();
    refused("cut.safetensors", &whole[..whole.len() / 2], &["incomplete"]);
    refused("a.png", &fs::read(fixtures().join("pictures/sd15-lora-0.png")).unwrap(), &["picture"]);
    refused("model.safetensors", &file(&checkpoint("sd15"), &[]), &["is no LoRA"]);
    paint(&sandbox, &sd15(), &["-l", "none.safetensors"]).fails(exit_code::MODEL).says(&["none.safetensors"]);
    for (value, word) in [("sd15-kohya.safetensors:abc", "`abc`"), ("sd15-kohya.safetensors:1000", "1000")] {
        paint(&sandbox, &sd15(), &["-l", value]).fails(exit_code::USAGE).says(&[word]);
    }
    for weights in ["1,0", "MID", "SIDE=1", "MID=x"] {
        let more = ["-l", "sd15-kohya.safetensors", "--lora-blocks", weights];
        paint(&sandbox, &sd15(), &more).fails(exit_code::USAGE).says(&["--lora-blocks"]);
    }
    // Right as such, and not for this model.
    let more = ["-l", "sd15-kohya.safetensors", "--lora-blocks", "1,1,1,1,1,1,1,1,1,1,1,1"];
    paint(&sandbox, &sd15(), &more).fails(exit_code::MODEL).says(&["12 numbers", "blocks each way"]);
}

#[test]
fn the_example_draws_lines() {
    let sandbox = Sandbox::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/lora/line-drawing.safetensors");
    let scale = |scale: &str| {
        let lora = format!("{}:{scale}", example.display());
        let outcome = sandbox.quick(&["--steps", "6", "-o", "-", "-l", &lora]).succeeds();
        let colour = |pixel: &image::Rgb<u8>| f64::from(pixel.0.iter().max().unwrap() - pixel.0.iter().min().unwrap());
        let picture = pixels(&outcome.stdout);
        (picture.pixels().map(colour).sum::<f64>() / f64::from(picture.width() * picture.height()), outcome.stderr)
    };
    let ((plain, _), (drawn, said)) = (scale("0"), scale("1"));
    assert!(said.contains("line-drawing: 40 of 40 modules, rank 16, UNet 40"), "{said}");
    assert!(drawn < 0.5 * plain, "colours of {drawn} where the model has {plain}");
}
