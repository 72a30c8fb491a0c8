//! Settings from elsewhere become part of the command line: they are given as the options that they are, before those that were typed.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, Id};

use super::source::Source;
use super::{sheet, Cli};
use crate::config::setting::{Kind, Section};
use crate::config::{gather, merge, shown, words, Given, Layer, Origin, Setting, Sources, Surroundings, SETTINGS};
use crate::sampling::parse_scheduler;
use crate::Result;

/// The definition of the command line, with an option that takes it back for each switch that a file can turn on.
pub fn definition() -> Command {
    Cli::command().mut_subcommands(|sub| with_undo(sub.mut_subcommands(with_undo)))
}

fn with_undo(mut sub: Command) -> Command {
    for setting in SETTINGS {
        let Some((id, undo)) = id_of(&sub, setting).zip(setting.undo) else { continue };
        sub = sub.mut_arg(id.clone(), |arg| arg.overrides_with(undo));
        sub = sub.arg(Arg::new(undo).long(undo).action(ArgAction::SetTrue).overrides_with(id).hide(true));
    }
    sub
}

/// What clap calls the option that a setting is, if the subcommand has it.
fn id_of(sub: &Command, setting: &Setting) -> Option<Id> {
    sub.get_arguments().find(|arg| arg.get_long() == Some(setting.option)).map(|arg| arg.get_id().clone())
}

/// The settings that count for a command line.
#[derive(Debug, Default)]
pub struct Layered {
    /// Words up to the subcommand, without the program.
    depth: usize,
    /// Those from elsewhere that won.
    pub winners: Vec<Given>,
    /// Those that were typed.
    pub typed: Vec<Given>,
    /// What is worth knowing of them.
    pub notes: Vec<String>,
    /// What of them has no effect.
    pub warnings: Vec<String>,
}

impl Layered {
    /// Reads what else there is, and decides what counts.
    ///
    /// # Errors
    /// As [`gather`].
    pub fn of(
        definition: &Command,
        matches: &ArgMatches,
        recipe: Option<&Source>,
        surroundings: &Surroundings,
    ) -> Result<Self> {
        let (mut sub, mut own, mut depth) = (definition, matches, 0);
        while let Some((next, inner)) =
            own.subcommand().and_then(|(name, inner)| Some((sub.find_subcommand(name)?, inner)))
        {
            (sub, own, depth) = (next, inner, depth + 1);
        }
        let typed = typed(sub, own);
        let sections = sections(sub);
        if sections.is_empty() {
            return Ok(Layered { typed, ..Layered::default() });
        }
        let (mut layers, warnings) = gather(&sources(sub, own, &sections), recipe.map(Source::layer), surroundings)?;
        let fits = |given: &Given| {
            let known = sections.contains(&given.setting.section) && id_of(sub, given.setting).is_some();
            known && !(sub.get_name() == "sheet" && sheet::WITHOUT.contains(&given.setting.option))
        };
        let warnings = [warnings, recipe.map(|recipe| recipe.not_taken(fits)).unwrap_or_default()].concat();
        layers.iter_mut().for_each(|layer| layer.given.retain(fits));
        let mut options: BTreeSet<&str> = typed.iter().map(|given| given.setting.option).collect();
        let scheduler = typed.iter().find(|given| given.setting.option == "scheduler");
        if scheduler.is_some_and(|given| parse_scheduler(&given.texts[0]).is_ok_and(|(_, sigmas)| sigmas.is_some())) {
            options.insert("sigmas");
        }
        let merged = merge(&options, &layers);
        let is_told = sub.get_name() != "config";
        let notes = layers.iter().filter(|_| is_told).filter_map(|layer| uncalled(layer, &merged.winners));
        let lost = merged.lost_lists.iter().map(|(layer, given)| {
            let (option, from) = (given.setting.option, &layer.name);
            format!(
                "`--{option}` of {from} does not count: it is given nearer, and lists are not joined ({})",
                shown(given)
            )
        });
        let notes = recipe.map(Source::notes).unwrap_or_default().into_iter().chain(notes).chain(lost).collect();
        let winners = match recipe.filter(|_| is_told) {
            Some(recipe) => recipe.found(merged.winners)?,
            None => merged.winners,
        };
        Ok(Layered { depth, winners, typed, notes, warnings })
    }

