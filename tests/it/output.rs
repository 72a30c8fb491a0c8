use std::fs;

use sdgen::error::exit_code;

use crate::support::{difference, files, pixels, Sandbox};

#[test]
fn one_picture_is_written_and_its_path_printed() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.quick(&[]).succeeds();
    assert_eq!(outcome.text(), "a-red-apple-7.png\n");
    assert_eq!(sandbox.files(), ["a-red-apple-7.png"]);
    assert_eq!(pixels(&fs::read(sandbox.path("a-red-apple-7.png")).unwrap()).dimensions(), (128, 128));
    // Without `--model`, the user is told what paints.
    assert!(outcome.stderr.contains("emoji") && outcome.stderr.contains("--model"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains(['\r', '\u{1b}']), "a progress bar without a terminal");
}

#[test]
fn the_size_is_what_was_asked() {
    let sandbox = Sandbox::new();
    sandbox.quick(&["-W", "96", "-H", "64", "-o", "a.png"]).succeeds();
    assert_eq!(pixels(&fs::read(sandbox.path("a.png")).unwrap()).dimensions(), (96, 64));
}

#[test]
fn count_steps_the_seed_and_each_is_the_picture_of_its_seed() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.quick(&["--count", "3", "-o", "{seed}.png"]).succeeds();
    assert_eq!(outcome.paths(), ["7.png", "8.png", "9.png"]);
    sandbox.quick(&["--seed", "8", "-o", "alone.png"]).succeeds();
    let read = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    assert_eq!(read("8.png"), read("alone.png"));
    assert_ne!(read("7.png"), read("8.png"));
}

#[test]
fn a_batch_makes_several_pictures_of_one_seed() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.quick(&["--batch", "2", "-o", "x.png"]).succeeds();
    assert_eq!(outcome.paths().len(), 2);
    assert_eq!(sandbox.files(), outcome.paths());
    let [a, b] = [0, 1].map(|i| pixels(&fs::read(sandbox.path(outcome.paths()[i])).unwrap()));
    assert_ne!(a, b);
    // torch fills a draw from the front, so the first of a batch is the picture of the seed alone, but for rounding.
    sandbox.quick(&["-o", "alone.png"]).succeeds();
    let (max, _) = difference(&a, &pixels(&fs::read(sandbox.path("alone.png")).unwrap()));
    assert!(max <= 1, "differs by {max}");
}

#[test]
fn standard_output_takes_the_picture() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.quick(&["-o", "-"]).succeeds();
    assert!(sandbox.files().is_empty());
    sandbox.quick(&["-o", "a.png"]).succeeds();
    assert_eq!(outcome.stdout, fs::read(sandbox.path("a.png")).unwrap());
}

#[test]
fn a_file_that_is_there_stays_unless_told_otherwise() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("a.png"), "mine").unwrap();
    let outcome = sandbox.quick(&["-o", "a.png"]).succeeds();
    assert_eq!(outcome.text(), "a-2.png\n");
    assert_eq!(fs::read(sandbox.path("a.png")).unwrap(), b"mine");
    let outcome = sandbox.quick(&["-o", "a.png", "--overwrite"]).succeeds();
    assert_eq!(outcome.text(), "a.png\n");
    assert_eq!(fs::read(sandbox.path("a.png")).unwrap(), fs::read(sandbox.path("a-2.png")).unwrap());
    assert_eq!(sandbox.files(), ["a-2.png", "a.png"]);
}

#[test]
fn a_folder_that_is_missing_or_a_file_is_said_before_the_work() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("file"), "").unwrap();
    for output in ["missing/a.png", "file/a.png"] {
        sandbox.quick(&["-o", output]).fails(exit_code::FAILURE).says(&["write", output.split('/').next().unwrap()]);
    }
    assert_eq!(sandbox.files(), ["file"]);
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_is_said() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("locked")).unwrap();
    fs::set_permissions(sandbox.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(sandbox.path("locked/probe"), "").is_ok() {
        return; // The user is root, whom permissions do not stop.
    }
    sandbox.quick(&["-o", "locked/a.png"]).fails(exit_code::FAILURE).says(&["locked", "permission"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said() {
    let sandbox = Sandbox::new();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = sandbox.command(crate::support::QUICK.iter().chain(&["-o", "-"]));
    let output = command.stdout(full()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(exit_code::FAILURE.into()), "{stderr}");
    assert!(stderr.contains("error: ") && stderr.contains("hint: ") && stderr.contains("full"), "{stderr}");
}

#[test]
fn intermediates_go_into_their_folder() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.quick(&["--steps", "5", "--intermediates=steps", "--every", "2", "-o", "a.png"]).succeeds();
    assert_eq!(outcome.paths().last(), Some(&"a.png"));
    assert_eq!(sandbox.files(), ["a.png", "steps"]);
    let steps = files(&sandbox.path("steps"));
    assert_eq!(steps.len(), 2, "steps 2 and 4 of 5: {steps:?}");
    let read = |name: &String| pixels(&fs::read(sandbox.path("steps").join(name)).unwrap());
    assert_ne!(read(&steps[0]), read(&steps[1]));
}

/// `-o - --intermediates=DIR` is accepted, and once failed at the first step.
#[test]
fn intermediates_of_a_picture_on_standard_output_go_into_their_folder() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.quick(&["--steps", "3", "--intermediates=steps", "-o", "-"]).succeeds();
    pixels(&outcome.stdout);
    assert_eq!(files(&sandbox.path("steps")), ["a-red-apple-7-step-001.png", "a-red-apple-7-step-002.png"]);
}

#[test]
fn intermediates_without_a_place_are_refused_before_the_work() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("file"), "").unwrap();
    let at_once = |more: &[&str], code| {
        let outcome = sandbox.quick(more).fails(code);
        assert!(!outcome.stderr.contains("computing"), "{}", outcome.stderr);
    };
    at_once(&["--intermediates=file"], exit_code::FAILURE);
    at_once(&["--intermediates=file/steps"], exit_code::FAILURE);
    at_once(&["--intermediates", "-o", "/dev/null"], exit_code::USAGE);
    sandbox.quick(&["--intermediates", "--every", "150", "-o", "a.png"]).succeeds().says(&["`--intermediates`"]);
}

