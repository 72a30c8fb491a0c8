use sdgen::error::exit_code;
use serde_json::Value;

use crate::support::Sandbox;

const QUICK: &[&str] = &["bench", "--device", "cpu", "--dtype", "f32", "--steps", "2"];

fn report(more: &[&str]) -> Value {
    let outcome = Sandbox::new().run(QUICK.iter().chain(&["--json"]).chain(more)).succeeds();
    // Scripts that read line by line take the line that begins as an object.
    assert_eq!(outcome.text().lines().count(), 1, "{}", outcome.text());
    serde_json::from_str(outcome.text()).expect("one object, and nothing besides")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn row<'a>(stage: &'a Value, kind: &str) -> &'a Value {
    let found = stage["layers"].as_array().unwrap().iter().find(|row| row["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {stage}"))
}

#[test]
fn the_result_has_the_fields_that_scripts_read() {
    let report = report(&["--threads", "2"]);
    assert_eq!((&report["event"], &report["model"]), (&"bench".into(), &"emoji".into()));
    assert_eq!((&report["width"], &report["height"], &report["batch"]), (&128.into(), &128.into(), &2.into()));
    assert_eq!((&report["device"], &report["dtype"], &report["threads"]), (&"cpu".into(), &"f32".into(), &2.into()));
    for field in ["load_s", "encode_s", "step_s", "decode_s", "peak_gflops_f32"] {
        assert!(number(&report[field]) > 0.0, "{field}");
    }
    assert_eq!(report["peak_rss_mib"].as_f64().is_some_and(|mib| mib > 10.0), cfg!(target_os = "linux"));
    for stage in ["encode", "step", "decode"] {
        let median = &report[format!("{stage}_s")];
        let stage = &report[stage];
        assert_eq!(&stage["median_s"], median);
        assert_eq!(stage["runs_s"].as_array().unwrap().len(), 2);
        assert!(number(&stage["min_s"]) <= number(median) && number(median) <= number(&stage["max_s"]));
    }
}

#[test]
fn shares_are_those_of_the_whole() {
    let report = report(&[]);
    for stage in ["encode", "step", "decode"] {
        let stage = &report[stage];
        let layers = stage["layers"].as_array().unwrap();
        let sum = |field: &str| layers.iter().map(|row| number(&row[field])).sum::<f64>();
        assert!((sum("share") - 1.0).abs() < 1e-6, "{stage}");
        let runs = stage["runs_s"].as_array().unwrap();
        let mean = runs.iter().map(number).sum::<f64>() / runs.len() as f64;
        assert!((sum("seconds") / mean - 1.0).abs() < 1e-6, "{stage}");
        let products: f64 = layers.iter().map(|row| row["gflop"].as_f64().unwrap_or(0.0)).sum();
        let attention = ["self_attention", "cross_attention"];
        let attention = layers.iter().filter(|row| attention.iter().any(|kind| row["kind"] == *kind));
        let products = products - attention.map(|row| number(&row["gflop"])).sum::<f64>();
        assert!((number(&stage["products"]["gflop"]) / products - 1.0).abs() < 1e-6, "{stage}");
    }
}

/// The built-in UNet has two residual blocks on the way down, two in the middle and four on the way up, and a transformer behind one
/// of them on the way down, one in the middle and two on the way up.
#[test]
fn layers_are_counted_by_their_kind() {
    let both = report(&["--only", "step"]);
    let step = &both["step"];
    // Two a residual block, the first and the last, and one between sizes on each way.
    assert_eq!(row(step, "conv_3x3")["calls"], 2 * 8 + 2 + 2);
    assert_eq!(row(step, "self_attention")["calls"], 4);
    assert_eq!(row(step, "cross_attention")["calls"], 4);
    assert!(row(step, "norm")["gflop"].is_null() && row(step, "other")["calls"].is_null());
    // Without guidance there is one sample instead of two.
    let one = report(&["--only", "step", "--guidance", "1"]);
    assert_eq!(one["batch"], 1);
    let work = |report: &Value| number(&row(&report["step"], "conv_3x3")["gflop"]);
    assert!((work(&both) / work(&one) - 2.0).abs() < 1e-9);
}

#[test]
fn stages_that_are_not_wanted_are_left_out() {
    let report = report(&["--only", "encode,decode", "-W", "64"]);
    assert_eq!((&report["width"], &report["height"]), (&64.into(), &128.into()));
    assert!(report["step"].is_null() && report["step_s"].is_null());
    assert!(report["encode_s"].is_number() && report["decode_s"].is_number());
    row(&report["encode"], "linear");
    row(&report["decode"], "conv_3x3");
}