    /// The command line with what won.
    pub fn words(&self, args: &[OsString]) -> Vec<OsString> {
        let words = self.winners.iter().flat_map(words).map(OsString::from);
        let (front, rest) = args.split_at(args.len().min(self.depth + 1));
        front.iter().cloned().chain(words).chain(rest.iter().cloned()).collect()
    }

    /// What an error about an option calls it.
    pub fn name(&self, option: &str) -> Option<String> {
        let winner = self.winners.iter().find(|given| option.strip_prefix("--") == Some(given.setting.option));
        winner.map(Given::named)
    }
}

/// The parts of files that a subcommand takes settings from.
fn sections(sub: &Command) -> Vec<Section> {
    match sub.get_name() {
        "generate" | "img2img" | "inpaint" | "controlnet" | "flux" | "sheet" | "config" => Section::ALL.to_vec(),
        "bench" | "verify" => vec![Section::Compute, Section::General],
        "preprocess" | "download" | "info" | "convert" | "lora-merge" | "list" | "show" => vec![Section::General],
        _ => Vec::new(),
    }
}

fn sources(sub: &Command, own: &ArgMatches, sections: &[Section]) -> Sources {
    let has = |id: &str| sub.get_arguments().any(|arg| arg.get_id() == id);
    let preset = if has("preset") { own.get_one("preset").cloned() } else { None };
    Sources {
        preset,
        no_preset: sections == [Section::General],
        file: own.get_one("config_file").cloned(),
        no_files: own.get_flag("no_config"),
    }
}

/// The settings that were typed, with their texts. A switch that was taken back is typed too.
fn typed(sub: &Command, own: &ArgMatches) -> Vec<Given> {
    let is_typed = |id: &str| own.value_source(id) == Some(ValueSource::CommandLine);
    let given = |setting: &'static Setting| {
        let id = id_of(sub, setting)?;
        let undone = setting.undo.is_some_and(is_typed);
        // A prompt may stand by itself.
        let id = if setting.option == "prompt" && is_typed("positional") { "positional" } else { id.as_str() };
        if !undone && !is_typed(id) {
            return None;
        }
        let raw = own.get_raw(id).into_iter().flatten().map(|text| text.to_string_lossy().into_owned());
        let off = setting.kind == Kind::Off;
        let texts = match (setting.undo, raw.collect::<Vec<_>>()) {
            (None, texts) => texts,
            (Some(_), _) if undone => vec![off.to_string()],
            (Some(_), texts) if setting.kind == Kind::Optional && !texts.is_empty() => texts,
            (Some(_), _) => vec![(!off).to_string()],
        };
        Some(Given { setting, texts, origin: Origin::CommandLine })
    };
    SETTINGS.iter().filter_map(given).collect()
}

/// What comes from a layer that nobody asked for by an option, as far as it changes pictures.
fn uncalled(layer: &Layer, winners: &[Given]) -> Option<String> {
    if layer.called {
        return None;
    }
    let of_layer = |winner: &&Given| layer.given.contains(winner) && winner.setting.section != Section::General;
    let values = winners.iter().filter(of_layer).map(|given| format!("{} {}", given.setting.key(), shown(given)));
    let values: Vec<String> = values.collect();
    (!values.is_empty()).then(|| format!("from {}: {}", layer.name, values.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::by_option;

    #[test]
    fn every_option_of_pictures_is_a_setting_or_known_not_to_be() {
        let exceptions = ["config-file", "no-config", "preset", "from", "dry-run", "help", "variant", "x", "y"];
        let definition = definition();
        let mut seen = BTreeSet::new();
        for name in ["generate", "img2img", "inpaint", "controlnet", "flux", "sheet"] {
            let sub = definition.find_subcommand(name).unwrap();
            let options = sub.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long);
            for option in options {
                let known = by_option(option).is_some() || exceptions.contains(&option);
                assert!(known, "add `--{option}` to the table of settings, src/config/table.rs, and to docs/config.md");
                seen.insert(option.to_string());
            }
        }
        for setting in SETTINGS {
            assert!(seen.contains(setting.option), "no command has `--{}`", setting.option);
        }
    }
}
