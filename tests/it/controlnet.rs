use std::fs;
use std::path::Path;

use sdgen::error::exit_code;

use crate::single_file::{ckpt, file, fixtures, read, Stored};
use crate::support::{copy, difference, pixels, text_chunk, Outcome, Sandbox};

/// The arguments of a quick picture.
const QUICK: &[&str] = &[
    "a photo of a red cat",
    "--seed",
    "3",
    "--steps",
    "3",
    "-W",
    "64",
    "-H",
    "64",
    "--device",
    "cpu",
    "--dtype",
    "f32",
];

/// A sandbox with a tiny model `sd15`, a ControlNet `net` for it, one for SDXL named `xl`, and the pictures `map.png` and `picture.png`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (from, to) in [("sd15", "sd15"), ("controlnet-sd15", "net"), ("controlnet-sdxl", "xl")] {
        copy(&fixtures().join("models").join(from), &sandbox.path(to));
    }
    for name in ["map.png", "picture.png", "mask.png"] {
        fs::copy(fixtures().join("pictures/given").join(name), sandbox.path(name)).unwrap();
    }
    sandbox
}

/// The tiny union as the folder `to`: its own tensors, and those that it has in common with the tiny ControlNet of SDXL.
pub fn union(to: &Path) {
    copy(&fixtures().join("models/controlnet-union"), to);
    let weights = "diffusion_pytorch_model.safetensors";
    let nets = ["controlnet-sdxl", "controlnet-union"].map(|name| fixtures().join("models").join(name).join(weights));
    fs::write(to.join(weights), file(&nets.iter().flat_map(|net| read(net)).collect::<Vec<_>>(), &[])).unwrap();
}

fn run(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    sandbox.run(["controlnet", "-m", "sd15"].iter().chain(QUICK).chain(more))
}

/// The picture, with its size checked.
fn picture(sandbox: &Sandbox, more: &[&str]) -> image::RgbImage {
    pixels(&run(sandbox, &[&["-o", "-"], more].concat()).succeeds().stdout)
}

fn plain(sandbox: &Sandbox) -> image::RgbImage {
    let command = ["generate", "-m", "sd15", "-o", "-"];
    pixels(&sandbox.run(command.iter().chain(QUICK)).succeeds().stdout)
}

#[test]
fn nets_that_count_nothing_leave_the_plain_picture() {
    let sandbox = sandbox();
    let outcome =
        run(&sandbox, &["-o", "-", "--control", "net=map.png:0", "--control", "net=picture.png:0"]).succeeds();
    assert_eq!(pixels(&outcome.stdout), plain(&sandbox));
    outcome.says(&["the ControlNet net has no effect: its scale is 0"]);
    let outcome = run(&sandbox, &["-o", "-", "--control", "net=map.png:1:0.4:0.6"]).succeeds();
    assert_eq!(pixels(&outcome.stdout), plain(&sandbox));
    outcome.says(&["none of 4 calls of the model lies wholly between 0.4 and 0.6"]);
}

#[test]
fn half_twice_is_once() {
    let sandbox = sandbox();
    let once = picture(&sandbox, &["--control", "net=map.png"]);
    let twice = picture(&sandbox, &["--control", "net=map.png:0.5", "--control", "net=map.png:0.5"]);
    // Measured: no difference.
    assert!(difference(&once, &twice).0 <= 1, "{:?}", difference(&once, &twice));
    assert!(difference(&once, &plain(&sandbox)).1 > 1.0);
}

#[test]
fn modes_give_pictures_of_their_own() {
    let sandbox = sandbox();
    let of = |more: &[&str]| picture(&sandbox, &[&["--control", "net=map.png"], more].concat());
    let pictures =
        [of(&[]), of(&["--control-mode", "prompt"]), of(&["--control-mode", "control"]), of(&["--guess-mode"])];
    for (i, a) in pictures.iter().enumerate() {
        assert!(pictures[..i].iter().all(|b| difference(a, b).1 > 0.05), "{i}");
    }
    assert_eq!(of(&["--control-mode", "balanced"]), pictures[0]);
    // Guidance that is off has no prediction to hide the picture from.
    let unguided = |mode| of(&["--guidance", "1", "--control-mode", mode]);
    assert_eq!(unguided("prompt"), unguided("control"));
}

