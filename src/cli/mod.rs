//! The command line: what can be typed, its help and its errors.
//!
//! One file a subcommand ([`generate`]), one a group of options that subcommands share ([`model`], [`prompt`], [`sampling`],
//! [`image`], [`output`], [`compute`], [`recipe`], [`general`]). A value is checked by its parser in `values`, options against
//! each other in `checks`; both say what to give instead. Only `main` and `commands` call this module.

mod checks;
pub mod compute;
pub mod general;
pub mod generate;
pub mod image;
pub mod model;
pub mod output;
pub mod prompt;
pub mod recipe;
pub mod sampling;
mod usage;
mod values;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::Result;

pub use generate::GenerateArgs;

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
  sdgen generate --help";

/// A subcommand with its options.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make pictures from a text.
    Generate(Box<GenerateArgs>),
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

/// Reads a command line, program name first.
///
/// # Errors
/// [`crate::Error::Usage`] for what is unknown, missing, outside its range or contradictory.
pub fn parse<I>(args: I) -> Result<Parsed>
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    match Cli::try_parse_from(args) {
        Ok(cli) => Ok(Parsed::Command(cli.command)),
        Err(e) if usage::is_text(&e) => Ok(Parsed::Text(e)),
        Err(e) => Err(usage::to_error(&e)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
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
