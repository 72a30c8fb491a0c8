use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use sdgen::error::exit_code;

use crate::support::{difference, pixels, psnr, text_chunk, Outcome, Sandbox};

/// The arguments of a quick picture from `in.png`.
const FROM: &[&str] =
    &["img2img", "a green apple", "-i", "in.png", "--seed", "3", "--steps", "4", "--device", "cpu", "--dtype", "f32"];

/// A sandbox with the picture of a red apple in it.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden/a-red-apple-7.png");
    fs::copy(golden, sandbox.path("in.png")).unwrap();
    sandbox
}

fn run(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    sandbox.run(FROM.iter().chain(more))
}

fn picture(sandbox: &Sandbox, more: &[&str]) -> image::RgbImage {
    pixels(&run(sandbox, &[&["-o", "-"], more].concat()).succeeds().stdout)
}

#[test]
fn a_little_strength_keeps_the_picture_and_all_of_it_leaves_little() {
    let sandbox = sandbox();
    let read = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    let kept = picture(&sandbox, &["--strength", "0.1", "--steps", "20"]);
    // Measured: 22.5 dB.
    assert!(psnr(&kept, &read("in.png")) > 20.0, "{} dB", psnr(&kept, &read("in.png")));

    // From two pictures, nearly the same one: measured 22.6 dB, where each is 10.4 and 11.0 dB from what it began with.
    sandbox.run(["generate", "sunflower", "-s", "3", "--steps", "10", "-o", "other.png"]).succeeds();
    let new = picture(&sandbox, &["--strength", "1", "--steps", "10"]);
    let other = picture(&sandbox, &["--strength", "1", "--steps", "10", "-i", "other.png"]);
    assert!(psnr(&new, &other) > 20.0, "{} dB", psnr(&new, &other));
    assert!(psnr(&new, &read("in.png")) < 13.0, "{} dB", psnr(&new, &read("in.png")));
    assert!(psnr(&other, &read("other.png")) < 13.0, "{} dB", psnr(&other, &read("other.png")));
}

#[test]
fn the_same_seed_gives_the_same_picture_on_any_number_of_threads() {
    let sandbox = sandbox();
    let first = picture(&sandbox, &["--threads", "1"]);
    for threads in ["2", "5"] {
        assert_eq!(picture(&sandbox, &["--threads", threads]), first, "{threads} threads");
    }
    assert_ne!(picture(&sandbox, &["--seed", "4"]), first);
}

#[test]
fn standard_input_brings_the_picture() {
    let sandbox = sandbox();
    let arguments = FROM.iter().copied().chain(["-i", "-", "-o", "-"]);
    let mut child = sandbox.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(sandbox.path("in.png")).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(pixels(&output.stdout), picture(&sandbox, &[]));
}

#[test]
fn the_size_is_the_pictures_own_on_the_grid_or_what_is_asked() {
    let sandbox = sandbox();
    let small = pixels(&fs::read(sandbox.path("in.png")).unwrap());
    image::imageops::crop_imm(&small, 0, 0, 101, 90).to_image().save(sandbox.path("odd.png")).unwrap();
    let outcome =
        run(&sandbox, &["-i", "odd.png", "-o", "a.png", "--steps", "2"]).succeeds().says(&["101x90", "96x88"]);
    assert_eq!(outcome.text(), "a.png\n");
    let size = |more: &[&str]| picture(&sandbox, &[&["-i", "odd.png", "--steps", "2"], more].concat()).dimensions();
    assert_eq!(size(&[]), (96, 88));
    assert_eq!(size(&["-W", "64", "-H", "72"]), (64, 72));
    assert_eq!(size(&["-W", "128"]), (128, 112));
    assert_eq!(size(&["-W", "128", "-H", "128", "--resize", "fit"]), (128, 112));
    let [crop, fill, stretch] = ["crop", "fill", "stretch"]
        .map(|how| picture(&sandbox, &["-i", "odd.png", "-W", "64", "-H", "104", "--resize", how, "--steps", "2"]));
    assert!(crop != fill && fill != stretch && stretch != crop);
}

#[test]
fn everything_that_generate_does_with_pictures_is_done() {
    let sandbox = sandbox();
    let outcome = run(&sandbox, &["--count", "2", "--batch", "2", "-o", "{seed}-{index}.png"]).succeeds();
    assert_eq!(outcome.paths(), ["3-0.png", "3-1.png", "4-2.png", "4-3.png"]);
    let outcome = run(&sandbox, &["--intermediates", "--strength", "0.75", "-o", "b.png"]).succeeds();
    assert_eq!(outcome.paths().len(), 1);
    assert_eq!(sandbox.files().iter().filter(|name| name.starts_with("b-step")).count(), 2, "{:?}", sandbox.files());
    let outcome = run(&sandbox, &["--json", "-o", "c.png"]).succeeds();
    assert!(outcome.text().contains("\"encode_picture\"") && outcome.text().contains("c.png"), "{}", outcome.text());
}

