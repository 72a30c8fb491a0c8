//! `sdgen completions`: scripts for shells.

use clap::Args;

use super::reference::Shell;

const EXAMPLES: &str = "\
Examples:
  sdgen completions bash > ~/.local/share/bash-completion/completions/sdgen
  sdgen completions zsh > ~/.zfunc/_sdgen    # a folder of $fpath
  sdgen completions fish > ~/.config/fish/completions/sdgen.fish
  sdgen completions elvish >> ~/.config/elvish/rc.elv
  sdgen completions powershell >> $PROFILE";

/// Print the script that makes a shell complete commands, options and their values.
///
/// Short names of models, samplers, kinds of ControlNets and files are completed. The script asks `sdgen` itself, which has to be on the path,
/// so it need not be made anew for another version.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}
