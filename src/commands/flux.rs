//! `sdgen flux`: as `generate`, after a look whether the model is a FLUX.1, and the one that is meant.

use super::paint;
use crate::cli::flux::{FluxArgs, FluxVariant};
use crate::hub;
use crate::pipeline::{DenoiserConfig, Family};
use crate::ui::Ui;
use crate::{Error, Result};

/// Makes pictures with FLUX.1.
///
/// # Errors
/// [`Error::Model`] when the model is no FLUX.1, or the other one; otherwise as [`paint::paint`].
pub fn flux(args: &FluxArgs, ui: &mut Ui) -> Result<()> {
    let request = args.request()?;
    let files = hub::resolve(&request.model, &request.parts)?;
    let DenoiserConfig::Flux(config) = Family::detect(&files)?.denoiser else {
        return Err(Error::model(
            format!("`{}` is no FLUX.1 model", files.name()),
            "paint with it: `sdgen generate --model`",
        ));
    };
    // What tells them apart: dev takes its guidance as an input.
    let variant = if config.guidance_embeds { FluxVariant::Dev } else { FluxVariant::Schnell };
    match args.variant {
        Some(asked) if asked != variant => {
            let takes = if config.guidance_embeds { "takes" } else { "takes no" };
            Err(Error::model(
                format!("`{}` is no {}: its transformer {takes} guidance as an input", files.name(), asked.alias()),
                format!("leave out `--variant`, or give the weights of {}", asked.alias()),
            ))
        }
        _ => paint::paint(&request, &args.paint, None, ui),
    }
}