#[test]
fn the_plan_and_the_picture_say_what_it_began_with() {
    let sandbox = sandbox();
    let typed = sandbox.path("in.png");
    let line = ["--strength", "0.5", "-i", typed.to_str().unwrap()];
    let plan: serde_json::Value =
        serde_json::from_str(run(&sandbox, &[&line[..], &["--dry-run"]].concat()).succeeds().text()).unwrap();
    assert_eq!(plan["request"]["input"]["picture"]["file"], typed.to_str().unwrap());
    assert_eq!(plan["request"]["input"]["strength"], 0.5);
    assert_eq!(plan["schedule"]["timesteps"].as_array().unwrap().len(), 2);

    run(&sandbox, &[&line[..], &["-o", "a.png"]].concat()).succeeds();
    let png = fs::read(sandbox.path("a.png")).unwrap();
    let parameters = text_chunk(&png, "parameters").unwrap();
    assert!(parameters.contains("Steps: 4, ") && parameters.contains("Denoising strength: 0.5, "), "{parameters}");
    let chunk: serde_json::Value = serde_json::from_str(&text_chunk(&png, "sdgen").unwrap()).unwrap();
    let picture = &chunk["request"]["input"]["picture"];
    assert_eq!(picture["file"], "in.png");
    assert_eq!(picture["sha256"], plan["request"]["input"]["picture"]["sha256"]);
    assert_eq!(picture["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn prompts_that_change_do_so_within_the_steps_that_are_made() {
    let sandbox = sandbox();
    let half = ["--strength", "0.5", "--steps", "8"];
    let plain = picture(&sandbox, &[&half[..], &["-p", "a green apple"]].concat());
    // Of 4 steps that are made, the last 2 are for the pizza.
    let line = ["img2img", "[a green apple:pizza:0.5]", "-i", "in.png", "--seed", "3", "-o", "-"];
    let changed = pixels(&sandbox.run(line.iter().chain(&half)).succeeds().stdout);
    assert!(difference(&plain, &changed).0 > 0);
}

#[test]
fn wrong_inputs_are_told_apart_and_nothing_is_written() {
    let sandbox = sandbox();
    let png = fs::read(sandbox.path("in.png")).unwrap();
    fs::write(sandbox.path("text.png"), "not a picture at all").unwrap();
    fs::write(sandbox.path("cut.png"), &png[..png.len() / 2]).unwrap();
    image::RgbImage::new(1, 1).save(sandbox.path("dot.png")).unwrap();
    let mut huge = png.clone();
    // Width and height of the header, and its checksum.
    huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let crc = crc32(&huge[12..29]).to_be_bytes();
    huge[29..33].copy_from_slice(&crc);
    fs::write(sandbox.path("huge.png"), huge).unwrap();
    let before = sandbox.files();
    let inpainting = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/sd15-inpaint");
    let inpainting = inpainting.to_str().unwrap();
    for (line, code, words) in [
        (&["-i", "no.png"][..], exit_code::MODEL, &["no.png"][..]),
        (&["-i", "text.png"], exit_code::MODEL, &["text.png", "not a picture"]),
        (&["-i", "cut.png"], exit_code::MODEL, &["cut.png"]),
        (&["-i", "dot.png"], exit_code::MODEL, &["dot.png", "1x1"]),
        (&["-i", "huge.png"], exit_code::MODEL, &["huge.png", "60000x60000"]),
        (&["-i", "."], exit_code::MODEL, &["folder"]),
        (&["--strength", "0"], exit_code::USAGE, &["--strength", "as it is", "such as 0.6"]),
        (&["--strength", "1.5"], exit_code::USAGE, &["--strength", "1.5 is above 1"]),
        (&["--strength", "-0.5"], exit_code::USAGE, &["--strength", "below 0"]),
        (&["--strength", "nan"], exit_code::USAGE, &["--strength", "not a number"]),
        (&["--strength", "0.01"], exit_code::USAGE, &["none of the 4 steps", "at least 0.25", "100 steps"]),
        (&["--alpha", "mask"], exit_code::USAGE, &["sdgen inpaint"]),
        (&["--resize", "squeeze"], exit_code::USAGE, &["crop", "stretch"]),
        (&["--mask", "in.png"], exit_code::USAGE, &["--mask"]),
        (&["--model", inpainting], exit_code::MODEL, &["inpainting model", "9 input channels", "sdgen inpaint"]),
    ] {
        run(&sandbox, line).fails(code).says(words);
    }
    sandbox.run(["img2img", "x"]).fails(exit_code::USAGE).says(&["no picture", "--image"]);
    sandbox.run(["generate", "x", "--model", inpainting]).fails(exit_code::MODEL).says(&["sdgen inpaint"]);
    assert_eq!(sandbox.files(), before);
}

/// The checksum of a PNG chunk.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
