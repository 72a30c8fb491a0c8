//! `sdgen flux`: text to image with FLUX.1.

use clap::{Args, ValueEnum};

use super::paint::PaintArgs;
use crate::{Request, Result};

const EXAMPLES: &str = "\
Examples:
  sdgen flux \"a lighthouse in a storm\"
  sdgen flux \"a lighthouse in a storm\" --variant dev --guidance 3.5 --steps 28
  sdgen flux \"a cat\" -m ./FLUX.1-schnell --max-tokens 256
  sdgen flux \"a cat\" -m flux-dev --true-cfg 3 -n \"blurry\"";

/// Make pictures from a text with FLUX.1.
///
/// As `generate`, for FLUX.1 alone: schnell in 4 steps unless another model is given. `img2img` and `inpaint` take its models too.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, disable_help_flag = true, after_help = EXAMPLES)]
pub struct FluxArgs {
    /// Which FLUX.1 [default: schnell, or what the model is].
    ///
    /// Without `--model` it names the model (`flux-schnell`, `flux-dev`, `flux-kontext`); with one, a model that is another is refused.
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Model")]
    pub variant: Option<FluxVariant>,
    /// What all commands that make pictures know.
    #[command(flatten)]
    pub paint: PaintArgs,
}

/// The published models of FLUX.1 that paint from a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FluxVariant {
    /// Distilled to 4 steps, without guidance; Apache-2.0
    Schnell,
    /// With its guidance as an input; for non-commercial use, behind a licence to accept
    Dev,
    /// As dev, for editing pictures: `sdgen img2img -m flux-kontext`
    Kontext,
}

impl FluxVariant {
    /// The short name of its model.
    #[must_use]
    pub fn alias(self) -> &'static str {
        match self {
            FluxVariant::Schnell => "flux-schnell",
            FluxVariant::Dev => "flux-dev",
            FluxVariant::Kontext => "flux-kontext",
        }
    }
}

impl FluxArgs {
    /// Everything among the options that decides the picture.
    ///
    /// # Errors
    /// As [`PaintArgs::request`].
    pub fn request(&self) -> Result<Request> {
        let request = self.paint.request()?;
        if self.paint.model.model.is_some() || self.paint.model.unet.is_some() {
            return Ok(request);
        }
        let variant = self.variant.unwrap_or(FluxVariant::Schnell);
        Ok(Request { model: variant.alias().into(), ..request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{parse, Command, Parsed};

    fn request(line: &str) -> Request {
        match parse(["sdgen", "flux"].into_iter().chain(line.split_whitespace())).unwrap() {
            Parsed::Command(Command::Flux(args)) => args.request().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn schnell_is_painted_with_unless_another_model_is_named() {
        assert_eq!(request("x").model, "flux-schnell");
        assert_eq!(request("x --variant dev").model, "flux-dev");
        assert_eq!(request("x --variant dev --model a").model, "a");
        assert_eq!(request("x --unet a.gguf").model, "a.gguf");
    }

    #[test]
    fn its_options_reach_the_request() {
        let request = request("x --true-cfg 2.5 --max-tokens 256 --t5 t5.gguf --guidance 3 -n y");
        assert_eq!((request.sampling.true_cfg, request.sampling.guidance), (Some(2.5), Some(3.0)));
        assert_eq!((request.prompt.max_tokens, request.parts.t5.as_deref()), (Some(256), Some("t5.gguf")));
    }
}
