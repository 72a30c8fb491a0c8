//! The table of `sdgen download --list`.

use serde_json::json;

use crate::hub::registry::{self, Entry};
use crate::hub::settings::Settings;
use crate::hub::{cached, size};
use crate::ui::Ui;

const COLUMNS: [&str; 9] = ["NAME", "MODEL", "PIXELS", "STEPS", "GUIDANCE", "DOWNLOAD", "RUNS", "HERE", "LICENCE"];

/// Shows all models that have a short name.
pub fn list(settings: &Settings, ui: &mut Ui) {
    let entries = registry::all().iter().map(|entry| (entry, cached(entry, settings).is_some()));
    if ui.is_json() {
        entries.for_each(|(entry, here)| event(entry, here, ui));
        return;
    }
    let rows: Vec<_> =
        std::iter::once(COLUMNS.map(String::from)).chain(entries.map(|(e, here)| row(e, here))).collect();
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        ui.data(cells.join("  ").trim_end());
    }
    ui.note("RUNS: whether this version can use it; HERE: whether it is in the cache; +: the licence has to be accepted first");
}

fn row(entry: &Entry, here: bool) -> [String; 9] {
    let default = &entry.default;
    let shown = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let yes = |is: bool| if is { "yes" } else { "-" }.to_string();
    let gate = if entry.gated { "+ " } else { "" };
    [
        entry.alias.clone(),
        entry.title.clone(),
        shown(default.size.map(|size| size.to_string())),
        shown(default.steps.map(|steps| steps.to_string())),
        shown(default.guidance.map(|guidance| guidance.to_string())),
        shown(entry.bytes().map(size)),
        yes(entry.supported),
        yes(here),
        format!("{gate}{}", entry.licence.as_deref().unwrap_or("see its page")),
    ]
}

fn event(entry: &Entry, here: bool, ui: &mut Ui) {
    let default = &entry.default;
    let fields = json!({
        "alias": entry.alias,
        "also": entry.also,
        "title": entry.title,
        "kind": entry.kind.name(),
        "family": entry.family,
        "repo": entry.repo,
        "licence": entry.licence,
        "gated": entry.gated,
        "supported": entry.supported,
        "here": here,
        "bytes": entry.bytes(),
        "size": default.size,
        "steps": default.steps,
        "guidance": default.guidance,
        "scheduler": default.scheduler,
        "note": entry.note,
    });
    ui.event("known_model", fields);
}
