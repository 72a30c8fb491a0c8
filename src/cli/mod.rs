//! The command line: what can be typed, its help and its errors.
//!
//! One file a subcommand ([`generate`], [`img2img`], [`inpaint`], [`controlnet`], [`flux`], [`sheet`], [`download`], [`verify`],
//! [`info`], [`convert`], [`lora_merge`], [`preprocess`], [`bench`], [`preset`], [`config`], [`completions`], [`man`]), one a group of
//! options that subcommands share ([`model`], [`lora`], [`prompt`], [`redux`], [`sampling`], [`image`], [`input`], [`mask`], [`control`],
//! [`output`], [`preview`], [`compute`], [`recipe`], [`save`], [`general`]), [`shard`] and [`axis`] values of some; [`paint`] is the
//! groups of those that make pictures. `layers` adds what files and variables say, `source` what a picture does. A value is checked by
//! its parser in `values`, options against each other in `checks`; both say what to give instead. `reference` makes completions, man
//! pages and documents of all this. Only `main` and `commands` call this module.

pub mod axis;
pub mod bench;
mod checks;
pub mod completions;
pub mod compute;
pub mod config;
pub mod control;
pub mod controlnet;
pub mod convert;
pub mod download;
pub mod flux;
pub mod general;
pub mod generate;
pub mod image;
pub mod img2img;
pub mod info;
pub mod inpaint;
pub mod input;
mod layers;
pub mod lora;
pub mod lora_merge;
pub mod man;
pub mod mask;
pub mod model;
pub mod output;
pub mod paint;
pub mod preprocess;
pub mod preset;
pub mod preview;
pub mod prompt;
pub mod recipe;
pub mod redux;
pub mod reference;
pub mod sampling;
pub mod save;
pub mod shard;
pub mod sheet;
mod source;
mod usage;
mod values;
pub mod verify;

use std::ffi::OsString;

use clap::{FromArgMatches, Parser, Subcommand, ValueEnum};

use self::general::GeneralArgs;
use self::layers::Layered;
use self::preset::PresetAction;
use self::source::Source;
use crate::config::{is_on, Given, Surroundings};
use crate::ui::{ColorChoice, UiOptions};
use crate::Result;

pub use bench::BenchArgs;
pub use completions::CompletionsArgs;
pub use config::ConfigArgs;
pub use controlnet::ControlnetArgs;
pub use convert::ConvertArgs;
pub use download::DownloadArgs;
pub use flux::FluxArgs;
pub use generate::GenerateArgs;
pub use img2img::Img2ImgArgs;
pub use info::InfoArgs;
pub use inpaint::InpaintArgs;
pub use lora_merge::LoraMergeArgs;
pub use man::ManArgs;
pub use paint::PaintArgs;
pub use preprocess::PreprocessArgs;
pub use preset::PresetArgs;
pub use sheet::SheetArgs;
pub use verify::VerifyArgs;

/// Stable Diffusion pictures from the command line.
///
/// A small model is inside the program: it needs no download and no network. Pictures are those of Python diffusers: the
/// same model, prompt, seed and sampler give the same picture.
#[derive(Debug, Parser)]
#[command(name = "sdgen", version, max_term_width = 100, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sdgen generate \"a red apple\"
  sdgen generate \"a photo of a cat\" --model ./stable-diffusion-v1-5 --output cat.png
  sdgen img2img -i apple.png \"a green apple\"
  sdgen download sd15
  sdgen generate --help";

/// A subcommand with its options.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "clap would print it in place of the long help of the arguments")]
pub enum Command {
    Generate(Box<GenerateArgs>),
    Img2img(Box<Img2ImgArgs>),
    Inpaint(Box<InpaintArgs>),
    Controlnet(Box<ControlnetArgs>),
    Flux(Box<FluxArgs>),
    Sheet(Box<SheetArgs>),
    Preprocess(Box<PreprocessArgs>),
    Download(Box<DownloadArgs>),
    Bench(Box<BenchArgs>),
    Verify(Box<VerifyArgs>),
    Info(Box<InfoArgs>),
    Convert(Box<ConvertArgs>),
    LoraMerge(Box<LoraMergeArgs>),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Preset(PresetArgs),
    Config(Box<ConfigArgs>),
}

impl Command {
    /// What was said about output to the terminal; `None` for commands that only print.
    fn general(&self) -> Option<&GeneralArgs> {
        Some(match self {
            Command::Generate(args) => &args.paint.general,
            Command::Img2img(args) => &args.paint.general,
            Command::Inpaint(args) => &args.paint.general,
            Command::Controlnet(args) => &args.paint.general,
            Command::Flux(args) => &args.paint.general,
            Command::Sheet(args) => &args.paint.general,
            Command::Preprocess(args) => &args.general,
            Command::Download(args) => &args.general,
            Command::Bench(args) => &args.general,
            Command::Verify(args) => &args.general,
            Command::Info(args) => &args.general,
            Command::Convert(args) => &args.general,
            Command::LoraMerge(args) => &args.general,
            Command::Preset(args) => args.action.general(),
            Command::Config(args) => &args.options.paint.general,
            Command::Completions(_) | Command::Man(_) => return None,
        })
    }

    /// Where the settings go of a command that is about them.
    fn settings_mut(&mut self) -> Option<&mut Vec<Given>> {
        match self {
            Command::Config(args) => Some(&mut args.options.given),
            Command::Preset(PresetArgs { action: PresetAction::Save(args) }) => Some(&mut args.options.given),
            _ => None,
        }
    }

