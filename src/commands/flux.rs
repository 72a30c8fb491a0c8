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
    let family = Family::detect(&files)?;
    let DenoiserConfig::Flux(config) = &family.denoiser else {
        return Err(Error::model(
            format!("`{}` is no FLUX.1 model", files.name()),
            "paint with it: `sdgen generate --model`",
        ));
    };
    // What tells them apart: dev takes its guidance as an input, and Kontext is dev with another pipeline.
    let variant = match config.guidance_embeds {
        _ if family.appends_picture => FluxVariant::Kontext,
        true => FluxVariant::Dev,
        false => FluxVariant::Schnell,
    };
    match args.variant {
        Some(asked) if asked != variant => {
            let why = match (asked, variant) {
                (FluxVariant::Schnell, _) => "its transformer takes guidance as an input",
                (_, FluxVariant::Schnell) => "its transformer takes no guidance as an input",
                (FluxVariant::Kontext, _) => {
                    "with the tensors of dev it is that, unless its pipeline or name says Kontext"
                }
                (FluxVariant::Dev, _) => "it is Kontext, as its pipeline or name says",
            };
            Err(Error::model(
                format!("`{}` is no {}: {why}", files.name(), asked.alias()),
                format!("leave out `--variant`, or give the weights of {}", asked.alias()),
            ))
        }
        _ => paint::paint(&request, &args.paint, None, ui),
    }
}
