//! What lands on the two streams.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use indicatif::ProgressDrawTarget;

use super::*;
use crate::pipeline::Phase;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) const OPTIONS: UiOptions =
    UiOptions { quiet: false, verbose: false, json: false, color: ColorChoice::Auto, progress: true };

/// The texts on standard output and standard error after `act`.
pub(super) fn seen(options: UiOptions, terminal: bool, act: impl FnOnce(&mut Ui)) -> (String, String) {
    let (out, err) = (Captured::default(), Captured::default());
    let streams = Streams {
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        out_is_terminal: terminal,
        err_is_terminal: terminal,
        bar_target: ProgressDrawTarget::hidden,
        lost: None,
    };
    let mut ui = Ui::on_streams(options, streams, |_| None);
    act(&mut ui);
    drop(ui);
    (out.text(), err.text())
}

/// A run of the pipeline with one picture.
fn run(ui: &mut Ui) {
    let events = [
        Event::Begin { phase: Phase::Load, total: 3 },
        Event::End { phase: Phase::Load, seconds: 0.5 },
        Event::Note("built-in emoji model, 128x128"),
        Event::Warning("2 tokens were cut: \u{1b}[31mred apple"),
        Event::Begin { phase: Phase::Sample, total: 2 },
        Event::Progress { phase: Phase::Sample, done: 1 },
        Event::Progress { phase: Phase::Sample, done: 2 },
        Event::End { phase: Phase::Sample, seconds: 1.25 },
    ];
    for event in events {
        ui.on(event).unwrap();
    }
    let path = Path::new("out/a\u{7}.png");
    ui.intermediate(Path::new("steps/1.png"), 0, 1);
    ui.written(&Announcement { path: Some(path), index: 0, seed: 42, width: 128, height: 64, seconds: 1.23456 });
    ui.done(1, 2.0);
}

#[test]
fn a_log_file_gets_notes_and_warnings_and_standard_output_the_path() {
    let (out, err) = seen(OPTIONS, false, run);
    assert_eq!(out, "out/a\u{7}.png\n");
    assert_eq!(err, "note: built-in emoji model, 128x128\nwarning: 2 tokens were cut: \u{fffd}[31mred apple\n");
}

#[test]
fn a_terminal_gets_colours_and_no_control_characters() {
    let (out, err) = seen(OPTIONS, true, run);
    assert_eq!(out, "out/a\u{fffd}.png\n");
    assert!(err.starts_with("\u{1b}[1;36mnote:\u{1b}[0m built-in"), "{err:?}");
    assert!(err.contains("\u{1b}[1;33mwarning:\u{1b}[0m 2 tokens"), "{err:?}");
}

#[test]
fn quiet_leaves_warnings_and_the_data() {
    let (out, err) = seen(UiOptions { quiet: true, ..OPTIONS }, false, run);
    assert_eq!(out, "out/a\u{7}.png\n");
    assert_eq!(err, "warning: 2 tokens were cut: \u{fffd}[31mred apple\n");
}

#[test]
fn verbose_adds_timings() {
    let (_, err) = seen(UiOptions { verbose: true, ..OPTIONS }, false, run);
    let lines: Vec<_> = err.lines().filter(|line| !line.contains(": 2 tokens") && !line.starts_with("note")).collect();
    let expected = ["loading took 0.50 s", "sampling took 1.25 s", "step 1: steps/1.png", "1 picture in 2.00 s"];
    assert_eq!(lines, expected);
}

#[test]
fn json_is_one_object_a_line_and_nothing_else() {
    let (out, err) = seen(UiOptions { json: true, verbose: true, ..OPTIONS }, true, run);
    assert_eq!(err, "");
    let expected = [
        r#"{"event":"load","schema":1,"state":"begin","total":3}"#,
        r#"{"event":"load","schema":1,"state":"end","seconds":0.5}"#,
        r#"{"event":"note","schema":1,"message":"built-in emoji model, 128x128"}"#,
        r#"{"event":"warning","schema":1,"message":"2 tokens were cut: \u001b[31mred apple"}"#,
        r#"{"event":"step","schema":1,"state":"begin","total":2}"#,
        r#"{"event":"step","schema":1,"state":"progress","done":1}"#,
        r#"{"event":"step","schema":1,"state":"progress","done":2}"#,
        r#"{"event":"step","schema":1,"state":"end","seconds":1.25}"#,
        r#"{"event":"intermediate","schema":1,"path":"steps/1.png","index":0,"step":1}"#,
        concat!(
            r#"{"event":"picture","schema":1,"path":"out/a\u0007.png","index":0,"seed":42,"#,
            r#""width":128,"height":64,"seconds":1.235}"#
        ),
        r#"{"event":"done","schema":1,"pictures":1,"seconds":2.0}"#,
    ];
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn quiet_json_keeps_results_and_warnings() {
    let (out, _) = seen(UiOptions { json: true, quiet: true, ..OPTIONS }, false, run);
    let events: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["warning", "intermediate", "picture", "done"]);
}

