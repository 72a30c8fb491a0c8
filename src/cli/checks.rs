//! Options against each other: what no single value can show.

use std::path::Path;

use super::general::GeneralArgs;
use super::input::InputArgs;
use super::mask::MaskArgs;
use super::output::OutputArgs;
use super::prompt::PromptArgs;
use super::sampling::{SamplingArgs, Seed};
use crate::image::input::Alpha;
use crate::image::MetadataMode;
use crate::request::SkipLayers;
use crate::sampling::SigmaSpacing;
use crate::{Error, Result};

/// The one prompt, from the argument or the option.
pub fn prompt(args: &PromptArgs) -> Result<&str> {
    match (&args.positional, &args.prompt) {
        (Some(_), _) | (_, Some(_)) if args.prompt_file.is_some() => Err(Error::usage(
            "there are a prompt and a file of prompts",
            "leave out one of them; a line of the file may be a request with several settings",
        )),
        (None, None) if args.prompt_file.is_some() => Ok(""),
        (Some(a), Some(b)) if a != b => Err(Error::usage(
            format!("two prompts are given: `{a}` and, with --prompt, `{b}`"),
            "give one of them; for two pictures, run the command twice",
        )),
        (Some(text), _) | (None, Some(text)) => Ok(text),
        (None, None) => Err(Error::usage(
            "no prompt is given",
            "say what to paint, in quotes: `\"a red apple\"`, or give a file: `--prompt-file`",
        )),
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

/// Something must say what is painted anew, and only one thing.
pub fn mask(input: &InputArgs, mask: &MaskArgs) -> Result<()> {
    let of_alpha = input.alpha == Alpha::Mask;
    if mask.mask.is_none() && mask.extend.is_none() && !of_alpha {
        let hint = "give a picture whose white is painted anew with `--mask mask.png`, new ground with `--extend`, or take the \
                    picture's transparency with `--alpha mask`";
        return Err(Error::usage("nothing says what of the picture is painted anew", hint));
    }
    if mask.invert_mask && mask.mask.is_none() && !of_alpha {
        return Err(Error::usage(
            "there is no mask for `--invert-mask` to invert",
            "add `--mask mask.png`, or leave it out",
        ));
    }
    if mask.mask.is_some() && of_alpha {
        return Err(Error::usage("there are two masks: `--mask` and `--alpha mask`", "give one of them"));
    }
    if mask.mask.as_deref() == Some(Path::new("-")) && input.image.as_deref() == Some(Path::new("-")) {
        return Err(Error::usage(
            "standard input cannot be both the picture and its mask",
            "give one of them as a file",
        ));
    }
    if mask.only_masked.is_some() && input.resize.is_some() {
        let message = "`--resize` has no effect with `--only-masked`, which leaves the picture its size";
        return Err(Error::usage(message, "leave one of them out"));
    }
    Ok(())
}

/// A file and up to `most` numbers behind it, with colons between. They are taken from the end, so that a path may have colons.
pub fn numbers_behind(text: &str, most: usize) -> (&str, Vec<f64>) {
    let (mut file, mut numbers) = (text, Vec::new());
    // A file of that name is meant, whatever it ends in.
    while numbers.len() < most && !Path::new(file).exists() {
        let Some((before, number)) = file.rsplit_once(':') else { break };
        let Ok(number) = number.trim().parse::<f64>() else { break };
        (file, numbers) = (before, [vec![number], numbers].concat());
    }
    (file, numbers)
}

/// A path as part of the request.
pub fn path(what: &str, path: &Path) -> Result<String> {
    path.to_str().map(Into::into).ok_or_else(|| Error::path_is_no_text(what, path))
}

/// Standard output holds one thing, and `--every` needs something to count. Whether the pictures fit is for
/// [`crate::image`] to say, which writes them.
pub fn output(output: &OutputArgs, general: &GeneralArgs) -> Result<()> {
    if output.every.is_some() && output.intermediates.is_none() {
        return Err(Error::usage("`--every` has nothing to count", "add `--intermediates`, or leave it out"));
    }
    output.preview.method()?;
    if !output.to_stdout() {
        return Ok(());
    }
    one_on_stdout(general)?;
    if output.intermediates == Some(None) {
        let message = "intermediates go beside the picture, and standard output has no place for them";
        return Err(Error::usage(message, "name their folder: `--intermediates=DIR`"));
    }
    Ok(())
}

/// Skip-layer guidance, whose scale and ends are for layers.
pub fn skip_layers(sampling: &SamplingArgs) -> Result<Option<SkipLayers>> {
    let (scale, start, stop) = (sampling.skip_layer_scale, sampling.skip_layer_start, sampling.skip_layer_stop);
    let options = [("scale", scale), ("start", start), ("stop", stop)];
    let default = SkipLayers::default();
    match (&sampling.skip_layers, options.into_iter().find(|(_, value)| value.is_some())) {
        (None, Some((option, _))) => {
            let message = format!("`--skip-layer-{option}` has no layers to be about");
            Err(Error::usage(message, "add `--skip-layers`, or leave it out"))
        }
        (None, None) => Ok(None),
        (Some(layers), _) => Ok(Some(SkipLayers {
            layers: layers.0.clone(),
            scale: scale.unwrap_or(default.scale),
            start: start.unwrap_or(default.start),
            stop: stop.unwrap_or(default.stop),
        })),
    }
}

/// What makes sense for a file of prompts only, or with the settings in the picture only.
pub fn stream(prompt: &PromptArgs, output: &OutputArgs) -> Result<()> {
    if prompt.shard.is_some() && prompt.prompt_file.is_none() {
        let message = "`--shard` has no lines to choose from";
        return Err(Error::usage(message, "add `--prompt-file`, or leave it out"));
    }
    if output.resume && output.metadata != MetadataMode::Full {
        let message = "`--resume` goes by the settings in the pictures, and there will be none";
        return Err(Error::usage(message, "leave out `--metadata`"));
    }
    Ok(())
}

/// Of a picture that goes to standard output: nothing else may.
pub fn one_on_stdout(general: &GeneralArgs) -> Result<()> {
    if general.json {
        let message = "standard output cannot take both the picture and JSON";
        return Err(Error::usage(message, "leave out `--json`, or give `--output` a file"));
    }
    Ok(())
}
