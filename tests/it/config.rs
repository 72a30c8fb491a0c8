//! Settings from files and variables: which of them wins, and what is said of them.

use std::fs;

use sdgen::error::exit_code;
use serde_json::Value;

use crate::support::{Outcome, Sandbox};

/// What settings come from, nearest first.
const SOURCES: [&str; 6] = ["flag", "variable", "recipe", "preset", "project", "user"];

fn toml(steps: usize) -> String {
    format!("[sampling]\nsteps = {steps}\n")
}

/// A dry run with steps from some of the sources: as many as the source's place, from 1.
fn dry_run(sources: &[&str]) -> Value {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["generate", "x", "--dry-run"]);
    for source in sources {
        let steps = SOURCES.iter().position(|known| known == source).unwrap() + 1;
        match *source {
            "flag" => drop(command.args(["--steps", &steps.to_string()])),
            "variable" => drop(command.env("SDGEN_STEPS", steps.to_string())),
            "recipe" => {
                sandbox.quick(&["--steps", &steps.to_string(), "--output", "recipe.png", "--no-config"]).succeeds();
                command.args(["--from", "recipe.png"]);
            }
            "preset" => {
                fs::write(sandbox.path("mine.toml"), toml(steps)).unwrap();
                command.args(["--preset", "./mine.toml"]);
            }
            "project" => fs::write(sandbox.path("sdgen.toml"), toml(steps)).unwrap(),
            _ => {
                fs::create_dir_all(sandbox.user()).unwrap();
                fs::write(sandbox.user().join("sdgen.toml"), toml(steps)).unwrap();
            }
        }
    }
    let outcome = Outcome::new(command.output().unwrap()).succeeds();
    serde_json::from_str(outcome.text()).unwrap()
}

#[test]
fn of_each_pair_the_nearer_wins() {
    for (near, source) in SOURCES.iter().enumerate() {
        assert_eq!(dry_run(&[source])["request"]["sampling"]["steps"], near + 1, "{source} alone");
        for far in &SOURCES[near + 1..] {
            assert_eq!(dry_run(&[source, far])["request"]["sampling"]["steps"], near + 1, "{source} against {far}");
        }
    }
}

#[test]
fn origins_are_shown() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("sdgen.toml"), "extends = 'lcm'\n[sampling]\nsteps = 9\n[output]\noverwrite = true\n")
        .unwrap();
    let mut command = sandbox.command(["config", "--show-origin", "--guidance", "2", "--no-overwrite"]);
    let outcome = Outcome::new(command.env("SDGEN_SEED", "7").output().unwrap()).succeeds();
    let text = outcome.text().split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "steps = 9 # sdgen.toml:3",
        "guidance = 2 # command line",
        "seed = 7 # SDGEN_SEED",
        "overwrite = false # command line",
        "sampler = \"lcm\" # preset lcm:9",
    ] {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
    let mut command = sandbox.command(["config", "--show-origin", "--json"]);
    let json: Value = serde_json::from_str(Outcome::new(command.output().unwrap()).succeeds().text()).unwrap();
    let steps = json["settings"].as_array().unwrap().iter().find(|s| s["name"] == "sampling.steps").unwrap();
    assert_eq!((&steps["value"], &steps["origin"]["line"]), (&9.into(), &3.into()));
}

#[test]
fn what_config_prints_is_a_file_of_the_same_settings() {
    let sandbox = Sandbox::new();
    let line = ["config", "a \"b\"", "--preset", "photo", "-l", "x:0.5", "--no-paste-back", "--only-masked", "-s", "3"];
    let first = sandbox.run(line).succeeds();
    fs::write(sandbox.path("sdgen.toml"), first.text()).unwrap();
    assert_eq!(sandbox.run(["config"]).succeeds().text(), first.text());
    assert!(sandbox.run(["config", "--no-config"]).succeeds().text().lines().eq(["schema = 1"]));
}

#[test]
fn errors_name_the_place() {
    let sandbox = Sandbox::new();
    let write = |text: &str| fs::write(sandbox.path("sdgen.toml"), text).unwrap();
    write("[sampling]\nsteps = 400\n");
    sandbox.quick(&[]).succeeds().says(&[]);
    sandbox.run(["generate", "x"]).fails(exit_code::USAGE).says(&["sdgen.toml:2: `steps`: 400 is above 150", "150"]);
    write("[sampling]\nstep = 4\n");
    sandbox.run(["generate", "x"]).fails(exit_code::USAGE).says(&["sdgen.toml:2", "`step`", "did you mean `steps`?"]);
    sandbox.run(["generate", "x", "--no-config", "--dry-run"]).succeeds();
    write("[image]\nalpha = \"mask\"\n");
    sandbox.run(["generate", "x", "--dry-run"]).succeeds();
    write("[compute]\ndtype = \"f17\"\n");
    sandbox.run(["generate", "x"]).fails(exit_code::USAGE).says(&["sdgen.toml:2: `dtype`", "f16"]);
    // No picture, and still on this machine.
    sandbox.run(["bench"]).fails(exit_code::USAGE).says(&["sdgen.toml:2"]);
    sandbox.run(["download", "--list"]).succeeds();
    sandbox.run(["generate", "x", "--config-file", "none.toml"]).fails(exit_code::MODEL).says(&["none.toml"]);
    let mut command = sandbox.command(["generate", "x", "--no-config"]);
    Outcome::new(command.env("SDGEN_STEPS", "many").output().unwrap()).fails(exit_code::USAGE).says(&["`SDGEN_STEPS`"]);
}

#[test]
fn what_nobody_asked_for_is_said() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("sdgen.toml"), "[sampling]\nsteps = 1\n[general]\nverbose = true\n").unwrap();
    let line = ["generate", "x", "--seed", "1"];
    let mut command = sandbox.command(line);
    command.env("SDGEN_GUIDANCE", "3").env("SDGEN_STEP", "3");
    let outcome = Outcome::new(command.output().unwrap()).succeeds();
    let outcome =
        outcome.says(&["from sdgen.toml: steps 1\n", "from the environment: guidance 3", "`SDGEN_STEP` has no effect"]);
    assert!(outcome.stderr.contains("timesteps: "), "verbose: {}", outcome.stderr);
    let quiet = sandbox.run(line.iter().chain(&["--quiet"])).succeeds();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_switch_of_a_file_can_be_taken_back() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("sdgen.toml"), "[output]\noverwrite = true\ntemplate = \"a.png\"\n").unwrap();
    for (more, files) in [(None, 1), (None, 1), (Some("--no-overwrite"), 2)] {
        sandbox.quick(&more.into_iter().collect::<Vec<_>>()).succeeds();
        assert_eq!(sandbox.files().len(), files + 1);
    }
}

#[test]
fn settings_that_say_more_go_with_what_they_are_about() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("sdgen.toml"), "[sampling]\nsampler = \"dpm++2m-karras\"\n").unwrap();
    let sampling = |more: &[&str]| {
        let outcome = sandbox.run(["generate", "x", "--dry-run"].iter().chain(more)).succeeds();
        let plan: Value = serde_json::from_str(outcome.text()).unwrap();
        let sampling = &plan["request"]["sampling"];
        format!("{} {}", sampling["scheduler"].as_str().unwrap(), sampling["sigmas"].as_str().unwrap())
    };
    assert_eq!(sampling(&[]), "dpm++2m karras");
    assert_eq!(sampling(&["--sigmas", "exponential"]), "dpm++2m exponential");
    assert_eq!(sampling(&["--scheduler", "ddim"]), "ddim normal");
    assert_eq!(sampling(&["--scheduler", "euler-beta"]), "euler beta");
}