#[test]
fn half_precision_and_batches_work_too() {
    let sandbox = sandbox();
    let full = picture(&sandbox, &["--control", "net=map.png"]);
    let half = picture(&sandbox, &["--control", "net=map.png", "--dtype", "bf16"]);
    // Measured: 1.9.
    assert!(difference(&full, &half).1 < 4.0, "{:?}", difference(&full, &half));
    let outcome = run(&sandbox, &["--control", "net=map.png", "--batch", "2", "-o", "{index}.png"]).succeeds();
    assert_eq!(outcome.paths(), ["0.png", "1.png"]);
}

/// The name in the original code of a tensor of the tiny ControlNet, which has 4 levels of 2 blocks.
fn original(name: &str) -> String {
    const FRONTS: [(&str, &str); 6] = [
        ("controlnet_cond_embedding.conv_in", "input_hint_block.0"),
        ("controlnet_cond_embedding.conv_out", "input_hint_block.14"),
        ("controlnet_mid_block", "middle_block_out.0"),
        ("conv_in", "input_blocks.0.0"),
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
    ];
    const RESNET: [(&str, &str); 6] = [
        ("norm1", "in_layers.0"),
        ("conv1", "in_layers.2"),
        ("time_emb_proj", "emb_layers.1"),
        ("norm2", "out_layers.0"),
        ("conv2", "out_layers.3"),
        ("conv_shortcut", "skip_connection"),
    ];
    let resnet = |layer: &str| {
        let (from, to) = RESNET.iter().find(|(from, _)| layer.starts_with(&format!("{from}."))).unwrap();
        layer.replacen(from, to, 1)
    };
    let parts: Vec<&str> = name.splitn(5, '.').collect();
    let number = |i: usize| parts[i].parse::<usize>().unwrap();
    let behind = match parts[..] {
        _ if FRONTS.iter().any(|(front, _)| name.starts_with(&format!("{front}."))) => {
            let (front, to) = FRONTS.iter().find(|(front, _)| name.starts_with(&format!("{front}."))).unwrap();
            name.replacen(front, to, 1)
        }
        ["controlnet_cond_embedding", "blocks", _, kind] => format!("input_hint_block.{}.{kind}", 2 * number(2) + 2),
        ["controlnet_down_blocks", _, kind] => format!("zero_convs.{}.0.{kind}", number(1)),
        ["mid_block", "attentions", ..] => name.replacen("mid_block.attentions.0", "middle_block.1", 1),
        ["mid_block", "resnets", _, ..] => format!("middle_block.{}.{}", 2 * number(2), resnet(&parts[3..].join("."))),
        ["down_blocks", _, "downsamplers", _, layer] => {
            format!("input_blocks.{}.0.op.{}", 3 * number(1) + 3, layer.strip_prefix("conv.").unwrap())
        }
        ["down_blocks", _, "resnets", _, layer] => {
            format!("input_blocks.{}.0.{}", 3 * number(1) + number(3) + 1, resnet(layer))
        }
        ["down_blocks", _, "attentions", _, layer] => {
            format!("input_blocks.{}.1.{layer}", 3 * number(1) + number(3) + 1)
        }
        _ => panic!("{name}"),
    };
    format!("control_model.{behind}")
}

pub fn original_tensors() -> Vec<Stored> {
    let tensors = read(&fixtures().join("models/controlnet-sd15/diffusion_pytorch_model.safetensors"));
    tensors.into_iter().map(|tensor| Stored { name: original(&tensor.name), ..tensor }).collect()
}