#[test]
fn an_error_has_its_hint_after_an_empty_line() {
    let error = Error::usage("unknown scheduler `eulr\u{1b}`", "did you mean `euler`?");
    let (out, err) = seen(UiOptions { quiet: true, ..OPTIONS }, false, |ui| ui.error(&error));
    assert_eq!(out, "");
    assert_eq!(err, "error: unknown scheduler `eulr\u{fffd}`\n\nhint: did you mean `euler`?\n");

    let (_, err) = seen(OPTIONS, false, |ui| ui.error(&Error::Interrupted));
    assert_eq!(err, "error: interrupted\n");

    let (out, err) = seen(UiOptions { json: true, ..OPTIONS }, false, |ui| ui.error(&error));
    let event: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(event["event"], "error");
    assert_eq!(event["hint"], "did you mean `euler`?");
    assert_eq!((&event["exit_code"], &event["fatal"]), (&2.into(), &true.into()));
    assert!(err.starts_with("error: unknown scheduler"), "people read the log too");
}

#[test]
fn what_is_about_a_line_says_so() {
    let act = |ui: &mut Ui| {
        ui.at_line(Some(3));
        ui.warning("cut");
        ui.failure(&Error::usage("wrong", "mend it"));
        ui.at_line(Some(4));
        ui.warning("cut");
        ui.at_line(None);
        ui.warning("cut");
    };
    let (_, err) = seen(OPTIONS, false, act);
    assert_eq!(err, "warning: line 3: cut\nerror: line 3: wrong\n\nhint: mend it\nwarning: cut\n");
    let (out, _) = seen(UiOptions { json: true, ..OPTIONS }, false, act);
    let expected = [
        r#"{"event":"warning","schema":1,"message":"cut","line":3}"#,
        r#"{"event":"error","schema":1,"message":"wrong","hint":"mend it","exit_code":2,"fatal":false,"line":3}"#,
        r#"{"event":"warning","schema":1,"message":"cut","line":4}"#,
        r#"{"event":"warning","schema":1,"message":"cut"}"#,
    ];
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn bars_need_a_terminal_and_consent() {
    let has_bars = |options, terminal| {
        let mut bars = false;
        seen(options, terminal, |ui| bars = ui.bars.is_some());
        bars
    };
    assert!(has_bars(OPTIONS, true));
    assert!(!has_bars(OPTIONS, false));
    assert!(!has_bars(UiOptions { progress: false, ..OPTIONS }, true));
    assert!(!has_bars(UiOptions { quiet: true, ..OPTIONS }, true));
    assert!(!has_bars(UiOptions { json: true, ..OPTIONS }, true));

    let streams = Streams { err_is_terminal: true, bar_target: ProgressDrawTarget::hidden, ..Streams::of_process() };
    let dumb = |name: &str| (name == "TERM").then(|| "dumb".to_owned());
    assert!(Ui::on_streams(OPTIONS, streams, dumb).bars.is_none());
}

#[test]
fn closed_streams_do_not_stop_the_work() {
    struct Closed(io::ErrorKind);
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }
    for (json, kind) in [(false, io::ErrorKind::BrokenPipe), (true, io::ErrorKind::StorageFull)] {
        let streams = Streams {
            out: Box::new(Closed(kind)),
            err: Box::new(Closed(kind)),
            out_is_terminal: false,
            err_is_terminal: true,
            bar_target: ProgressDrawTarget::hidden,
            lost: None,
        };
        let mut ui = Ui::on_streams(UiOptions { json, ..OPTIONS }, streams, |_| None);
        run(&mut ui);
        ui.error(&Error::Interrupted);
        assert_eq!(ui.close().is_err(), kind == io::ErrorKind::StorageFull, "lost data is told at the end");
    }
}
