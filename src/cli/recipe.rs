//! What is done with the request itself.

use clap::Args;

/// The options of the heading "Recipe".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Recipe")]
pub struct RecipeArgs {
    /// Print the complete request as JSON and make no picture [default: off].
    ///
    /// With --count, the request of the first picture. Weights are not read.
    #[arg(long)]
    pub dry_run: bool,
}
