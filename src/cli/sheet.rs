//! `sdgen sheet`: the same picture with one or two settings changed.

use std::path::Path;

use clap::Args;

use super::axis::{self, Axis};
use super::input::InputArgs;
use super::paint::PaintArgs;
use crate::{Error, Request, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen sheet \"a red apple\" --x steps=5,10,20 --y guidance=2..8/2 --seed 7
  sdgen sheet \"a cat face\" --x prompt=cat,dog,bear --y seed=1..4
  sdgen sheet \"a castle\" -m sd15 -l style --x lora-scale=0,0.5,1 --y scheduler=euler,dpm++2m-karras
  sdgen sheet -i photo.jpg \"in winter\" -m sd15 --x strength=0.3..0.9/0.2";

/// Options that a sheet has no place for: it refuses them, and does not take them from files.
pub const WITHOUT: &[&str] = &["prompt-file", "shard", "count", "batch", "grid", "resume", "intermediates", "every"];

/// Make one picture that shows what a setting does, or two.
///
/// Each cell is the picture that the other commands make with its settings; all have the same seed. The model is loaded once, or
/// once for each value that wants other weights. Writes one PNG file.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct SheetArgs {
    /// What changes from column to column, as AXIS=VALUE,VALUE,...
    ///
    /// AXIS is one of steps, guidance, guidance-rescale, true-cfg, seed, scheduler, sigmas, eta, strength, clip-skip, lora-scale (of
    /// all LoRAs), lora:NAME (of one), prompt, negative-prompt, model and size (512x768). Numbers may be ranges, `10..30/5`; a
    /// value with commas stands in double quotes. `prompt=cat,dog,bear` puts dog and bear in the place of cat, as A1111's
    /// "Prompt S/R" does; `prompt=cat->dog,red->blue` names both.
    #[arg(long, value_name = "AXIS=VALUES", value_parser = axis::parse, help_heading = "Sheet")]
    pub x: Axis,

    /// The same from row to row [default: one row].
    #[arg(long, value_name = "AXIS=VALUES", value_parser = axis::parse, help_heading = "Sheet")]
    pub y: Option<Axis>,

    /// What all commands that make pictures know.
    #[command(flatten)]
    pub paint: PaintArgs,

    /// The picture to begin with, if there is one.
    #[command(flatten)]
    pub input: InputArgs,
}

impl SheetArgs {
    /// What all cells share.
    ///
    /// # Errors
    /// As [`PaintArgs::request`], and for options that a sheet has no place for.
    pub fn request(&self) -> Result<Request> {
        let (output, input) = (&self.paint.output, &self.input);
        let given = [
            (self.paint.prompt.prompt_file.is_some(), "--prompt-file"),
            (output.count > 1, "--count"),
            (output.batch > 1, "--batch"),
            (output.grid.is_some(), "--grid"),
            (output.resume, "--resume"),
            (output.intermediates.is_some(), "--intermediates"),
        ];
        if let Some((_, option)) = given.iter().find(|(given, _)| *given) {
            let message = format!("a sheet has no place for `{option}`");
            return Err(Error::usage(message, "leave it out; for several pictures a cell, give an axis `seed=1..4`"));
        }
        if self.y.as_ref().is_some_and(|y| y.name == self.x.name) {
            return Err(Error::usage(format!("both axes are `{}`", self.x.name), "give all its values to one of them"));
        }
        if input.image.as_deref() == Some(Path::new("-")) {
            let message = "each picture of a sheet begins with the one that is given, and standard input is read once";
            return Err(Error::usage(message, "give the picture as a file"));
        }
        let request = self.paint.request()?;
        if input.image.is_none() && input.strength.is_none() && input.resize.is_none() {
            return Ok(request);
        }
        Ok(Request { input: Some(input.input()?), ..request })
    }
}
