//! `sdgen config`: what settings there are, and where they come from.

use clap::Args;

use super::control::ControlArgs;
use super::input::InputArgs;
use super::mask::MaskArgs;
use super::paint::PaintArgs;
use crate::config::Given;
use crate::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen config
  sdgen config --show-origin
  sdgen config --show-origin --preset photo --steps 40
  sdgen config > sdgen.toml";

/// Print the settings that count, as a file of settings.
///
/// Those of sdgen.toml in the current folder and in the user's folder, of a preset, of a picture's recipe, of `SDGEN_*` variables and
/// of the options that are given here: all that `generate` and its kin take. What nobody sets is left to the model.
#[derive(Debug, Clone, Args)]
#[command(
    args_override_self = true,
    disable_help_flag = true,
    after_help = EXAMPLES,
    mut_arg("dry_run", |arg| arg.hide(true)),
    mut_arg("json", |arg| arg.help("Print the settings as one JSON object [default: off]"))
)]
pub struct ConfigArgs {
    /// Say where each value comes from [default: off].
    #[arg(long)]
    pub show_origin: bool,
    /// All options.
    #[command(flatten)]
    pub options: SettingArgs,
}

/// All options that are settings, where no picture is made.
#[derive(Debug, Clone, Args)]
pub struct SettingArgs {
    /// What all commands that make pictures know.
    #[command(flatten)]
    pub paint: PaintArgs,
    /// The picture to begin with.
    #[command(flatten)]
    input: InputArgs,
    /// What of it is painted anew.
    #[command(flatten)]
    mask: MaskArgs,
    /// ControlNets.
    #[command(flatten)]
    control: ControlArgs,
    /// The settings that count; known once all sources are read.
    #[arg(skip)]
    pub given: Vec<Given>,
}

impl SettingArgs {
    /// Refuses what has no meaning here.
    ///
    /// # Errors
    /// [`Error::Usage`] for `--dry-run`.
    pub fn check(&self) -> Result<()> {
        if self.paint.recipe.dry_run {
            return Err(Error::usage("no picture is made here", "leave out `--dry-run`"));
        }
        Ok(())
    }
}