#[test]
fn original_files_are_the_same_net() {
    let sandbox = sandbox();
    let tensors = original_tensors();
    fs::write(sandbox.path("canny.safetensors"), file(&tensors, &[])).unwrap();
    fs::write(sandbox.path("net.pth"), ckpt(&tensors, 1)).unwrap();
    let bare: Vec<Stored> = tensors
        .iter()
        .map(|tensor| Stored { name: tensor.name.replace("control_model.", ""), ..tensor.clone() })
        .collect();
    fs::write(sandbox.path("bare.safetensors"), file(&bare, &[])).unwrap();
    let expected = picture(&sandbox, &["--control", "net=map.png", "--preprocessor", "none"]);
    for name in ["canny.safetensors", "net.pth", "bare.safetensors"] {
        let control = format!("{name}=map.png");
        let outcome = run(&sandbox, &["-o", "-", "--control", &control, "--preprocessor", "none"]).succeeds();
        assert_eq!(pixels(&outcome.stdout), expected, "{name}");
        outcome.says(&[&format!("{name}: a ControlNet, f16")]);
    }
    let outcome = sandbox.run(["generate", "x", "-m", "net.pth"]).fails(exit_code::MODEL);
    outcome.says(&["no model to paint with: it is a ControlNet", "sdgen controlnet --control net.pth=picture.png"]);
}

#[test]
fn the_kind_chooses_what_makes_the_map() {
    let sandbox = sandbox();
    copy(&sandbox.path("net"), &sandbox.path("my_canny_net"));
    let map = |control: &str, more: &[&str]| {
        let outcome = run(
            &sandbox,
            &[&["-o", "x.png", "--overwrite", "--save-control=maps", "--control", control], more].concat(),
        );
        (pixels(&fs::read(sandbox.path("maps/x-control.png")).unwrap()), outcome.succeeds())
    };
    let (edges, outcome) = map("my_canny_net=picture.png", &[]);
    outcome.says(&["canny makes the map of `picture.png`", "control map: maps/x-control.png"]);
    assert!(edges.pixels().all(|p| p.0 == [0; 3] || p.0 == [255; 3]) && edges.dimensions() == (64, 64));
    assert!(edges.pixels().any(|p| p.0 == [255; 3]));
    let (same, outcome) = map("net=picture.png", &["--preprocessor", "canny"]);
    assert!(same == edges && !outcome.stderr.contains("makes the map"));
    let (as_it_is, _) = map("my_canny_net=picture.png", &["--preprocessor", "none"]);
    assert_ne!(as_it_is, edges);
    edges.save(sandbox.path("edges.png")).unwrap();
    let (again, outcome) = map("my_canny_net=edges.png", &[]);
    outcome.says(&["`edges.png` is black and white: it is taken as a map"]);
    assert_eq!(again, edges);
    run(&sandbox, &["--control", "net=map.png", "--preprocessor", "cany"]).fails(exit_code::USAGE).says(&["canny"]);
}

#[test]
fn the_first_map_gives_the_size() {
    let sandbox = sandbox();
    let run = |more: &[&str]| {
        let fixed = ["controlnet", "-m", "sd15", "cat", "--steps", "1", "-o", "-", "--control", "net=picture.png"];
        sandbox.run(fixed.iter().chain(more)).succeeds()
    };
    let size = |more: &[&str]| pixels(&run(more).stdout).dimensions();
    // The picture has 80x60 pixels.
    assert_eq!(size(&["-H", "72"]), (96, 72));
    assert_eq!(size(&["-W", "64", "-H", "72"]), (64, 72));
    let wide = image::RgbImage::new(101, 90);
    wide.save(sandbox.path("wide.png")).unwrap();
    let outcome =
        sandbox.run(["controlnet", "-m", "sd15", "cat", "--steps", "1", "-o", "-", "--control", "net=wide.png"]);
    assert_eq!(pixels(&outcome.succeeds().says(&["101x90 is rounded down to 96x88"]).stdout).dimensions(), (96, 88));
}

#[test]
fn a_map_lies_where_the_picture_lies() {
    let sandbox = sandbox();
    let picture = image::open(sandbox.path("picture.png")).unwrap().into_rgb8();
    let picture = image::imageops::resize(&picture, 80, 76, image::imageops::FilterType::Nearest);
    picture.save(sandbox.path("picture.png")).unwrap();
    let saved = |command: &[&str]| {
        let fixed =
            ["cat", "-m", "sd15", "--steps", "2", "--control", "net=picture.png", "-i", "picture.png", "-o", "x.png"];
        sandbox.run(command.iter().chain(&fixed).chain(&["--overwrite", "--save-control"])).succeeds();
        pixels(&fs::read(sandbox.path("x-control.png")).unwrap())
    };
    // Of 76 rows, the 72 in the middle.
    assert_eq!(saved(&["img2img"]), image::imageops::crop_imm(&picture, 0, 2, 80, 72).to_image());
    let grown = saved(&["inpaint", "--extend", "8,0,0,4"]);
    assert_eq!(grown.dimensions(), (88, 80));
    assert!(grown.get_pixel(3, 3).0 == [0; 3] && grown.get_pixel(8, 0) == picture.get_pixel(0, 0));
}

