//! `sdgen man`: man pages.

use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  sdgen man | man -l -
  sdgen man generate | man -l -
  sdgen man --dir ~/.local/share/man/man1";

/// Print a man page, or write all of them into a folder.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ManArgs {
    /// The command whose page is wanted [default: the program's].
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub of: Option<String>,

    /// Write the pages of the program and of each command into this folder.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
