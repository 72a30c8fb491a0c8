//! `--prompt-file`: many prompts, one load.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use sdgen::error::exit_code;
use serde_json::Value;

use crate::support::{pixels, text_chunk, Outcome, Sandbox};

/// The arguments of quick pictures of a file's lines.
const LINES: &[&str] =
    &["generate", "--steps", "2", "--seed", "7", "--device", "cpu", "--dtype", "f32", "--prompt-file", "prompts"];

fn lines(sandbox: &Sandbox, prompts: &str, more: &[&str]) -> Outcome {
    fs::write(sandbox.path("prompts"), prompts).unwrap();
    sandbox.run(LINES.iter().chain(more))
}

fn events(outcome: &Outcome, name: &str) -> Vec<Value> {
    let all = outcome.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["event"] == name).collect()
}

#[test]
fn each_line_is_the_picture_of_its_prompt_alone() {
    let sandbox = Sandbox::new();
    let outcome = lines(&sandbox, "# two prompts\na red apple\n\nrocket\n", &[]).succeeds();
    assert_eq!(outcome.paths(), ["0002-a-red-apple-7.png", "0004-rocket-7.png"]);
    sandbox.quick(&["-o", "alone.png"]).succeeds();
    let read = |name: &str| fs::read(sandbox.path(name)).unwrap();
    assert!(read("0002-a-red-apple-7.png") == read("alone.png"), "the same bytes");
}

#[test]
fn a_line_may_be_a_part_of_a_request() {
    let sandbox = Sandbox::new();
    let prompts = concat!(
        "{\"prompt\":{\"text\":\"rocket\",\"negative\":\"blue\"},\"sampling\":{\"seed\":9},\"image\":{\"width\":64}}\n",
        "{\"prompt\":\"pizza\"}\n",
    );
    let outcome = lines(&sandbox, prompts, &["-n", "red", "--guidance", "4", "-o", "{line}-{seed}.png"]).succeeds();
    assert_eq!(outcome.paths(), ["1-9.png", "2-7.png"]);
    let request = |name: &str| {
        let chunk = text_chunk(&fs::read(sandbox.path(name)).unwrap(), "sdgen").unwrap();
        serde_json::from_str::<Value>(&chunk).unwrap()["request"].clone()
    };
    let (first, second) = (request("1-9.png"), request("2-7.png"));
    assert_eq!((&first["prompt"]["negative"], &second["prompt"]["negative"]), (&"blue".into(), &"red".into()));
    assert_eq!((&first["image"]["width"], &second["image"]["width"]), (&64.into(), &128.into()));
    assert_eq!(first["sampling"]["guidance"], 4.0);
}

#[test]
fn a_bad_line_is_told_with_its_number_and_the_others_go_on() {
    let sandbox = Sandbox::new();
    let prompts = concat!(
        "rocket\n",
        "{\"prompt\":\"x\",\"sampling\":{\"stepz\":3}}\n",
        "{\"sampling\":{\"steps\":3}}\n",
        "{\"prompt\":\"x\",\"model\":\"no/such\"}\n",
        "{\"prompt\":\"x\",\"image\":{\"width\":65}}\n",
        "pizza\n",
    );
    let outcome = lines(&sandbox, prompts, &["--batch", "2", "-o", "{index}.png"]);
    assert_eq!(outcome.code, Some(exit_code::PARTIAL.into()), "{}", outcome.stderr);
    // Names go on after the pictures that are missing.
    assert_eq!(outcome.paths(), ["0.png", "1.png", "10.png", "11.png"]);
    let said = ["line 2: unknown field `stepz`", "did you mean `steps`?", "line 3: the line has no prompt", "line 4: "];
    let outcome = outcome.says(&said);
    outcome.says(&["line 5: width 65", "the nearest is 64", "8 of 12 pictures"]);

    let outcome = lines(&sandbox, prompts, &["--json", "-o", "b.png"]);
    let errors = events(&outcome, "error");
    let about: Vec<(&Value, &Value, &Value)> =
        errors.iter().map(|e| (&e["line"], &e["exit_code"], &e["fatal"])).collect();
    let (no, yes, none) = (Value::Bool(false), Value::Bool(true), Value::Null);
    let codes = [2, 2, 3, 2, 8].map(Value::from);
    let numbers = [2, 3, 4, 5].map(Value::from);
    let expected = [
        (&numbers[0], &codes[0], &no),
        (&numbers[1], &codes[1], &no),
        (&numbers[2], &codes[2], &no),
        (&numbers[3], &codes[3], &no),
        (&none, &codes[4], &yes),
    ];
    assert_eq!(about, expected);
    assert_eq!(events(&outcome, "picture").iter().map(|e| &e["line"]).collect::<Vec<_>>(), [1, 6]);
    assert_eq!(events(&outcome, "load").iter().filter(|e| e["state"] == "begin").count(), 1, "loaded once");
}

