//! Where pictures go, how many there are, and what is written into them.

use std::path::PathBuf;

use clap::Args;

use super::preview::PreviewArgs;
use super::values;
use crate::image::{is_stdout, MetadataMode};
use crate::request::limits;

/// The options of the heading "Output".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// A file, folder or template; `-` is stdout [default: {prompt}-{seed}.png].
    ///
    /// Fields of a template: {prompt}, {seed}, {index}, {line}, {model}, {date}, {time}, {steps}, {guidance}, {scheduler}, {width},
    /// {height}; numbers take a width, as in {index:04}. A folder must exist, unless a field is part of its name. {index} counts the pictures from 0, {line} is
    /// the line of --prompt-file, with which the default is {line:04}-{prompt}-{seed}.png; where names would be the same,
    /// one of the two is added.
    #[arg(short, long, value_name = "TEMPLATE")]
    pub output: Option<String>,

    /// Pictures one after the other, with seeds S, S+1, ...
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value = "1",
          value_parser = |s: &str| values::whole(s, 1..=1_000_000))]
    pub count: usize,

    /// Pictures at once, from one draw of one seed.
    ///
    /// As `num_images_per_prompt` in diffusers. Memory grows with it.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value = "1",
          value_parser = |s: &str| values::whole(s, limits::BATCH))]
    pub batch: usize,

    /// Also write one picture that shows all, in COLS columns [default: off; as many columns as rows].
    ///
    /// It is named after the first picture, with `-grid` behind, and written when all are made. Very large ones are made smaller.
    #[arg(long, value_name = "COLS", num_args = 0..=1, require_equals = true, value_parser = |s: &str| values::whole(s, 1..=1000))]
    pub grid: Option<Option<usize>>,

    /// Also write pictures of the steps [default: off].
    ///
    /// Of each step but the last, whose picture is the result. They go into DIR, or beside the picture when no DIR is given.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub intermediates: Option<Option<PathBuf>>,

    /// With --intermediates, every N-th step only [default: 1].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = |s: &str| values::whole(s, limits::STEPS))]
    pub every: Option<usize>,

    /// What the terminal shows.
    #[command(flatten)]
    pub preview: PreviewArgs,

    /// What the picture tells of how it was made.
    #[arg(long, value_name = "KIND", value_enum, default_value = "full")]
    pub metadata: MetadataMode,

    /// Replace files that are there [default: take the next free name].
    ///
    /// The next free name of `cat.png` is `cat-2.png`.
    #[arg(long)]
    pub overwrite: bool,

    /// Leave pictures that an earlier run has made.
    ///
    /// A picture is left when the file is there and whole, and the settings stored in it are those that would be used; the
    /// model counts by its name. It needs a seed, and `--metadata full`.
    #[arg(long)]
    pub resume: bool,
}

impl OutputArgs {
    /// Whether the picture goes to standard output.
    #[must_use]
    pub fn to_stdout(&self) -> bool {
        self.output.as_deref().is_some_and(is_stdout)
    }
}
