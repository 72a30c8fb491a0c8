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