#[test]
fn what_no_line_can_mend_is_refused_before_the_work() {
    let sandbox = Sandbox::new();
    let refused = |more: &[&str], code: u8, words: &[&str]| {
        let outcome = lines(&sandbox, "rocket\n", more).fails(code).says(words);
        assert!(!outcome.stderr.contains("computing"), "{}", outcome.stderr);
    };
    refused(&["a cat"], exit_code::USAGE, &["a prompt and a file of prompts"]);
    refused(&["-o", "-"], exit_code::USAGE, &["standard output"]);
    refused(&["-m", "no/such"], exit_code::MODEL, &["no/such"]);
    refused(&["-o", "missing/{line}.png"], exit_code::FAILURE, &["missing"]);
    sandbox.run(["generate", "--prompt-file", "missing"]).fails(exit_code::MODEL).says(&["missing"]);
    sandbox.quick(&["-o", "{line}.png"]).fails(exit_code::USAGE).says(&["--prompt-file"]);
    sandbox.run(["img2img", "-i", "-", "--prompt-file", "prompts"]).fails(exit_code::USAGE).says(&["as a file"]);
    lines(&sandbox, "# nothing\n", &[]).succeeds().says(&["there is no prompt in prompts"]);
    // Nor had a dry run of it a word to say.
    lines(&sandbox, "# nothing\n", &["--dry-run"]).succeeds().says(&["there is no prompt in prompts"]);
}

