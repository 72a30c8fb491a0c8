use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use image::{Rgb, RgbImage};
use sdgen::error::exit_code;

use crate::support::{pixels, Outcome, Sandbox};

/// A sandbox with a picture in it.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/control/annotators/photo.png");
    fs::copy(photo, sandbox.path("photo.png")).unwrap();
    sandbox
}

fn map(sandbox: &Sandbox, args: &[&str]) -> RgbImage {
    let fixed = ["preprocess", "-i", "photo.png", "-o", "-"];
    pixels(&sandbox.run(fixed.iter().chain(args)).succeeds().stdout)
}

#[test]
fn a_map_is_named_after_its_picture_and_nothing_is_overwritten() {
    let sandbox = sandbox();
    let run = |more: &[&str]| sandbox.run(["preprocess", "canny", "-i", "photo.png"].iter().chain(more)).succeeds();
    assert_eq!(run(&[]).text(), "photo-canny.png\n");
    assert_eq!(run(&["--low", "10"]).says(&["photo-canny-2.png"]).text(), "photo-canny-2.png\n");
    let [first, second] =
        ["photo-canny.png", "photo-canny-2.png"].map(|name| pixels(&fs::read(sandbox.path(name)).unwrap()));
    assert_ne!(first, second);
    assert_eq!(first, map(&sandbox, &["canny", "--low", "100", "--high", "200"]));
    run(&["--low", "10", "-o", "photo-canny.png", "--overwrite"]);
    assert_eq!(pixels(&fs::read(sandbox.path("photo-canny.png")).unwrap()), second);
    fs::create_dir(sandbox.path("maps")).unwrap();
    assert_eq!(run(&["-o", "maps"]).text(), "maps/photo-canny.png\n");
}

#[test]
fn standard_input_and_output_take_part() {
    let sandbox = sandbox();
    let arguments = ["preprocess", "invert", "-i", "-", "-o", "-"];
    let mut child = sandbox.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(sandbox.path("photo.png")).unwrap()).unwrap();
    let inverted = pixels(&child.wait_with_output().unwrap().stdout);
    let photo = pixels(&fs::read(sandbox.path("photo.png")).unwrap());
    assert!(inverted.pixels().zip(photo.pixels()).all(|(a, b)| a.0 == b.0.map(|value| 255 - value)));
}

#[test]
fn the_resolution_is_the_shorter_side() {
    let sandbox = sandbox();
    for name in ["canny", "lineart-standard", "blur", "invert", "shuffle"] {
        assert_eq!(map(&sandbox, &[name, "--resolution", "192"]).dimensions(), (240, 192), "{name}");
        assert_eq!(map(&sandbox, &[name]).dimensions(), (120, 96), "{name}");
    }
    assert_eq!(map(&sandbox, &["tile", "--rate", "2"]).dimensions(), (60, 48));
    sandbox.run(["preprocess", "tile", "-i", "photo.png"]).succeeds().says(&["--rate 2"]);
}

#[test]
fn options_change_the_map() {
    let sandbox = sandbox();
    for (name, option, value) in [
        ("canny", "--high", "120"),
        ("threshold", "--threshold", "60"),
        ("scribble", "--threshold", "60"),
        ("scribble-xdog", "--threshold", "12"),
        ("blur", "--sigma", "2"),
        ("recolor-luminance", "--gamma", "2"),
        ("recolor-intensity", "--gamma", "2"),
        ("normal-from-depth", "--flatness", "30"),
        ("normal-from-depth", "--background", "0.6"),
        ("shuffle", "--seed", "4294967295"),
    ] {
        assert_ne!(map(&sandbox, &[name, option, value]), map(&sandbox, &[name]), "{name} {option}");
    }
}

/// The tiny networks, under the names of the real ones.
fn weights(sandbox: &Sandbox) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/control");
    fs::create_dir(sandbox.path("nets")).unwrap();
    for (from, to) in [
        ("hed/ControlNetHED.pth", "ControlNetHED.pth"),
        ("lineart/sk_model.pth", "sk_model.pth"),
        ("depth/depth_anything_v2_tiny.pth", "depth_anything_v2_vits.pth"),
        ("openpose/body_pose_model.pth", "body_pose_model.pth"),
    ] {
        fs::copy(fixtures.join(from), sandbox.path("nets").join(to)).unwrap();
    }
}

