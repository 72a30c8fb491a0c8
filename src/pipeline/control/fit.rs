//! Whether a ControlNet belongs to a model: it must give what the model's UNet adds, and understand the same text.

use crate::hub::ControlFiles;
use crate::models::controlnet::ControlNetConfig;
use crate::models::unet::UNetConfig;
use crate::pipeline::Family;
use crate::weights::detect;
use crate::{Error, Result};

/// The family of a network with this config: SDXL has pooled text, the second version linear layers where the first has convolutions.
pub fn family_of(config: &UNetConfig) -> detect::Family {
    match () {
        () if config.addition_embed_type.is_some() => detect::Family::Sdxl,
        () if config.use_linear_projection => detect::Family::Sd2,
        () => detect::Family::Sd1,
    }
}

/// The UNet of a model, which ControlNets are for.
///
/// # Errors
/// [`Error::Model`] when its denoiser is a transformer.
pub fn unet_of(family: &Family) -> Result<&UNetConfig> {
    family.denoiser.unet().ok_or_else(|| {
        let message = format!("ControlNets for {} are not supported yet", family.denoiser.family_name());
        Error::model(message, "leave out `--control`, or take a model of Stable Diffusion 1.x, 2.x or SDXL")
    })
}

/// Refuses a ControlNet of another family or size than the model `name`.
///
/// # Errors
/// [`Error::Model`] that names the family of each.
pub fn check(files: &ControlFiles, config: &ControlNetConfig, family: &Family, name: &str) -> Result<()> {
    let Some(misfit) = misfit(config, family)? else { return Ok(()) };
    let (own, model) = (family_of(&config.encoder), family_of(unet_of(family)?));
    if own != model {
        return Err(of_another_family(files, own, (name, model), Some(misfit)));
    }
    let message =
        format!("the ControlNet `{}` does not fit `{name}`, though both look like {model}: {misfit}", files.label());
    Err(Error::model(message, "take one that was trained for this model, or for one of its size"))
}

/// A ControlNet for models of the family `own` does not go with a model of another.
pub fn of_another_family(
    files: &ControlFiles,
    own: detect::Family,
    (name, model): (&str, detect::Family),
    misfit: Option<String>,
) -> Error {
    let misfit = misfit.map(|misfit| format!(": {misfit}")).unwrap_or_default();
    Error::model(
        format!("the ControlNet `{}` is for {own}, and `{name}` is {model}{misfit}", files.label()),
        format!("take a ControlNet for {model}, or a model of the family {own}"),
    )
}

/// What does not fit.
fn misfit(config: &ControlNetConfig, family: &Family) -> Result<Option<String>> {
    let (own, unet) = (&config.encoder, unet_of(family)?);
    let (own_plan, plan) = (own.encoder_plan("ControlNet")?, unet.encoder_plan("UNet")?);
    let (given, taken) = (own_plan.skips(own.block_out_channels[0]), plan.skips(unet.block_out_channels[0]));
    let widths = |config: &UNetConfig| config.cross_attention_dim.expand(config.block_out_channels.len());
    let attends = own_plan.down.iter().chain(&own_plan.mid).any(|block| block.attention.is_some());
    let pooled =
        |config: &UNetConfig| (config.addition_embed_type.clone(), config.projection_class_embeddings_input_dim);
    Ok(match () {
        () if given.len() != taken.len() => {
            Some(format!("it gives {} residuals, the UNet takes {}", given.len() + 1, taken.len() + 1))
        }
        () if given != taken => Some(format!("its residuals have {given:?} channels, the UNet takes {taken:?}")),
        () if attends && widths(own) != widths(unet) => {
            let width = |config| widths(config).and_then(|widths| widths.first().copied()).unwrap_or(0);
            Some(format!("it takes text vectors of {}, the UNet of {}", width(own), width(unet)))
        }
        () if pooled(own) != pooled(unet) => Some("it takes other pooled text than the UNet".into()),
        () if own.in_channels != family.vae.latent_channels => Some(format!("it takes {} channels", own.in_channels)),
        () if config.scale_factor() != family.vae_scale_factor() => Some(format!(
            "it makes pictures {} times smaller, the VAE {}",
            config.scale_factor(),
            family.vae_scale_factor()
        )),
        () => None,
    })
}
