//! `--json`: every event is in `docs/events.md` with its fields, and the last one says how the run ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use sdgen::error::exit_code;
use serde_json::Value;

use crate::support::{Outcome, Sandbox};

fn events(outcome: &Outcome) -> Vec<Value> {
    outcome.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The words in backticks.
fn quoted(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The documented fields of the events of making pictures.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md")).unwrap();
    let part = page.split("\n## ").find(|part| part.starts_with("Making pictures")).unwrap();
    let mut all = BTreeMap::new();
    for row in part.lines().filter(|line| line.starts_with("| `")) {
        let (names, fields) = row[2..].split_once(" | ").unwrap();
        // An option that is named is no field.
        let fields: BTreeSet<String> = quoted(fields).filter(|word| !word.starts_with('-')).collect();
        quoted(names).for_each(|name| drop(all.insert(name, fields.clone())));
    }
    all
}

#[test]
fn events_have_the_documented_fields() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("prompts"), "a red apple\n{\"oops\":1}\n[a|b] (((\n").unwrap();
    let base = ["--steps", "2", "--seed", "7", "--device", "cpu", "--json", "-W", "64", "-H", "64"];
    let run = |command: &[&str]| sandbox.run(command.iter().chain(&base));
    let lines = ["generate", "--prompt-file", "prompts", "--strict", "--grid", "--intermediates=steps"];
    let runs = [
        run(&lines),
        run(&[&lines[..], &["--resume"]].concat()),
        run(&["img2img", "-i", "0001-a-red-apple-7.png", "rocket", "--strength", "1"]),
        run(&["sheet", "rocket", "--x", "steps=1,2"]),
        run(&["sheet", "rocket", "--x", "steps=1,2", "--dry-run"]),
    ];
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in runs.iter().flat_map(events) {
        let fields = event.as_object().unwrap();
        assert_eq!(event["schema"], 1, "{event}");
        let own = fields.keys().filter(|key| !matches!(key.as_str(), "event" | "schema" | "line")).cloned();
        seen.entry(event["event"].as_str().unwrap().into()).or_default().extend(own);
    }
    let mut documented = documented();
    // It takes a ControlNet, which has a test of its own.
    assert!(documented.remove("control_map").is_some());
    assert_eq!(seen, documented);
}

#[test]
fn the_last_event_says_how_the_run_ended() {
    let sandbox = Sandbox::new();
    let last = |args: &[&str]| {
        let outcome = sandbox.quick(&[&["--json", "-o", "a.png"], args].concat());
        (outcome.code, events(&outcome).pop().unwrap())
    };
    let (code, event) = last(&[]);
    assert_eq!((code, &event["event"], &event["pictures"]), (Some(0), &"done".into(), &1.into()));
    for (args, expected) in [
        (&["--model", "no/such"][..], exit_code::MODEL),
        (&["--steps", "0"], exit_code::USAGE),
        (&["--no-such-option"], exit_code::USAGE),
        (&["-o", "missing/a.png"], exit_code::FAILURE),
    ] {
        let (code, event) = last(args);
        assert_eq!((code, &event["exit_code"]), (Some(expected.into()), &expected.into()), "{args:?}");
        assert_eq!((&event["event"], &event["fatal"]), (&"error".into(), &true.into()), "{args:?}");
        assert!(event["hint"].is_string(), "{event}");
    }
}

/// The request of a dry run once went out in many lines, between events.
#[test]
fn dry_runs_are_events_too() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("prompts"), "a red apple\n\n{\"oops\":1}\n").unwrap();
    let names = |args: &[&str], code: u8| {
        let outcome = sandbox.run(args.iter().chain(&["--dry-run", "--json", "-q"]));
        assert_eq!(outcome.code, Some(code.into()), "{}", outcome.stderr);
        let all = events(&outcome);
        assert!(all.iter().all(|event| event["schema"] == 1), "{all:?}");
        let plan = all.iter().find(|event| event["event"] == "plan").unwrap();
        assert_eq!(plan["request"]["prompt"]["text"], "a red apple");
        assert!(plan["memory"].is_object() && plan["schedule"].is_object(), "{plan}");
        let name = |event: &Value| format!("{} {}", event["event"].as_str().unwrap(), event["line"]);
        all.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(names(&["generate", "a red apple"], 0), "plan null, done null");
    assert_eq!(names(&["sheet", "a red apple", "--x", "steps=1,2"], 0), "plan null, plan null, done null");
    let lines = names(&["generate", "--prompt-file", "prompts"], exit_code::PARTIAL);
    assert_eq!(lines, "plan 1, error 3, error null");
    assert_eq!(sandbox.files(), ["prompts"]);
}

/// Who asks for events by a variable once got none for a command line that is wrong.
#[test]
fn a_wrong_command_line_is_an_event_whoever_asks_for_events() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["generate", "x", "--steps", "0"]);
    let outcome = Outcome::new(command.env("SDGEN_JSON", "1").output().unwrap());
    let said = events(&outcome);
    assert_eq!((said.len(), &said[0]["exit_code"], &said[0]["fatal"]), (1, &exit_code::USAGE.into(), &true.into()));
    let outcome = Outcome::new(command.arg("--no-json").output().unwrap());
    outcome.fails(exit_code::USAGE);
}