#[test]
fn networks_make_maps_of_the_pictures_size() {
    let sandbox = sandbox();
    weights(&sandbox);
    let with =
        |name: &str, more: &[&str]| map(&sandbox, &[&[name, "--weights", "nets", "--resolution", "96"], more].concat());
    let names = ["softedge", "scribble-hed", "lineart", "depth", "openpose"];
    let maps: Vec<RgbImage> = names.iter().map(|name| with(name, &[])).collect();
    for (number, made) in maps.iter().enumerate() {
        assert_eq!(made.dimensions(), (120, 96), "{}", names[number]);
        assert!(maps[..number].iter().all(|other| other != made), "{}", names[number]);
    }
    assert_ne!(with("softedge", &["--safe"]), maps[0]);
    let file = map(&sandbox, &["softedge", "--weights", "nets/ControlNetHED.pth", "--resolution", "96"]);
    assert_eq!(file, maps[0]);
}

#[test]
fn networks_that_are_not_here_or_others_are_told() {
    let sandbox = sandbox();
    weights(&sandbox);
    let usage = exit_code::USAGE;
    for (args, code, words) in [
        (&["softedge"][..], exit_code::MODEL, &["not on this machine", "sdgen download annotator-hed"][..]),
        (&["openpose-full", "--offline"], exit_code::MODEL, &["sdgen download annotator-openpose"]),
        (&["depth-base"], exit_code::MODEL, &["sdgen download depth-anything-v2-base"]),
        (&["openpose-hand", "--weights", "nets"], exit_code::MODEL, &["hand_pose_model.pth", "annotator-openpose"]),
        (&["softedge", "--weights", "nets/sk_model.pth"], exit_code::MODEL, &["block1.convs.0.weight", "sk_model.pth"]),
        (&["lineart", "--weights", "nets/no.pth"], exit_code::MODEL, &["no.pth"]),
        (&["lineart", "--weights", "photo.png"], exit_code::MODEL, &["photo.png"]),
        (&["canny", "--weights", "nets"], usage, &["--weights", "no network"]),
        (&["openpose-hand", "--weights", "nets/body_pose_model.pth"], usage, &["2 networks", "folder"]),
        (&["lineart", "--safe"], usage, &["--safe", "`softedge`"]),
        (&["mlsd"], usage, &["no preprocessor `mlsd`", "`canny`"]),
        (&["depth_zoe"], usage, &["`depth`"]),
    ] {
        let fixed = ["preprocess", "-i", "photo.png", "-o", "map.png"];
        let mut command = sandbox.command(fixed.iter().chain(args));
        command.env("HF_HUB_CACHE", sandbox.path("cache"));
        Outcome::new(command.output().unwrap()).fails(code).says(words);
    }
    assert_eq!(sandbox.files(), ["nets", "photo.png"]);
}

#[test]
fn events_tell_of_the_map() {
    let sandbox = sandbox();
    let outcome = sandbox.run(["preprocess", "canny", "-i", "photo.png", "--json"]).succeeds();
    let event: serde_json::Value = serde_json::from_str(outcome.text()).unwrap();
    assert_eq!((&event["event"], &event["path"]), (&"map".into(), &"photo-canny.png".into()));
    assert_eq!((&event["width"], &event["height"], &event["preprocessor"]), (&120.into(), &96.into(), &"canny".into()));
}

#[test]
fn what_is_wrong_is_said_and_leaves_no_file() {
    let sandbox = sandbox();
    fs::write(sandbox.path("broken.png"), &fs::read(sandbox.path("photo.png")).unwrap()[..5000]).unwrap();
    RgbImage::from_pixel(8, 30_000, Rgb([9; 3])).save(sandbox.path("thin.png")).unwrap();
    let usage = exit_code::USAGE;
    for (args, code, words) in [
        (&["cany", "-i", "photo.png"][..], usage, &["cany", "did you mean `canny`"][..]),
        (&["canny"], usage, &["no picture", "--image"]),
        (&["canny", "-i", "no.jpg"], exit_code::MODEL, &["no.jpg", "check the path"]),
        (&["canny", "-i", "broken.png"], exit_code::MODEL, &["broken.png"]),
        (&["canny", "-i", "photo.png", "--low", "300", "--high", "200"], usage, &["300", "swap"]),
        (&["canny", "-i", "photo.png", "--low", "-1"], usage, &["--low", "below 0"]),
        (&["canny", "-i", "photo.png", "--high", "5000"], usage, &["--high", "2040"]),
        (&["canny", "-i", "photo.png", "--high", "nan"], usage, &["--high", "no"]),
        (&["canny", "-i", "photo.png", "--sigma", "3"], usage, &["--sigma", "`blur`"]),
        (&["canny", "-i", "photo.png", "--resolution", "10"], usage, &["--resolution", "64"]),
        (&["canny", "-i", "thin.png", "--resolution", "4096"], usage, &["too large", "--resolution"]),
        (&["canny", "-i", "photo.png", "-o", "no/x.png"], exit_code::FAILURE, &["no", "create the folder"]),
    ] {
        sandbox.run(["preprocess"].iter().chain(args)).fails(code).says(words);
    }
    assert_eq!(sandbox.files(), ["broken.png", "photo.png", "thin.png"]);
}
