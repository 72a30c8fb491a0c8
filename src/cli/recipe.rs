//! What is done with the request itself.

use std::path::PathBuf;

use clap::Args;

/// The options of the heading "Recipe".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Recipe")]
pub struct RecipeArgs {
    /// Take settings from the recipe in a picture: sdgen's own makes the same picture again.
    ///
    /// PNG, JPEG and WebP files of sdgen, A1111 and its kin, ComfyUI (simple graphs), InvokeAI, mflux and Fooocus; what of a recipe is not
    /// taken is told. `generate` makes what the recipe is of, from a picture or a part of one too. Files that it names are looked for where they
    /// lay when the picture was made on this machine, and beside the picture. Options and `SDGEN_*` variables count before it.
    #[arg(long, value_name = "PICTURE")]
    pub from: Option<PathBuf>,

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
