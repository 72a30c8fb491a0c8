//! `sdgen lora-merge`: LoRAs into a model ([`base`]), or several into one ([`only`]).

mod base;
mod only;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{json, Value};

use super::save::file::Report;
use crate::cli::LoraMergeArgs;
use crate::commands::inspect::text;
use crate::hub::settings::Settings;
use crate::hub::Shelves;
use crate::image::sha256_file;
use crate::pipeline::PlannedLora;
use crate::ui::Ui;
use crate::weights::lora::Adapter;
use crate::Result;

/// Where a file tells what was merged into it.
const MERGED: &str = "sdgen.merged";
/// The same, names alone, as the model specification has it.
const MERGED_FROM: &str = "modelspec.merged_from";

/// Merges what the arguments name as they say.
///
/// # Errors
/// [`crate::Error::Usage`] before any work for what does not go together, [`crate::Error::Model`] or [`crate::Error::Lora`] for files
/// that are not there, not understood or do not fit, [`crate::Error::Io`] when the result cannot be written. Nothing is left behind
/// then.
pub fn lora_merge(args: &LoraMergeArgs, ui: &mut Ui) -> Result<()> {
    if args.lora_only {
        only::merge(args, ui)
    } else {
        base::merge(args, ui)
    }
}

/// A LoRA that is to be merged.
struct Ingredient {
    planned: PlannedLora,
    adapter: Adapter,
    sha256: String,
}

impl Ingredient {
    /// All that the arguments name. `model` is where the model is, beside which they are looked for.
    fn all(args: &LoraMergeArgs, model: Option<&Path>) -> Result<Vec<Self>> {
        let shelves = Shelves::new(&args.lora_dirs()?, model, Settings::from_env())?;
        let open = |lora| {
            let planned = PlannedLora::given(lora, &shelves)?;
            let path = Path::new(&planned.lora.file);
            Ok(Ingredient { adapter: Adapter::open(path)?, sha256: sha256_file(path)?, planned })
        };
        args.loras.iter().map(open).collect()
    }

    /// Their files.
    fn paths(all: &[Self]) -> impl Iterator<Item = PathBuf> + '_ {
        all.iter().map(|one| PathBuf::from(&one.planned.lora.file))
    }

    /// Its name, content and strength.
    fn record(&self) -> Value {
        let lora = &self.planned.lora;
        let mut record = json!({ "name": self.planned.name, "sha256": self.sha256, "scale": lora.scale });
        if let Some(text_scale) = lora.text_scale {
            record["text_scale"] = text_scale.into();
        }
        record
    }
}

/// Adds what was merged to what a file says, after what was merged into it before. `model` is the name of what it was merged into.
fn tell_merged(words: &mut BTreeMap<String, String>, model: Option<&str>, ingredients: &[Ingredient]) {
    let before = words.get(MERGED).and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    let records: Vec<Value> = before.into_iter().flatten().chain(ingredients.iter().map(Ingredient::record)).collect();
    words.insert(MERGED.into(), Value::Array(records).to_string());
    let names = model.into_iter().chain(ingredients.iter().map(|ingredient| ingredient.planned.name.as_str()));
    words.insert(MERGED_FROM.into(), names.collect::<Vec<_>>().join(", "));
}

/// What was written, for people or as an event.
fn tell(args: &LoraMergeArgs, report: &Report, ingredients: &[Ingredient], start: Instant, ui: &mut Ui) {
    report.notes().for_each(|note| ui.note(&note));
    let path = args.output.to_string_lossy();
    let seconds = start.elapsed().as_secs_f64();
    if args.general.json {
        ui.event(
            "merged",
            json!({
                "path": path,
                "bytes": report.bytes,
                "tensors": report.plain,
                "types": report.types,
                "loras": ingredients.iter().map(Ingredient::record).collect::<Vec<_>>(),
                "seconds": (seconds * 1000.0).round() / 1000.0,
            }),
        );
    } else {
        ui.data(&path);
        ui.detail(&format!("{}, {}, {seconds:.2} s", text::count(report.plain, "tensor"), text::size(report.bytes)));
    }
}
