//! What can stand where a value is completed: names that sdgen knows, beside files. In one place, by the options' names, since an option of
//! that name takes the same in every command.

use std::ffi::OsStr;
use std::path::Path;

use clap::builder::ValueHint;
use clap::{Arg, Command, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _};

use crate::config::preset::{self, Preset};
use crate::config::Surroundings;
use crate::control::Preprocessor;
use crate::hub::registry::{self, Kind};
use crate::sampling::{Rng, Sampler, SigmaSpacing};

/// Endings of files that sdgen reads as pictures.
const PICTURES: [&str; 7] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"];
/// Endings of files of weights.
const WEIGHTS: [&str; 7] = ["safetensors", "gguf", "ckpt", "pt", "pth", "bin", "json"];

/// A name, and what it stands for.
type Name = (String, Option<String>);

/// The command line, told what its options take.
pub(super) fn add_to(program: Command) -> Command {
    program.mut_subcommands(|command| {
        let name = command.get_name().to_string();
        command.mut_args(|arg| tell(&name, arg))
    })
}

fn tell(command: &str, arg: Arg) -> Arg {
    match (command, arg.get_id().as_str()) {
        ("download", "models") => arg.add(known(|| entries(|_| true))),
        ("preprocess", "preprocessor") => arg.add(known(maps)),
        ("verify", "names") | ("info", "files") => arg.add(or_files(|| entries(|_| true), &[])),
        (_, "model") => arg.add(or_files(models, &WEIGHTS)),
        (_, "vae") => arg.add(or_files(|| entries(|kind| kind == Kind::Vae), &WEIGHTS)),
        (_, "loras") => arg.add(or_files(|| entries(|kind| kind == Kind::Lora), &WEIGHTS)),
        (_, "unet" | "clip_l" | "clip_g" | "t5" | "embeddings" | "weights" | "taesd") => {
            arg.add(or_files(Vec::new, &WEIGHTS))
        }
        (_, "redux_model") => arg.add(or_files(|| entries(|kind| kind == Kind::Redux), &[])),
        (_, "image" | "mask" | "from" | "redux") => arg.add(or_files(|| names(["-"]), &PICTURES)),
        (_, "prompt_file") => arg.add(or_files(|| names(["-"]), &["txt", "jsonl"])),
        (_, "shard") => arg.add(known(|| names(["auto"]))),
        (_, "controls") => arg.add(ArgValueCompleter::new(control)),
        (_, "scheduler") => arg.add(known(schedulers)),
        (_, "sigmas") => arg.add(known(|| names(SigmaSpacing::ALL.iter().map(|spacing| spacing.name())))),
        (_, "rng") => arg.add(known(|| names(Rng::ALL.iter().map(|rng| rng.name())))),
        (_, "preprocessor") => arg.add(known(|| names(["auto", "none"]).into_iter().chain(maps()).collect())),
        (_, "device") => arg.add(known(|| names(["auto", "cpu", "cuda", "metal"]))),
        (_, "attention") => arg.add(known(|| names(["auto", "flash", "sliced"]))),
        (_, "preset") => arg.add(or_files(presets, &["toml"])),
        (_, "config_file") => arg.add(or_files(Vec::new, &["toml"])),
        (_, "seed") => arg.add(known(|| names(["random"]))),
        (_, "config" | "intermediates" | "save_control" | "wildcards" | "lora_dirs" | "dir") => {
            arg.value_hint(ValueHint::DirPath)
        }
        (_, "output" | "junit") => arg.value_hint(ValueHint::AnyPath),
        _ => arg,
    }
}

/// The presets that can be named here, with what they are for. Those that are wrong are told when they are used.
fn presets() -> Vec<Name> {
    let surroundings = Surroundings::of_process();
    let description = |preset: &Preset| preset.read(&surroundings).ok().and_then(|file| file.description);
    let presets = preset::all(&surroundings).unwrap_or_default();
    presets.iter().map(|preset| (preset.name.clone(), description(preset))).collect()
}

/// One of some names.
fn known(names: fn() -> Vec<Name>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| matching(names(), current))
}

/// One of some names, or a file with one of these endings; any file without endings.
fn or_files(names: fn() -> Vec<Name>, endings: &'static [&'static str]) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let mut candidates = matching(names(), current);
        candidates.extend(files(current, endings));
        candidates
    })
}

/// `MODEL=IMAGE` of `--control`.
fn control(current: &OsStr) -> Vec<CompletionCandidate> {
    if let Some((model, image)) = current.to_str().and_then(|current| current.split_once('=')) {
        return files(OsStr::new(image), &PICTURES)
            .into_iter()
            .map(|file| file.add_prefix(format!("{model}=")))
            .collect();
    }
    let known = names(registry::control_kinds()).into_iter().chain(entries(|kind| kind == Kind::ControlNet));
    let mut candidates = matching(known.map(|(name, help)| (format!("{name}="), help)).collect(), current);
    candidates.extend(files(current, &WEIGHTS));
    candidates
}

/// What begins as it was typed.
fn matching(names: Vec<Name>, current: &OsStr) -> Vec<CompletionCandidate> {
    let begins = |name: &str| current.to_str().is_some_and(|current| name.starts_with(current));
    let candidate = |(name, help): Name| CompletionCandidate::new(name).help(help.map(Into::into));
    names.into_iter().filter(|(name, _)| begins(name)).map(candidate).collect()
}

fn files(current: &OsStr, endings: &'static [&'static str]) -> Vec<CompletionCandidate> {
    let wanted = move |path: &Path| {
        let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_lowercase();
        endings.is_empty() || endings.contains(&ending.as_str())
    };
    PathCompleter::any().filter(wanted).complete(current)
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Name> {
    names.into_iter().map(|name| (name.into(), None)).collect()
}

fn models() -> Vec<Name> {
    entries(|kind| matches!(kind, Kind::Checkpoint | Kind::Inpaint))
}

/// Short names of the registry.
fn entries(of: fn(Kind) -> bool) -> Vec<Name> {
    let wanted = registry::all().iter().filter(|entry| of(entry.kind));
    wanted.map(|entry| (entry.alias.clone(), Some(entry.title.clone()))).collect()
}

/// Samplers, then samplers with the spacing that is asked for most.
fn schedulers() -> Vec<Name> {
    let own = names(Sampler::ALL.iter().map(|sampler| sampler.name()));
    let spaced = Sampler::ALL.iter().filter(|sampler| **sampler != Sampler::FlowEuler);
    own.into_iter()
        .chain(spaced.map(|sampler| (format!("{}-{}", sampler.name(), SigmaSpacing::Karras.name()), None)))
        .collect()
}

fn maps() -> Vec<Name> {
    let known = Preprocessor::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    known.map(|value| (value.get_name().to_string(), value.get_help().map(ToString::to_string))).collect()
}
