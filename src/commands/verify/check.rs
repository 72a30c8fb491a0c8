//! The checks of one file of weights.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::published;
use super::report::{FileReport, Misshapen, Shard};
use super::scan::{scan, NotFinite};
use crate::commands::inspect::{container, identify, is_shard, text, types};
use crate::files::read_small;
use crate::image::sha256_file;
use crate::nn::Survey;
use crate::pipeline;
use crate::weights::{self, WeightFile};
use crate::Error;

/// What is known of the network that a file of weights is for.
#[derive(Clone, Copy)]
pub struct Network<'a> {
    /// The text of its `config.json`.
    pub config: &'a str,
    /// Its class, where the config does not say.
    pub class: Option<&'a str>,
}

/// Names listed in a message.
const NAMES_SHOWN: usize = 5;

/// Checks a file of weights: opens it, hashes it, compares its tensors with what its config asks for, and looks at every value.
pub fn check(target: &str, file: &str, path: &Path, network: Option<Network>) -> FileReport {
    let start = Instant::now();
    let mut report = FileReport { target: target.into(), file: file.into(), ..FileReport::default() };
    report.container = container(path);
    report.bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let opened = match weights::open_file(path) {
        Ok(opened) => {
            let (hashes, ()) = rayon::join(|| hashes(path), || tensors(&mut report, &opened, path, network));
            add_hashes(&mut report, hashes);
            Some(opened)
        }
        Err(e) => {
            report.problems.push(said(&e.into()));
            add_hashes(&mut report, hashes(path));
            None
        }
    };
    published::add(&mut report, path, opened.as_ref());
    report.seconds = start.elapsed().as_secs_f64();
    report
}

/// As [`check`], of a part of the model inside the binary.
pub fn check_source(target: &str, file: &str, weights: &WeightFile, network: Network) -> FileReport {
    let start = Instant::now();
    let mut report = FileReport { target: target.into(), file: file.into(), ..FileReport::default() };
    report.container = Some("safetensors");
    tensors(&mut report, weights, Path::new(file), Some(network));
    report.seconds = start.elapsed().as_secs_f64();
    report
}

/// An error in one line with what to do about it.
pub fn said(e: &Error) -> String {
    let message = e.to_string();
    e.hint().map_or(message.clone(), |hint| format!("{message} ({hint})"))
}

fn tensors(report: &mut FileReport, opened: &WeightFile, path: &Path, network: Option<Network>) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    report.kind = identify(opened, &stem);
    report.types = types(opened.source.as_ref());
    report.tensors = report.types.values().sum();
    if report.kind.is_none() {
        report.notes.push("its tensors are those of no model that is known".into());
    }
    if let Some(network) = network.filter(|_| !is_shard(&path.to_string_lossy())) {
        match pipeline::survey(network.config, network.class, opened.source.clone()) {
            Ok(Some(survey)) => add_survey(report, survey),
            Ok(None) => report.notes.push("this version has no such network: its tensors are not compared".into()),
            Err(e) => report.problems.push(said(&e)),
        }
    }
    let (not_finite, unreadable) = scan(opened.source.as_ref());
    report.problems.extend(unreadable.into_iter().take(NAMES_SHOWN).map(|e| said(&e.into())));
    add_not_finite(report, not_finite);
}

/// Adds what a network wants of a file and does not find.
pub fn add_survey(report: &mut FileReport, survey: Survey) {
    report.expected = Some(survey.asked.len());
    for (what, names, is_fault) in
        [("missing", &survey.missing, true), ("not used by the model", &survey.surplus, !survey.missing.is_empty())]
    {
        if !names.is_empty() {
            let list = if is_fault { &mut report.problems } else { &mut report.notes };
            list.push(format!("{what}: {} ({})", text::count(names.len(), "tensor"), text::names(names, NAMES_SHOWN)));
        }
    }
    let misshapen = survey.misshapen.into_iter();
    report.misshapen =
        misshapen.map(|m| Misshapen { tensor: m.name, found: m.found, expected: m.wanted }).collect::<Vec<_>>();
    for m in report.misshapen.iter().take(NAMES_SHOWN) {
        report.problems.push(format!(
            "wrong shape: {} is {:?} instead of {:?}",
            weights::shortened(&m.tensor),
            m.found,
            m.expected
        ));
    }
    if report.misshapen.len() > NAMES_SHOWN {
        report.problems.push(format!("wrong shape: {} more", report.misshapen.len() - NAMES_SHOWN));
    }
    report.missing = survey.missing;
    report.surplus = survey.surplus;
}

fn add_not_finite(report: &mut FileReport, found: Vec<NotFinite>) {
    for fault in found.iter().take(NAMES_SHOWN) {
        let what = match (fault.nan, fault.infinite) {
            (nan, 0) => format!("{nan} of {} values are not a number", fault.values),
            (0, infinite) => format!("{infinite} of {} values are infinite", fault.values),
            (nan, infinite) => format!("{nan} of {} values are not a number, {infinite} infinite", fault.values),
        };
        report.problems.push(format!("broken values: {}: {what}", weights::shortened(&fault.tensor)));
    }
    if found.len() > NAMES_SHOWN {
        report.problems.push(format!("broken values: in {} more tensors", found.len() - NAMES_SHOWN));
    }
    report.not_finite = found;
}

/// The hash of a file, and the files that it names when it is an index.
struct Hashes {
    own: Option<String>,
    shards: Vec<Shard>,
}

fn hashes(path: &Path) -> Hashes {
    let shards = shards(path).into_iter().map(|shard| Shard {
        file: shard.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: std::fs::metadata(&shard).map_or(0, |metadata| metadata.len()),
        sha256: hash(&shard),
        published: None,
    });
    Hashes { own: hash(path), shards: shards.collect() }
}

/// The hash of a file on a disk; a pipe or device would be read without end.
fn hash(path: &Path) -> Option<String> {
    path.is_file().then(|| sha256_file(path).ok())?
}

fn add_hashes(report: &mut FileReport, hashes: Hashes) {
    report.bytes += hashes.shards.iter().map(|shard| shard.bytes).sum::<u64>();
    (report.sha256, report.shards) = (hashes.own, hashes.shards);
}

/// The files beside an index that it names; none for any other file.
fn shards(index: &Path) -> Vec<PathBuf> {
    if !weights::is_index(&index.to_string_lossy()) {
        return Vec::new();
    }
    let map = read_small(index).ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    let map = map.as_ref().and_then(|index| index.get("weight_map")?.as_object());
    let names = map.into_iter().flat_map(|map| map.values()).filter_map(|name| name.as_str());
    let plain = names.filter(|name| !name.contains(['/', '\\']) && *name != ".." && *name != ".");
    let mut files: Vec<PathBuf> = plain.map(|name| index.with_file_name(name)).collect();
    files.sort_unstable();
    files.dedup();
    files
}