#[test]
fn pictures_say_what_guided_them_and_can_be_made_again() {
    let sandbox = sandbox();
    run(&sandbox, &["-o", "x.png", "--control", "./net=map.png:0.8:0:0.7", "--control-mode", "prompt"]).succeeds();
    let png = fs::read(sandbox.path("x.png")).unwrap();
    let parameters = text_chunk(&png, "parameters").unwrap();
    assert!(parameters.contains("ControlNet 0: \"Module: none, Model: net, Weight: 0.8"), "{parameters}");
    let stored = text_chunk(&png, "sdgen").unwrap();
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    let control = &stored["request"]["controls"][0];
    assert_eq!((&control["model"], &control["mode"], &control["end"]), (&"net".into(), &"prompt".into(), &0.7.into()));
    assert_eq!(control["picture"]["sha256"].as_str().unwrap().len(), 64);
    sandbox.run(["verify", "x.png", "--reproduce"]).succeeds();
}

#[test]
fn what_does_not_fit_is_told_with_a_way_out() {
    let sandbox = sandbox();
    let fails = |more: &[&str], code| run(&sandbox, more).fails(code);
    fails(&["--control", "xl=map.png"], exit_code::MODEL).says(&[
        "is for SDXL",
        "`sd15` is SD 1.x",
        "10 residuals",
        "13",
    ]);
    fails(&["--control", "net=gone.png"], exit_code::MODEL).says(&["gone.png", "check the path"]);
    fails(&["--control", "cany=map.png"], exit_code::MODEL).says(&["no such ControlNet", "did you mean `canny`"]);
    fails(&["--control", "canny=map.png"], exit_code::MODEL).says(&["sdgen download cn-sd15-canny"]);
    fails(&["--control", "union=map.png"], exit_code::MODEL).says(&["union"]);
    fails(&["--control", "sd21=map.png"], exit_code::MODEL).says(&["no ControlNet"]);
    fails(&["--control", "sd15=map.png"], exit_code::MODEL).says(&["holds no controlnet"]);
    fails(&["--control", "sd15/unet=map.png"], exit_code::MODEL).says(&["ControlNet", "UNet2DConditionModel"]);
    fails(&["--control", "map.png"], exit_code::USAGE).says(&["MODEL=IMAGE"]);
    fails(&["--control", "net=map.png:1:0.6:0.3"], exit_code::USAGE).says(&["starts at 0.6 and ends at 0.3"]);
    fails(&["--control", "net=map.png", "--guess-mode", "--control-mode", "prompt"], exit_code::USAGE);
    fails(&[], exit_code::USAGE).says(&["--control canny=edges.png"]);
    fails(&["--control", "net=-", "--control", "net=-"], exit_code::USAGE).says(&["standard input"]);
    let img2img =
        |more: &[&str]| sandbox.run(["img2img", "x", "-i", "picture.png"].iter().chain(more)).fails(exit_code::USAGE);
    img2img(&["--guess-mode"]).says(&["`--guess-mode` has no ControlNet"]);
    let weights = sandbox.path("net/diffusion_pytorch_model.safetensors");
    let mut tensors = read(&weights);
    tensors.retain(|tensor| tensor.name != "controlnet_mid_block.bias");
    fs::write(&weights, file(&tensors, &[])).unwrap();
    fails(&["--control", "net=map.png"], exit_code::MODEL).says(&["missing", "controlnet_mid_block.bias"]);
    fs::copy(sandbox.path("xl/diffusion_pytorch_model.safetensors"), sandbox.path("xl.safetensors")).unwrap();
    fails(&["--control", "xl.safetensors=map.png"], exit_code::MODEL).says(&["is for SDXL", "SD 1.x"]);
}