#[test]
fn lines_of_a_pipe_are_painted_as_they_come() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(LINES.iter().chain(&["--prompt-file", "-"]));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut paths = BufReader::new(child.stdout.take().unwrap()).lines();
    // The second line is written when the picture of the first is there.
    for (line, prompt) in [(1, "rocket"), (2, "pizza")] {
        writeln!(stdin, "{prompt}").unwrap();
        let path = paths.next().unwrap().unwrap();
        assert_eq!(path, format!("000{line}-{prompt}-7.png"));
        pixels(&fs::read(sandbox.path(&path)).unwrap());
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn lines_may_have_choices_and_several_seeds() {
    let sandbox = Sandbox::new();
    let outcome = lines(&sandbox, "{red|green|blue} heart\n", &["--count", "3", "--batch", "1"]).succeeds();
    let paths = outcome.paths();
    assert_eq!(paths.len(), 3);
    for (path, seed) in paths.iter().zip(7..) {
        assert!(path.starts_with("0001-") && path.ends_with(&format!("-heart-{seed}.png")), "{path}");
    }
    // Seeds of lines are drawn one by one where none is given.
    fs::write(sandbox.path("prompts"), "x\nx\n").unwrap();
    let outcome = sandbox.run(["generate", "--dry-run", "--prompt-file", "prompts"]).succeeds();
    let seeds: Vec<Value> = outcome.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    assert_eq!((&seeds[0]["line"], &seeds[1]["line"]), (&1.into(), &2.into()));
    assert_ne!(seeds[0]["request"]["sampling"]["seed"], seeds[1]["request"]["sampling"]["seed"]);
}

/// Of a long run: the model is loaded once, and the memory of the last picture is that of the tenth.
#[cfg(target_os = "linux")]
#[test]
fn two_hundred_prompts_take_one_load_and_no_more_memory_than_ten() {
    let sandbox = Sandbox::new();
    let more = ["--prompt-file", "-", "--steps", "1", "-W", "64", "-H", "64", "--json", "-o", "{line}.png"];
    let mut command = sandbox.command(LINES.iter().chain(&more));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap()
    };
    let (mut loads, mut tenth) = (0, 0.0);
    for number in 1..=200 {
        writeln!(stdin, "a red apple, number {number}").unwrap();
        for event in events.by_ref() {
            loads += usize::from(event.contains(r#""event":"load""#) && event.contains(r#""state":"begin""#));
            if event.contains(r#""event":"picture""#) {
                break;
            }
        }
        if number == 10 {
            tenth = resident();
        }
    }
    let last = resident();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert_eq!((loads, sandbox.files().len()), (1, 200));
    assert!(last <= tenth * 1.05, "{tenth} kB at the tenth, {last} kB at the last");
}

#[cfg(unix)]
#[test]
fn a_killed_run_leaves_whole_files_and_resume_makes_the_rest() {
    let sandbox = Sandbox::new();
    let prompts = (0..12).map(|number| format!("apple {number}")).collect::<Vec<_>>().join("\n");
    fs::write(sandbox.path("prompts"), &prompts).unwrap();
    let more = ["--steps", "1", "--batch", "2", "-o", "{line:02}.png"];
    let mut command = sandbox.command(LINES.iter().chain(&more));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let paths = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(paths.take(5).count(), 5);
    child.kill().unwrap();
    child.wait().unwrap();
    // What a kill interrupts has such a name, which is no picture's.
    let written = || {
        sandbox.files().into_iter().filter(|name| name != "prompts" && !name.starts_with(".sdgen-")).collect::<Vec<_>>()
    };
    let before = written();
    assert!((5..24).contains(&before.len()), "{before:?}");
    let read = |name: &String| fs::read(sandbox.path(name)).unwrap();
    let kept: Vec<Vec<u8>> = before.iter().map(read).collect();
    kept.iter().for_each(|png| drop(pixels(png)));

    // One that is of another request, and one that is cut, count as missing.
    fs::write(sandbox.path(&before[1]), &kept[1][..kept[1].len() / 2]).unwrap();
    let outcome = lines(&sandbox, &prompts, &[&more[..], &["--resume", "--overwrite"]].concat()).succeeds();
    assert_eq!(outcome.paths().len(), 24 - (before.len() - 1), "{}", outcome.stderr);
    assert_eq!(written().len(), 24);
    assert!(before.iter().map(read).eq(kept), "the same bytes");
    outcome.says(&[&format!("{} of 24 pictures were there already", before.len() - 1)]);

    let outcome = lines(&sandbox, &prompts, &[&more[..], &["--resume", "--json"]].concat()).succeeds();
    assert_eq!(events(&outcome, "skipped").len(), 24);
    assert!(events(&outcome, "load").is_empty(), "nothing to make, nothing to load");
    // Of another guidance all are missing, and those that are there stay.
    let other = [&more[..], &["--resume", "--guidance", "3"]].concat();
    assert_eq!(lines(&sandbox, &prompts, &other).succeeds().paths().len(), 24);
    assert_eq!(written().len(), 48);
    // They are found under the names that they got.
    assert!(lines(&sandbox, &prompts, &other).succeeds().paths().is_empty());
}

#[test]
fn resume_says_where_it_cannot_work() {
    let sandbox = Sandbox::new();
    let refused = |more: &[&str], word: &str| {
        sandbox.quick(&[&["--resume"], more].concat()).fails(exit_code::USAGE).says(&[word]);
    };
    refused(&["--seed", "random"], "random seed");
    refused(&["--metadata", "a1111"], "--metadata");
    refused(&["-o", "{time}.png"], "{time}");
    refused(&["-o", "/dev/null"], "pictures in files");
}

#[test]
fn shards_make_all_lines_with_the_names_of_one_run() {
    let sandbox = Sandbox::new();
    let prompts = "# five prompts\na\n\nb\nc\n{\nd\n";
    let make = |more: &[&str], variables: &[(&str, &str)]| {
        fs::write(sandbox.path("prompts"), prompts).unwrap();
        let more = [&["--steps", "1", "-W", "64", "-H", "64", "--prompt-file", "prompts"], more].concat();
        let mut command = sandbox.command(LINES.iter().chain(&more));
        for name in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "PARALLEL_SEQ", "SDGEN_SHARDS"] {
            command.env_remove(name);
        }
        Outcome::new(command.envs(variables.iter().copied()).output().unwrap())
    };
    let whole = make(&["-o", "{index}-{line}.png", "--dry-run"], &[]).succeeds();
    assert_eq!(whole.text().lines().count(), 5);
    let one = make(&["-o", "{index}-{line}.png", "--shard", "2/2"], &[]).succeeds();
    assert_eq!(one.paths(), ["1-4.png", "3-6.png"]);
    let slurm = [("ID", "4"), ("MIN", "3"), ("MAX", "4"), ("COUNT", "2"), ("STEP", "1")]
        .map(|(name, value)| (format!("SLURM_ARRAY_TASK_{name}"), value));
    let slurm: Vec<(&str, &str)> = slurm.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let kubernetes = [("JOB_COMPLETION_INDEX", "1"), ("SDGEN_SHARDS", "2")];
    let parallel = [("PARALLEL_SEQ", "2"), ("SDGEN_SHARDS", "2")];
    for variables in [&slurm[..], &kubernetes, &parallel] {
        let outcome = make(&["-o", "{index}-{line}.png", "--shard", "auto", "--resume"], variables).succeeds();
        assert!(outcome.paths().is_empty(), "the same pictures: {}", outcome.text());
        outcome.says(&["shard 2/2 of the lines", "2 of 2 pictures were there"]);
    }
    assert_eq!(make(&["-o", "{index}-{line}.png", "--shard", "1/2"], &[]).succeeds().paths().len(), 3);
    make(&["--shard", "9/9"], &[]).succeeds().says(&["no prompt for shard 9/9"]);
    make(&["--shard", "auto"], &[]).fails(exit_code::USAGE).says(&["SLURM_ARRAY_TASK_ID", "I/N"]);
    sandbox.quick(&["--shard", "1/2"]).fails(exit_code::USAGE).says(&["--prompt-file"]);
}