    /// How it shows what happens. Where the result is one JSON object, no events go with it.
    #[must_use]
    pub fn ui_options(&self) -> UiOptions {
        let options = self.general().map(GeneralArgs::ui_options).unwrap_or_default();
        match self {
            Command::Bench(_) | Command::Config(_) => UiOptions { json: false, ..options },
            _ => options,
        }
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// Something to do.
    Command(Command),
    /// Help or the version: to be printed with [`clap::Error::print`], which knows the stream and its colours, and left
    /// with [`clap::Error::exit_code`].
    Text(clap::Error),
}

/// A command line with all that counts beside it.
#[derive(Debug)]
pub struct Invocation {
    /// What it asks for.
    pub parsed: Parsed,
    /// The command line with the settings from elsewhere as options.
    pub args: Vec<OsString>,
    /// What is worth knowing of those settings.
    pub notes: Vec<String>,
    /// What of them has no effect.
    pub warnings: Vec<String>,
}

/// Reads a command line, program name first, and nothing else.
///
/// # Errors
/// As [`parse_within`].
pub fn parse<I>(args: I) -> Result<Parsed>
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    parse_within(args.into_iter().map(Into::into).collect(), &Surroundings::default()).map(|i| i.parsed)
}

/// Reads a command line, program name first, and the settings that are found around it.
///
/// # Errors
/// [`crate::Error::Usage`] for what is unknown, missing, outside its range or contradictory, wherever it was said.
pub fn parse_within(mut args: Vec<OsString>, surroundings: &Surroundings) -> Result<Invocation> {
    let color = match message_options(&args, surroundings).color {
        ColorChoice::Auto => clap::ColorChoice::Auto,
        ColorChoice::Always => clap::ColorChoice::Always,
        ColorChoice::Never => clap::ColorChoice::Never,
    };
    let recipe = Source::of(&mut args)?;
    let definition = layers::definition().color(color);
    let typed = match definition.clone().try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(e) if usage::is_text(&e) => return Ok(Invocation::of(Parsed::Text(e), args)),
        Err(e) => return Err(usage::to_error(&e, &Layered::default())),
    };
    let layered = Layered::of(&definition, &typed, recipe.as_ref(), surroundings)?;
    let args = layered.words(&args);
    let matches = definition.try_get_matches_from(&args);
    let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    let mut command = cli.map_err(|e| usage::to_error(&e, &layered))?.command;
    let Layered { notes, warnings, winners, typed, .. } = layered;
    if let Some(settings) = command.settings_mut() {
        *settings = typed.into_iter().chain(winners).collect();
    }
    Ok(Invocation { notes, warnings, ..Invocation::of(Parsed::Command(command), args) })
}

impl Invocation {
    fn of(parsed: Parsed, args: Vec<OsString>) -> Self {
        Invocation { parsed, args, notes: Vec::new(), warnings: Vec::new() }
    }
}

/// How help and errors are to be shown, from a command line that may be wrong elsewhere, and from the variables around it.
#[must_use]
pub fn message_options(args: &[OsString], surroundings: &Surroundings) -> UiOptions {
    let variable = |name: &str| surroundings.variable(name).and_then(|value| value.to_str());
    let mut options = UiOptions {
        json: variable("SDGEN_JSON").and_then(is_on).unwrap_or_default(),
        color: variable("SDGEN_COLOR").and_then(|when| ColorChoice::from_str(when, false).ok()).unwrap_or_default(),
        ..UiOptions::default()
    };
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--").collect();
    for (at, word) in words.iter().enumerate() {
        let color = match *word {
            "--color" => words.get(at + 1).copied(),
            word => word.strip_prefix("--color="),
        };
        options.json = match *word {
            "--json" => true,
            "--no-json" => false,
            _ => options.json,
        };
        options.color = color.and_then(|when| ColorChoice::from_str(when, false).ok()).unwrap_or(options.color);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definition_is_consistent() {
        layers::definition().debug_assert();
    }

    #[test]
    fn a_wrong_command_line_still_says_how_to_show_that() {
        let within = |line: &[&str], surroundings: &Surroundings| {
            message_options(&line.iter().map(OsString::from).collect::<Vec<_>>(), surroundings)
        };
        let options = |line: &[&str]| within(line, &Surroundings::default());
        let given = options(&["sdgen", "generate", "--steps", "0", "--color", "always", "--json"]);
        assert_eq!((given.color, given.json), (ColorChoice::Always, true));
        assert_eq!(options(&["sdgen", "--color=always", "--color=never"]).color, ColorChoice::Never);
        assert_eq!(options(&["sdgen", "--color", "sometimes", "--color"]), UiOptions::default());
        assert_eq!(options(&["sdgen", "generate", "--", "--json"]), UiOptions::default());
        let variables = vec![("SDGEN_JSON".into(), "1".into()), ("SDGEN_COLOR".into(), "never".into())];
        let surroundings = Surroundings { variables, ..Surroundings::default() };
        assert_eq!(within(&["sdgen", "x"], &surroundings), UiOptions { color: ColorChoice::Never, ..given });
        assert!(!within(&["sdgen", "x", "--no-json"], &surroundings).json);
    }

    #[test]
    fn help_and_version_are_no_errors() {
        for (args, code) in [
            (&["sdgen", "--help"][..], 0),
            (&["sdgen", "-h"], 0),
            (&["sdgen", "--version"], 0),
            (&["sdgen", "generate", "-h"], 0),
            (&["sdgen"], 2),
        ] {
            match parse(args).unwrap() {
                Parsed::Text(text) => assert_eq!(text.exit_code(), code, "{args:?}"),
                Parsed::Command(command) => panic!("{args:?} gave {command:?}"),
            }
        }
    }
}
