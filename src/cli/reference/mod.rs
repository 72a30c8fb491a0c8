//! What follows from the definition of the command line: completions, man pages, and the pages of `docs/cli/`.
//!
//! All of it is checked in, and a test compares ([`files`]); the README of no option is written twice. Shells ask the program itself
//! for candidates ([`complete`]), so their scripts stay the same when options come and go.

mod candidates;
mod man;
mod markdown;
mod shells;

use std::ffi::OsString;

use clap::{Command, CommandFactory};
use clap_complete::env::CompleteEnv;

use super::Cli;
use crate::{Error, Result};

pub use shells::Shell;

/// Shells set this variable to their name when they ask for candidates.
const VARIABLE: &str = "_SDGEN_COMPLETE";

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its name, without folders.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// Prints candidates if a shell asks for them; `false` if this is a run like any other. `args` begin with the program's name.
///
/// # Errors
/// [`Error::Usage`] for a shell that is not known, or when the candidates cannot be written.
pub fn complete(args: &[OsString]) -> Result<bool> {
    let folder = std::env::current_dir().ok();
    let env = CompleteEnv::with_factory(|| candidates::add_to(Cli::command())).var(VARIABLE);
    env.try_complete(args, folder.as_deref()).map_err(|e| {
        Error::usage(
            format!("`{VARIABLE}` asks for completions, and there are none: {}", e.to_string().trim_end()),
            "shells set it, as `sdgen completions` tells them; unset it elsewhere",
        )
    })
}

/// The man pages: of the program, then of each command.
///
/// # Errors
/// When a page cannot be put together.
pub fn man_pages() -> Result<Vec<Page>> {
    let mut program = built();
    program.set_bin_name("sdgen");
    std::iter::once(&program).chain(commands(&program)).map(man::page).collect()
}

/// All generated files, each with the folder of the repository that it belongs into.
///
/// # Errors
/// As [`man_pages`].
pub fn files() -> Result<Vec<(&'static str, Page)>> {
    let program = built();
    let scripts = Shell::ALL.iter().map(|shell| Ok(("completions", shell.page()?)));
    let docs = std::iter::once(markdown::index(&program)).chain(commands(&program).map(markdown::page));
    scripts
        .chain(man_pages()?.into_iter().map(|page| Ok(("man", page))))
        .chain(docs.map(|page| Ok(("docs/cli", page))))
        .collect()
}

/// The command line with everything that is derived filled in, such as how commands are called.
fn built() -> Command {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    program
}

/// The commands that help shows.
fn commands(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|command| !command.is_hide_set())
}

/// "sdgen-generate".
fn page_name(command: &Command) -> String {
    command.get_bin_name().unwrap_or_else(|| command.get_name()).replace(' ', "-")
}

/// The text behind the options, in paragraphs with a heading each: "Examples", and the lines under it.
fn sections(command: &Command) -> Vec<(String, Vec<String>)> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("  "), sections.last_mut()) {
            (Some(line), Some((_, lines))) => lines.push(line.to_string()),
            _ if line.trim().is_empty() => {}
            _ => sections.push((line.trim_end_matches(':').to_string(), Vec::new())),
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_ends_with_examples() {
        let program = built();
        for command in commands(&program) {
            let sections = sections(command);
            let examples = sections.iter().find(|(heading, _)| heading == "Examples");
            let (_, lines) = examples.unwrap_or_else(|| panic!("`{}` has no examples", command.get_name()));
            assert!(lines.iter().all(|line| line.contains("sdgen ")), "{lines:?}");
        }
    }
}
