//! `--json`: one object a line on standard output. Every object has `event` and `schema`, and `line` while a line of prompts is worked
//! on; `docs/events.md` lists their fields.

use std::path::Path;

use serde_json::{json, Value};

use super::Announcement;
use crate::pipeline::{Event, Phase};
use crate::Error;

/// The version of the events' layout.
const SCHEMA: u32 = 1;

/// An event with the fields of an object; `None` for what is no object.
pub(super) fn event(name: &str, fields: impl serde::Serialize) -> Option<Value> {
    let Value::Object(fields) = serde_json::to_value(fields).ok()? else { return None };
    let mut all = serde_json::Map::new();
    all.insert("event".into(), name.into());
    all.insert("schema".into(), SCHEMA.into());
    all.extend(fields);
    Some(Value::Object(all))
}

/// A note or a warning.
pub(super) fn message(event: &str, text: &str) -> Value {
    json!({ "event": event, "schema": SCHEMA, "message": text })
}

/// A failure; a fatal one ends the run.
pub(super) fn error(error: &Error, fatal: bool) -> Value {
    let (message, hint, code) = (error.to_string(), error.hint(), error.exit_code());
    json!({ "event": "error", "schema": SCHEMA, "message": message, "hint": hint, "exit_code": code, "fatal": fatal })
}

/// A phase that begins, goes on or ends: `load`, `encode`, `encode_picture`, `step`, `decode`, `merge` or `write`. Pictures are told when
/// they are written.
pub(super) fn progress(event: &Event<'_>) -> Option<Value> {
    Some(match event {
        Event::Begin { phase, total } => {
            json!({ "event": name(*phase), "schema": SCHEMA, "state": "begin", "total": total })
        }
        Event::Progress { phase, done } => {
            json!({ "event": name(*phase), "schema": SCHEMA, "state": "progress", "done": done })
        }
        Event::End { phase, seconds } => {
            json!({ "event": name(*phase), "schema": SCHEMA, "state": "end", "seconds": rounded(*seconds) })
        }
        Event::Note(_)
        | Event::Warning(_)
        | Event::Intermediate { .. }
        | Event::Preview { .. }
        | Event::Picture { .. } => return None,
    })
}

/// A picture that was written.
pub(super) fn picture(picture: &Announcement<'_>) -> Value {
    json!({
        "event": "picture",
        "schema": SCHEMA,
        "path": picture.path.map(text),
        "index": picture.index,
        "seed": picture.seed,
        "width": picture.width,
        "height": picture.height,
        "seconds": rounded(picture.seconds),
    })
}

/// A picture that an earlier run has made.
pub(super) fn skipped(path: &Path, index: usize) -> Value {
    json!({ "event": "skipped", "schema": SCHEMA, "path": text(path), "index": index })
}

/// A picture of a step that was written.
pub(super) fn intermediate(path: &Path, index: usize, step: usize) -> Value {
    json!({ "event": "intermediate", "schema": SCHEMA, "path": text(path), "index": index, "step": step })
}

/// What a ControlNet is shown, written.
pub(super) fn control_map(path: &Path, index: usize) -> Value {
    json!({ "event": "control_map", "schema": SCHEMA, "path": text(path), "index": index })
}

/// The end of a run that went well.
pub(super) fn done(pictures: usize, seconds: f64) -> Value {
    json!({ "event": "done", "schema": SCHEMA, "pictures": pictures, "seconds": rounded(seconds) })
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Load => "load",
        Phase::Encode => "encode",
        Phase::EncodePicture => "encode_picture",
        Phase::Sample => "step",
        Phase::Decode => "decode",
        Phase::Merge => "merge",
        Phase::Write => "write",
    }
}

fn text(path: &Path) -> Value {
    path.to_string_lossy().into()
}

/// To milliseconds: more digits would be noise.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
