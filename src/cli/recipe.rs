//! What is done with the request itself.

use clap::Args;

/// The options of the heading "Recipe".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Recipe")]
pub struct RecipeArgs {
    /// Take settings from a preset: a name of `sdgen preset list`, or a file.
    ///
    /// What is said by options, `SDGEN_*` variables or a recipe counts before it, and it before sdgen.toml.
    #[arg(long, value_name = "NAME|FILE")]
    pub preset: Option<String>,

    /// Print the complete request as JSON and make no picture [default: off].
    ///
    /// With --count, the request of the first picture. Weights are not read.
    #[arg(long)]
    pub dry_run: bool,
}
