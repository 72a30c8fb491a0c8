//! Pictures that come in: kinds of files, what is said about them, and files that are none.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use image::RgbImage;
use sdgen::error::exit_code;

use crate::support::{difference, pixels, Outcome, Sandbox};

/// The arguments of a quick picture from another one.
const FROM: &[&str] = &["img2img", "a red apple", "--seed", "3", "--steps", "2", "--device", "cpu", "--dtype", "f32"];

/// Room for a picture of 64x64 is enough.
const SMALL: &[&str] = &["-W", "64", "-H", "64", "-o", "out.png"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(name)
}

/// A sandbox with this file in it, under the name that it has there.
fn sandbox(name: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::copy(fixture(name), sandbox.path(file_name(name))).unwrap();
    sandbox
}

fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap()
}

fn run(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    sandbox.run(FROM.iter().chain(more))
}

/// What is painted from the file, and what is said of it.
fn from(name: &str, more: &[&str]) -> (RgbImage, String) {
    let sandbox = sandbox(name);
    let outcome = run(&sandbox, &[SMALL, &["-i", file_name(name)], more].concat()).succeeds();
    (pixels(&fs::read(sandbox.path("out.png")).unwrap()), outcome.stderr)
}

#[test]
fn one_picture_in_many_kinds_of_files_is_one_picture() {
    let (png, _) = from("kinds/animated_png_rgb.png", &[]);
    for name in ["kinds/animated.png", "kinds/animated.webp", "kinds/pages.tiff", "kinds/rgba.bmp"] {
        assert_eq!(from(name, &[]).0, png, "{name}");
    }
    let (upright, _) = from("orientation/o6_png_upright.png", &[]);
    for name in ["orientation/o6.png", "orientation/o6.webp"] {
        assert_eq!(from(name, &[]).0, upright, "{name}");
    }
    // With loss: near, and nearer than the picture that lies on its side.
    let (jpeg, _) = from("orientation/o6.jpg", &[]);
    let (lying, _) = from("orientation/o1_upright.png", &[]);
    assert!(difference(&jpeg, &upright).1 * 4.0 < difference(&jpeg, &lying).1);
}

#[test]
fn the_name_of_a_file_has_no_say() {
    let sandbox = Sandbox::new();
    fs::copy(fixture("kinds/progressive.jpg"), sandbox.path("in.png")).unwrap();
    fs::copy(fixture("kinds/progressive.jpg"), sandbox.path("in")).unwrap();
    for name in ["in.png", "in"] {
        run(&sandbox, &[SMALL, &["-i", name, "--overwrite"]].concat()).succeeds();
    }
}

#[test]
fn what_is_not_taken_over_is_said() {
    for (name, alpha, words) in [
        ("kinds/profile.png", "white", "colour profile"),
        ("kinds/animated.webp", "white", "the first is taken"),
        ("convert/rgba.png", "white", "laid on white"),
        ("convert/rgba.png", "drop", "that is ignored"),
    ] {
        let (_, said) = from(name, &["--alpha", alpha]);
        assert!(said.contains(words) && said.contains(file_name(name)), "{name}: {said}");
    }
    let (_, quiet) = from("kinds/srgb.jpg", &[]);
    assert!(!quiet.contains("profile"), "{quiet}");
}

#[test]
fn transparency_is_laid_on_white_or_dropped() {
    let (white, _) = from("convert/rgba_on_white.png", &[]);
    let (hidden, _) = from("convert/rgba_png_rgb.png", &[]);
    assert_ne!(white, hidden);
    assert_eq!(from("convert/rgba.png", &[]).0, white);
    assert_eq!(from("convert/rgba.png", &["--alpha", "drop"]).0, hidden);
}

/// Every way of taking a picture, refusing this file.
fn refused(sandbox: &Sandbox, file: &str, words: &[&str]) {
    let before = sandbox.files();
    run(sandbox, &["-i", file, "-o", "out.png"]).fails(exit_code::MODEL).says(words);
    let line = ["inpaint", "x", "-i", file, "--mask", "good.png", "-o", "out.png"];
    sandbox.run(line).fails(exit_code::MODEL).says(words);
    let line = ["inpaint", "x", "-i", "good.png", "--mask", file, "-o", "out.png"];
    sandbox.run(line).fails(exit_code::MODEL).says(words);
    assert_eq!(sandbox.files(), before);
}

