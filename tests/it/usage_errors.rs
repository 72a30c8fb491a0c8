use sdgen::error::exit_code;

use crate::support::Sandbox;

#[test]
fn each_wrong_value_is_refused_with_what_to_give_instead() {
    let sandbox = Sandbox::new();
    for (args, words) in [
        (&["x", "-W", "513", "-H", "512"][..], &["--width", "513", "512"][..]),
        (&["x", "--height", "8"], &["--height", "64"]),
        (&["x", "--steps", "0"], &["--steps", "nearest is 1"]),
        (&["x", "--steps", "200"], &["--steps", "nearest is 150"]),
        (&["x", "--guidance", "-1"], &["--guidance", "nearest is 0"]),
        (&["x", "--guidance", "25"], &["--guidance", "nearest is 20"]),
        (&["x", "--guidance", "nan"], &["--guidance", "0 to 100"]),
        (&["x", "--scheduler", "eular"], &["scheduler `eular`", "did you mean `euler`?"]),
        (&["x", "--scheduler", "euler-karras", "--sigmas", "beta"], &["karras", "beta"]),
        (&["x", "--count", "0"], &["--count", "1"]),
        (&["x", "--batch", "0"], &["--batch", "1"]),
        (&["x", "--threads", "0"], &["--threads", "1"]),
        (&["x", "--clip-skip", "0"], &["--clip-skip", "1"]),
        (&["x", "--every", "2"], &["--intermediates"]),
        (&["x", "--seed", "-1"], &["--seed", "random"]),
        (&["x", "--seed", "18446744073709551615", "--count", "3"], &["18446744073709551613"]),
        (&["x", "--step", "2"], &["`--step`", "did you mean `--steps`?"]),
        (&["x", "-p", "y"], &["two prompts"]),
        (&["a", "red", "apple"], &["quotes"]),
        (&[], &["no prompt"]),
        (&["x", "-o", "-", "--count", "2"], &["standard output"]),
        (&["x", "-o", "{sed}.png"], &["sed", "seed"]),
        (&["x", "-o", "cat.jpg"], &["jpg", "png"]),
    ] {
        sandbox.run(["generate"].iter().chain(args)).fails(exit_code::USAGE).says(words);
    }
    assert!(sandbox.files().is_empty(), "{:?}", sandbox.files());
}

#[test]
fn a_picture_and_json_do_not_share_standard_output() {
    let outcome = Sandbox::new().run(["generate", "x", "-o", "-", "--json"]);
    assert_eq!(outcome.code, Some(exit_code::USAGE.into()));
    assert!(!outcome.stdout.starts_with(b"\x89PNG"));
    outcome.says(&["standard output", "--json"]);
}

#[test]
fn a_forgotten_command_is_named() {
    Sandbox::new().run(["a red apple"]).fails(exit_code::USAGE).says(&["sdgen generate \"a red apple\""]);
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let sandbox = Sandbox::new();
    // No build for one system has both, and no machine has a hundredth CUDA device.
    for device in ["cuda:99", if cfg!(target_os = "macos") { "cuda" } else { "metal" }] {
        sandbox.run(["generate", "x", "--device", device]).fails(exit_code::USAGE).says(&["--device cpu"]);
    }
    assert!(sandbox.files().is_empty());
}

#[test]
fn errors_have_colours_only_when_asked() {
    let sandbox = Sandbox::new();
    let plain = sandbox.run(["generate", "x", "-o", "no/such/folder/x.png"]);
    assert!(!plain.stderr.contains('\u{1b}'));
    let coloured = sandbox.run(["generate", "x", "-o", "no/such/folder/x.png", "--color", "always"]);
    assert!(coloured.stderr.contains('\u{1b}'));
    let never = sandbox.command(["generate", "x", "-o", "no/such/folder/x.png", "--color", "never"]).output().unwrap();
    assert!(!never.stderr.contains(&0x1b));
}

#[test]
fn errors_of_the_command_line_are_shown_as_it_says() {
    let sandbox = Sandbox::new();
    let coloured = sandbox.run(["generate", "x", "--steps", "0", "--color", "always"]);
    assert!(coloured.stderr.contains('\u{1b}'));
    let json = sandbox.run(["generate", "x", "--steps", "0", "--json"]);
    let event: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    assert_eq!((&event["event"], &event["exit_code"]), (&"error".into(), &2.into()));
}

#[cfg(unix)]
#[test]
fn a_path_that_is_no_text_is_refused_by_all_alike() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let (sandbox, strange) = (Sandbox::new(), OsStr::from_bytes(b"\xff.safetensors"));
    std::fs::write(sandbox.path("x").with_file_name(strange), "x").unwrap();
    for before in [&["verify"][..], &["info"], &["convert", "-o", "y"], &["bench", "--model"], &["flux", "x", "--unet"]]
    {
        let line = before.iter().map(OsStr::new).chain([strange]);
        sandbox.run(line).fails(exit_code::USAGE).says(&["not valid UTF-8", "rename it"]);
    }
}
