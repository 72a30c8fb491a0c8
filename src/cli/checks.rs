//! Options against each other: what no single value can show.

use super::general::GeneralArgs;
use super::output::OutputArgs;
use super::prompt::PromptArgs;
use super::sampling::{SamplingArgs, Seed};
use crate::sampling::SigmaSpacing;
use crate::{Error, Result};

/// The one prompt, from the argument or the option.
pub fn prompt(args: &PromptArgs) -> Result<&str> {
    match (&args.positional, &args.prompt) {
        (Some(a), Some(b)) if a != b => Err(Error::usage(
            format!("two prompts are given: `{a}` and, with --prompt, `{b}`"),
            "give one of them; for two pictures, run the command twice",
        )),
        (Some(text), _) | (None, Some(text)) => Ok(text),
        (None, None) => Err(Error::usage("no prompt is given", "say what to paint, in quotes: `\"a red apple\"`")),
    }
}

/// The one spacing of noise levels, from `--sigmas` or the scheduler's suffix.
pub fn sigmas(args: &SamplingArgs) -> Result<Option<SigmaSpacing>> {
    match (args.scheduler.and_then(|s| s.sigmas), args.sigmas) {
        (Some(suffix), Some(option)) if suffix != option => Err(Error::usage(
            format!("the scheduler's name asks for {suffix} sigmas, `--sigmas` for {option}"),
            format!("leave out `-{suffix}` or `--sigmas {option}`"),
        )),
        (suffix, option) => Ok(option.or(suffix)),
    }
}

/// The seeds S, S+1, ... of `--count` must all be seeds.
pub fn seeds(sampling: &SamplingArgs, output: &OutputArgs) -> Result<()> {
    let Seed::Fixed(seed) = sampling.seed else { return Ok(()) };
    let largest = u64::MAX - (output.count as u64 - 1);
    if seed <= largest {
        return Ok(());
    }
    let message = format!("after seed {seed} there are not enough for {} pictures", output.count);
    Err(Error::usage(message, format!("give a seed up to {largest}")))
}

/// Standard output holds one thing, and `--every` needs something to count. Whether the pictures fit is for
/// [`crate::image`] to say, which writes them.
pub fn output(output: &OutputArgs, general: &GeneralArgs) -> Result<()> {
    if output.every.is_some() && output.intermediates.is_none() {
        return Err(Error::usage("`--every` has nothing to count", "add `--intermediates`, or leave it out"));
    }
    if !output.to_stdout() {
        return Ok(());
    }
    if general.json {
        let message = "standard output cannot take both the picture and JSON";
        return Err(Error::usage(message, "leave out `--json`, or give `--output` a file"));
    }
    if output.intermediates == Some(None) {
        let message = "intermediates go beside the picture, and standard output has no place for them";
        return Err(Error::usage(message, "name their folder: `--intermediates=DIR`"));
    }
    Ok(())
}
