//! Reports for people: a line a check, and a line for each thing that is wrong.

use super::report::{FileReport, ModelReport, PictureReport, RunReport, Summary};
use crate::commands::inspect::{text, Part};

/// Digits of a hash that are shown.
const DIGITS: usize = 10;

/// The lines of a model.
pub fn model(report: &ModelReport) -> Vec<String> {
    let family = report.family.map(|family| family.label().to_string());
    let prediction = report.prediction.as_ref().map(|prediction| format!("predicts {prediction}"));
    let what: Vec<String> = [family, report.variant.clone(), prediction].into_iter().flatten().collect();
    let what = if what.is_empty() { "not recognised".into() } else { what.join(", ") };
    let what = format!("{what}, {}", licence(report.licence.as_deref()));
    let mut lines = vec![format!("  {} model: {what}", mark(&report.problems))];
    add(&mut lines, &report.problems, &report.notes);
    lines
}

/// The lines of a file.
pub fn file(report: &FileReport) -> Vec<String> {
    let mut facts = vec![report.kind.map_or_else(|| "unknown tensors".into(), |kind| kind.label())];
    facts.extend(report.container.map(Into::into));
    if report.tensors > 0 {
        let types =
            report.types.iter().map(
                |(name, count)| {
                    if report.types.len() == 1 {
                        name.clone()
                    } else {
                        format!("{count} {name}")
                    }
                },
            );
        let fits = report.surplus.is_empty() && report.missing.is_empty() && report.misshapen.is_empty();
        let all = if fits && report.expected.is_some() { "all " } else { "" };
        facts.push(format!(
            "{all}{} ({})",
            text::count(report.tensors, "tensor"),
            types.collect::<Vec<_>>().join(", ")
        ));
    }
    if report.bytes > 0 {
        facts.push(text::size(report.bytes));
    }
    if !report.shards.is_empty() {
        facts.push(text::count(report.shards.len(), "file"));
    }
    if report.kind.is_some_and(|kind| kind.part != Part::Checkpoint) && !report.file.contains('/') {
        facts.push(licence(report.licence.as_deref()));
    }
    if let Some(hash) = &report.sha256 {
        let published = if report.published.as_ref() == Some(hash) { " as published" } else { "" };
        facts.push(format!("sha256 {}{published}", hash.get(..DIGITS).unwrap_or(hash)));
    }
    let mut lines = vec![format!("  {} {}: {}", mark(&report.problems), report.file, facts.join(", "))];
    add(&mut lines, &report.problems, &report.notes);
    lines
}

/// The lines of a run.
pub fn run(report: &RunReport) -> Vec<String> {
    let memory = report.peak_bytes.map(|bytes| format!(", peak memory {}", text::size(bytes))).unwrap_or_default();
    let what = match report.steps {
        0 => "not run".to_string(),
        steps => {
            let size = format!("{}x{}", report.width, report.height);
            format!("{} of {size} in {:.2} s{memory}", text::count(steps, "step"), report.seconds)
        }
    };
    let mut lines = vec![format!("  {} smoke test: {what}", mark(&report.problems))];
    add(&mut lines, &report.problems, &[]);
    lines
}

/// The lines of a picture.
pub fn picture(report: &PictureReport) -> Vec<String> {
    let result = match (report.identical, report.max_difference) {
        (Some(true), _) => ", made again: identical".into(),
        (Some(false), Some(max)) => {
            let mean = report.mean_difference.unwrap_or_default();
            format!(", made again: differs by up to {max} of 255, {mean:.3} in the mean")
        }
        _ => String::new(),
    };
    let recipe = if report.recipe { "with its recipe" } else { "without a recipe" };
    let size = format!("{}x{}", report.width, report.height);
    let mut lines = vec![format!("  {} {}: {size}, {recipe}{result}", mark(&report.problems), report.target)];
    add(&mut lines, &report.problems, &report.notes);
    lines
}

/// The last line.
pub fn summary(summary: &Summary) -> String {
    let checks = text::count(summary.checks, "check");
    match summary.failed {
        0 => format!("{checks}, all passed, {:.2} s", summary.seconds),
        failed => format!("{checks}, {failed} failed, {:.2} s", summary.seconds),
    }
}

fn licence(known: Option<&str>) -> String {
    known.map_or("licence unknown".into(), |licence| format!("licence {licence}"))
}

fn mark(problems: &[String]) -> &'static str {
    if problems.is_empty() {
        "ok    "
    } else {
        "FAILED"
    }
}

fn add(lines: &mut Vec<String>, problems: &[String], notes: &[String]) {
    lines.extend(problems.iter().map(|problem| format!("           {problem}")));
    lines.extend(notes.iter().map(|note| format!("           note: {note}")));
}