#[test]
fn files_that_are_no_pictures_are_refused_with_their_reason() {
    let sandbox = sandbox("kinds/progressive.jpg");
    fs::copy(fixture("resize/rgb_64x64_lanczos.png"), sandbox.path("good.png")).unwrap();
    let half = |name: &str, to: &str| {
        let bytes = fs::read(fixture(name)).unwrap();
        fs::write(sandbox.path(to), &bytes[..bytes.len() / 2]).unwrap();
    };
    for (name, to) in [
        ("kinds/progressive.jpg", "half.jpg"),
        ("resize/rgb_64x64_lanczos.png", "half.png"),
        ("kinds/lossy.webp", "half.webp"),
        ("kinds/deflate.tiff", "half.tiff"),
        ("convert/gray.bmp", "half.bmp"),
    ] {
        half(name, to);
        refused(&sandbox, to, &[to, "damaged", "get it again"]);
    }
    fs::write(sandbox.path("empty.png"), "").unwrap();
    refused(&sandbox, "empty.png", &["empty.png", "is empty"]);
    fs::write(sandbox.path("text.jpg"), "<html>404 Not Found</html>").unwrap();
    refused(&sandbox, "text.jpg", &["text.jpg", "not a picture", "its content counts"]);
    fs::write(sandbox.path("pointer.png"), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    refused(&sandbox, "pointer.png", &["pointer.png", "git lfs pull"]);
    fs::copy(fixture("convert/palette.gif"), sandbox.path("a.gif")).unwrap();
    refused(&sandbox, "a.gif", &["a.gif", "not read: GIF", "save it as PNG"]);
    fs::create_dir(sandbox.path("folder.png")).unwrap();
    refused(&sandbox, "folder.png", &["folder.png", "name a file"]);
    refused(&sandbox, "missing.png", &["missing.png", "check the path"]);
}

#[cfg(unix)]
#[test]
fn what_would_never_end_is_not_read() {
    let sandbox = Sandbox::new();
    let pipe = sandbox.path("pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for endless in ["pipe.png", "/dev/zero"] {
        run(&sandbox, &["-i", endless]).fails(exit_code::MODEL).says(&[endless, "a pipe or a device"]);
    }
    fs::File::create(sandbox.path("huge.png")).unwrap().set_len(1 << 40).unwrap();
    run(&sandbox, &["-i", "huge.png"]).fails(exit_code::MODEL).says(&["huge.png", "512 MiB"]);
}

#[test]
fn standard_input_is_checked_like_a_file() {
    let sandbox = Sandbox::new();
    let given = |bytes: &[u8]| {
        let mut command = sandbox.command(FROM.iter().chain(["-i", "-", "-W", "64", "-H", "64", "-o", "-"].iter()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        Outcome::new(child.wait_with_output().unwrap())
    };
    let jpeg = fs::read(fixture("kinds/progressive.jpg")).unwrap();
    pixels(&given(&jpeg).succeeds().stdout);
    given(&jpeg[..jpeg.len() / 2]).fails(exit_code::MODEL).says(&["standard input", "damaged"]);
    given(b"").fails(exit_code::MODEL).says(&["standard input", "empty"]);
    given(b"text").fails(exit_code::MODEL).says(&["standard input", "not a picture"]);
}

#[test]
fn headers_that_lie_cost_no_memory() {
    let sandbox = Sandbox::new();
    let mut bmp = fs::read(fixture("convert/gray.bmp")).unwrap();
    for (width, height, words) in [
        (60_000u32, 60_000u32, "60000x60000 pixels, more than is read"),
        (i32::MAX as u32, i32::MAX as u32, "too large"),
        (9_000, 9_000, "damaged"),
        (1, 1, "1x1 pixels, which is too little"),
    ] {
        bmp[18..22].copy_from_slice(&width.to_le_bytes());
        bmp[22..26].copy_from_slice(&height.to_le_bytes());
        fs::write(sandbox.path("in.bmp"), &bmp).unwrap();
        run(&sandbox, &["-i", "in.bmp"]).fails(exit_code::MODEL).says(&["in.bmp", words]);
    }
    assert_eq!(sandbox.files(), ["in.bmp"]);
}
