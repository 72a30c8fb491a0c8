//! What the terminal shows of pictures.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::pipeline::PreviewMethod;
use crate::ui::PreviewChoice;
use crate::{Error, Result};

/// The options of previews, under the heading "Output".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct PreviewArgs {
    /// Show the picture in the terminal, and what it becomes while it is made [default: off].
    ///
    /// On standard error, and only where that is a terminal. `auto` takes the protocol that the terminal is known to understand. What steps
    /// predict (of a batch, for the first picture) is shown where there is a progress bar.
    #[arg(long, value_name = "WAY", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub preview: Option<PreviewChoice>,

    /// With --preview, how pictures of steps are made.
    #[arg(long, value_name = "NAME", value_enum, default_value = "auto", requires = "preview")]
    preview_method: PreviewMethodChoice,

    /// With --preview, the weights of a tiny autoencoder (TAESD) for the pictures of steps.
    ///
    /// TAESD for Stable Diffusion 1 and 2, TAESDXL, TAESD3 or TAEF1 (FLUX.1): the decoder's file as ComfyUI has it, or what diffusers calls
    /// `AutoencoderTiny`.
    #[arg(long, value_name = "PATH", requires = "preview")]
    taesd: Option<PathBuf>,
}

/// The values of `--preview-method`, those of ComfyUI and `full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PreviewMethodChoice {
    /// taesd where --taesd is given, latent2rgb otherwise
    Auto,
    /// A matrix makes a pixel of each latent: costs nothing
    Latent2rgb,
    /// The tiny autoencoder of --taesd
    Taesd,
    /// The model's own autoencoder, which takes its time at each step
    Full,
    /// The finished picture alone is shown
    None,
}

impl PreviewArgs {
    /// How pictures of steps are made; `None` where they are not shown.
    ///
    /// # Errors
    /// [`Error::Usage`] for weights that nothing would use, and for a way that lacks them.
    pub fn method(&self) -> Result<Option<PreviewMethod>> {
        use PreviewMethodChoice as Choice;
        Ok(match (self.preview_method, &self.taesd) {
            _ if self.preview.is_none() => None,
            (Choice::Auto | Choice::Taesd, Some(path)) => Some(PreviewMethod::Tiny(path.clone())),
            (Choice::Taesd, None) => {
                let message = "`--preview-method taesd` has no weights";
                return Err(Error::usage(message, "name them: `--taesd taesd_decoder.safetensors`"));
            }
            (_, Some(_)) => {
                let message = "`--taesd` has no effect with this `--preview-method`";
                return Err(Error::usage(message, "leave out one of them"));
            }
            (Choice::Auto | Choice::Latent2rgb, None) => Some(PreviewMethod::Projection),
            (Choice::Full, None) => Some(PreviewMethod::Full),
            (Choice::None, None) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{parse, Command, Parsed};

    fn method(line: &str) -> Result<Option<PreviewMethod>> {
        match parse(["sdgen", "generate", "x"].into_iter().chain(line.split_whitespace()))? {
            Parsed::Command(Command::Generate(args)) => {
                args.request()?;
                args.paint.output.preview.method()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn weights_and_the_way_decide() {
        let tiny = || Some(PreviewMethod::Tiny("t".into()));
        for (line, expected) in [
            ("", None),
            ("--preview", Some(PreviewMethod::Projection)),
            ("--preview=blocks --taesd t", tiny()),
            ("--preview --taesd t --preview-method taesd", tiny()),
            ("--preview --preview-method full", Some(PreviewMethod::Full)),
            ("--preview --preview-method none", None),
        ] {
            assert_eq!(method(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        for (line, word) in [
            ("--preview --preview-method taesd", "no weights"),
            ("--preview --preview-method full --taesd t", "`--taesd` has no effect"),
            ("--taesd t", "`--preview"),
            ("--preview-method full", "`--preview"),
        ] {
            let error = method(line).unwrap_err();
            assert!(error.to_string().contains(word) && error.exit_code() == 2, "{line}: {error}");
        }
    }
}
