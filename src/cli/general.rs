//! What the program says while it works.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::ui::{ColorChoice, UiOptions};

/// The options of the heading "General".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "General")]
pub struct GeneralArgs {
    /// Say nothing but warnings and errors [default: off].
    #[arg(short, long, overrides_with = "verbose")]
    pub quiet: bool,

    /// Say more: the schedule, times [default: off].
    #[arg(short, long, overrides_with = "quiet")]
    pub verbose: bool,

    /// Print events as JSON lines on standard output [default: off].
    #[arg(long)]
    pub json: bool,

    /// When to use colours.
    ///
    /// `auto` does on a terminal, unless `NO_COLOR` is set.
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    pub color: ColorChoice,

    /// Show no progress bar [default: one on a terminal].
    #[arg(long)]
    pub no_progress: bool,

    /// Use no network [default: only `download` does].
    #[arg(long)]
    pub offline: bool,

    /// Take settings from this file alone [default: sdgen.toml here, and the user's].
    #[arg(long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Take settings from no file [default: off].
    #[arg(long, overrides_with = "config_file")]
    pub no_config: bool,

    /// Print help: `-h` in short, `--help` in full.
    #[arg(short = 'h', long, action = ArgAction::Help)]
    help: Option<bool>,
}

impl GeneralArgs {
    /// What was said about output to the terminal.
    #[must_use]
    pub fn ui_options(&self) -> UiOptions {
        UiOptions {
            quiet: self.quiet,
            verbose: self.verbose,
            json: self.json,
            color: self.color,
            progress: !self.no_progress,
        }
    }
}