/// The request is all that a dry run makes: when it is lost, that is a failure.
#[cfg(target_os = "linux")]
#[test]
fn lost_data_on_standard_output_is_a_failure() {
    let sandbox = Sandbox::new();
    for more in ["--dry-run", "--json"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = sandbox.command(crate::support::QUICK.iter().chain(&[more]));
        let output = command.stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit_code::FAILURE.into()), "{stderr}");
        assert!(stderr.contains("standard output") && stderr.contains("full"), "{stderr}");
    }
}

#[test]
fn a_dry_run_makes_the_choices_of_the_prompt() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["generate", "{red|green} apple", "--dry-run", "--seed", "1"]).succeeds();
    let plan: serde_json::Value = serde_json::from_str(outcome.text()).unwrap();
    let text = plan["request"]["prompt"]["text"].as_str().unwrap();
    assert!(["red apple", "green apple"].contains(&text), "{text}");
}

#[test]
fn a_dry_run_prints_the_complete_request_and_writes_nothing() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["generate", "a red apple", "--dry-run"]).succeeds();
    assert!(sandbox.files().is_empty());
    let plan: serde_json::Value = serde_json::from_str(outcome.text()).unwrap();
    let request: sdgen::Request = serde_json::from_value(plan["request"].clone()).unwrap();
    assert_eq!(request.prompt.text, "a red apple");
    assert_eq!((request.image.width, request.image.height, request.image.batch), (Some(128), Some(128), Some(1)));
    let sampling = request.sampling;
    assert!(sampling.steps.is_some() && sampling.guidance.is_some() && sampling.scheduler.is_some());
    assert_eq!(plan["schedule"]["timesteps"].as_array().map(Vec::len), sampling.steps);
    assert!(sampling.sigmas.is_some() && sampling.eta.is_some() && sampling.seed.is_some());
}

#[test]
fn quiet_is_quiet_and_errors_still_speak() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.quick(&["-q"]).succeeds();
    assert_eq!(outcome.stderr, "");
    assert_eq!(outcome.paths().len(), 1);
    sandbox.quick(&["-q", "-o", "missing/a.png"]).fails(exit_code::FAILURE);
}

#[test]
fn verbose_says_more() {
    let sandbox = Sandbox::new();
    let (plain, verbose) = (sandbox.quick(&[]).succeeds(), sandbox.quick(&["-v"]).succeeds());
    assert!(verbose.stderr.len() > plain.stderr.len());
}

#[test]
fn json_is_one_object_a_line_and_names_the_file() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.quick(&["--json", "-o", "a.png"]).succeeds();
    let events: Vec<serde_json::Value> = outcome.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(events.len() > 1);
    assert!(events.iter().all(|e| e["event"].is_string()), "{events:?}");
    assert!(events.iter().any(|e| e.to_string().contains("a.png")), "{events:?}");
}

/// Sent into a file by the shell, `-o /dev/stdout` once wrote its picture beside that name, into `/dev`.
#[cfg(unix)]
#[test]
fn standard_output_takes_the_picture_by_its_other_names() {
    let sandbox = Sandbox::new();
    let file = fs::File::create(sandbox.path("a.png")).unwrap();
    let mut command = sandbox.command(crate::support::QUICK.iter().chain(&["-o", "/dev/stdout"]));
    let output = command.stdout(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let png = fs::read(sandbox.path("a.png")).unwrap();
    pixels(&png);
    assert!(png.ends_with(b"IEND\xaeB`\x82"), "nothing follows the picture");
    assert_eq!(sandbox.quick(&["-o", "/dev/stdout", "--json"]).code, Some(exit_code::USAGE.into()));
}