#[test]
fn the_table_is_the_result_and_all_else_goes_to_standard_error() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(QUICK).succeeds().says(&["computing on cpu"]);
    let text = outcome.text();
    for word in
        ["emoji", "128x128", "batch of 2", "load", "encode", "step", "decode", "3x3 convolution", "other", "of peak"]
    {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
    assert!(!text.contains("note:") && sandbox.files().is_empty());
}

#[test]
fn folders_of_every_family_are_measured() {
    for model in ["sd21", "sdxl"] {
        let folder = format!("{}/tests/fixtures/models/{model}", env!("CARGO_MANIFEST_DIR"));
        let report = report(&["--model", &folder, "--width", "64", "--height", "64", "--dtype", "bf16"]);
        assert_eq!((&report["model"], &report["dtype"], &report["batch"]), (&model.into(), &"bf16".into(), &2.into()));
        assert!(number(&report["step_s"]) > 0.0);
    }
}

#[test]
fn steps_with_controlnets_are_compared_with_those_without() {
    let fixture = |name: &str| format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let control = format!("{}={}", fixture("models/controlnet-sd15"), fixture("pictures/given/map.png"));
    let model = fixture("models/sd15");
    let size = ["--model", &model, "-W", "64", "-H", "64"];
    let with = report(&[&size[..], &["--control", &control, "--only", "step"]].concat());
    let calls = |stage: &str| row(&with[stage], "conv_3x3")["calls"].as_u64().unwrap();
    // The layers that look at the picture work once, before the first step.
    assert!(calls("control_step") > calls("step") && calls("control_step") < 2 * calls("step"));
    assert_eq!(with["control_step"]["median_s"], with["control_step_s"]);
    let ratio = |run: usize| number(&with["control_step"]["runs_s"][run]) / number(&with["step"]["runs_s"][run]);
    assert!((number(&with["control_factor"]) - (ratio(0) + ratio(1)) / 2.0).abs() < 1e-9);
    let without = report(&[&size[..], &["--only", "step"]].concat());
    assert!(without["control_step"].is_null() && without["control_factor"].is_null());
    assert_eq!(row(&without["step"], "conv_3x3")["calls"], calls("step"));
    let idle = ["bench", "--control", &control, "--only", "decode"];
    Sandbox::new().run(idle).fails(exit_code::USAGE).says(&["--control", "leaves out the step"]);
}

#[test]
fn each_wrong_value_is_refused_with_what_to_give_instead() {
    let sandbox = Sandbox::new();
    for (args, words) in [
        (&["--steps", "0"][..], &["--steps", "nearest is 1"][..]),
        (&["--width", "513"], &["--width", "nearest is 512"]),
        (&["--guidance", "21"], &["--guidance", "nearest is 20"]),
        (&["--family", "sdxll", "--random-weights"], &["--family", "did you mean `sdxl`?"]),
        (&["--family", "sd15"], &["weights", "--random-weights"]),
        (&["--random-weights"], &["--family sd15"]),
        (&["--model", "x", "--family", "sd15", "--random-weights"], &["--model", "--random-weights"]),
        (&["--model", "x", "--family", "sd15"], &["--model", "--family"]),
        (&["--only", "steps"], &["--only", "did you mean `step`?"]),
        (&["apple"], &["apple", "sdgen bench --help"]),
    ] {
        sandbox.run(["bench"].iter().chain(args)).fails(exit_code::USAGE).says(words);
    }
    sandbox.run(["bench", "--model", "nowhere"]).fails(exit_code::MODEL).says(&["no such model", "nowhere"]);
    let failed = sandbox.run(["bench", "--model", "nowhere", "--json"]);
    let event: Value = serde_json::from_str(failed.text()).unwrap();
    assert_eq!((&event["event"], &event["exit_code"]), (&"error".into(), &exit_code::MODEL.into()));
}

/// The weights alone are more than there is.
#[test]
#[cfg(target_os = "linux")]
fn a_model_larger_than_memory_is_refused() {
    let outcome = Sandbox::new().run_in_memory(4_000_000, ["bench", "--family", "sdxl", "--random-weights"]);
    outcome.fails(exit_code::OUT_OF_MEMORY).says(&["memory", "GiB", "smaller model"]);
}

#[test]
fn help_ends_with_examples() {
    let outcome = Sandbox::new().run(["bench", "--help"]).succeeds();
    let mut rest = outcome.text();
    for heading in ["Model:", "Work:", "Compute:", "General:", "Examples:"] {
        let at = rest.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading `{heading}` in its place"));
        rest = &rest[at + 1..];
    }
    assert!(rest.lines().skip(1).all(|line| line.starts_with("  sdgen bench")), "{rest}");
}
