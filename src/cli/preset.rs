//! `sdgen preset`: presets that there are, and new ones.

use clap::{Args, Subcommand};

use super::config::SettingArgs;
use super::general::GeneralArgs;

const EXAMPLES: &str = "\
Examples:
  sdgen preset list
  sdgen preset show photo
  sdgen preset save mine --model sdxl --steps 40 --prompt-suffix \", oil painting\"
  sdgen generate \"a red apple\" --preset mine";

/// List presets, show one, or save the options given as one.
///
/// A preset is a file of settings, told to a command that makes pictures by `--preset`. They lie in `presets/` of the current folder,
/// in `presets/` of the user's folder of settings, and inside the program; of equal names the first counts.
#[derive(Debug, Clone, Args)]
#[command(disable_help_flag = true, after_help = EXAMPLES)]
pub struct PresetArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: PresetAction,
}

/// What can be done with presets.
#[derive(Debug, Clone, Subcommand)]
#[expect(missing_docs, reason = "clap would print it in place of the long help of the arguments")]
pub enum PresetAction {
    List(ListArgs),
    Show(ShowArgs),
    Save(Box<SaveArgs>),
}

/// List the presets that can be named.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true)]
pub struct ListArgs {
    /// What the program says.
    #[command(flatten)]
    pub general: GeneralArgs,
}

/// Print what a preset sets, with all that it extends.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true)]
pub struct ShowArgs {
    /// A preset: a name of the list, or a file.
    #[arg(value_name = "NAME|FILE")]
    pub name: String,
    /// What the program says.
    #[command(flatten)]
    pub general: GeneralArgs,
}

/// Save the options given as a preset.
///
/// What is left out stays open. With `--preset`, the new one extends that one.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, mut_arg("dry_run", |arg| arg.hide(true)))]
pub struct SaveArgs {
    /// Its name, for the user's folder of presets; or a file, as `presets/mine.toml`.
    #[arg(value_name = "NAME|FILE")]
    pub name: String,
    /// What it is for, in a sentence.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Replace a preset of that name [default: off].
    #[arg(long)]
    pub replace: bool,
    /// The options.
    #[command(flatten)]
    pub options: SettingArgs,
}

impl PresetAction {
    /// What was said about output to the terminal.
    #[must_use]
    pub fn general(&self) -> &GeneralArgs {
        match self {
            PresetAction::List(args) => &args.general,
            PresetAction::Show(args) => &args.general,
            PresetAction::Save(args) => &args.options.paint.general,
        }
    }
}
