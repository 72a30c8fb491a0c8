//! Whether a ControlNet or T2I-Adapter belongs to a model: it must give what the model's UNet adds, and understand the same text.

use super::config::ControlConfig;
use crate::hub::ControlFiles;
use crate::models::controlnet::ControlNetConfig;
use crate::models::t2i_adapter::{AdapterType, T2iAdapterConfig};
use crate::models::unet::UNetConfig;
use crate::pipeline::{DenoiserConfig, Family};
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
        let message = format!("ControlNets for {} are not supported yet", family.name());
        let hint = match family.denoiser {
            DenoiserConfig::Flux(_) => {
                "leave out `--control`, or take FLUX.1 Canny or Depth, which take a map themselves (`-m flux-canny`), or FLUX.1 dev with \
                 one of their LoRAs (`--lora`), or a model of Stable Diffusion 1.x, 2.x or SDXL"
            }
            _ => "leave out `--control`, or take a model of Stable Diffusion 1.x, 2.x or SDXL",
        };
        Error::model(message, hint)
    })
}

/// Refuses one of another family or size than the model `name`, and one that cannot look at pictures of `size`.
///
/// # Errors
/// [`Error::Model`] that names the family of each, [`Error::Usage`] for a size.
pub fn check(
    (files, config): (&ControlFiles, &ControlConfig),
    (family, name): (&Family, &str),
    size: (u32, u32),
) -> Result<()> {
    let model = family_of(unet_of(family)?);
    let (own, misfit) = match config {
        ControlConfig::Net(config) => (family_of(&config.encoder), misfit(config, family)?),
        ControlConfig::Adapter(config) => {
            // Those of the first version fit the second one, and nothing tells them apart.
            let xl = config.adapter_type == AdapterType::FullAdapterXl;
            let own = match model {
                detect::Family::Sdxl if !xl => detect::Family::Sd1,
                _ if xl => detect::Family::Sdxl,
                model => model,
            };
            (own, adapter_misfit(config, family)?)
        }
    };
    let what = config.what();
    match misfit {
        Some(misfit) if own != model => Err(of_another_family(files, what, own, (name, model), Some(misfit))),
        Some(misfit) => Err(Error::model(
            format!("the {what} `{}` does not fit `{name}`, though both look like {model}: {misfit}", files.label()),
            "take one that was trained for this model, or for one of its size",
        )),
        None => check_size(files, config, size),
    }
}

/// An adapter takes squares of pixels apart.
fn check_size(files: &ControlFiles, config: &ControlConfig, (width, height): (u32, u32)) -> Result<()> {
    let ControlConfig::Adapter(T2iAdapterConfig { downscale_factor, .. }) = config else { return Ok(()) };
    let step = *downscale_factor as u32;
    if width.is_multiple_of(step) && height.is_multiple_of(step) {
        return Ok(());
    }
    let near = |side: u32| (side / step).max(1) * step;
    Err(Error::usage(
        format!("the T2I-Adapter `{}` takes sizes that are multiples of {step}, not {width}x{height}", files.label()),
        format!("add `--width {} --height {}`", near(width), near(height)),
    ))
}

/// A ControlNet or T2I-Adapter, which `what` says, for models of the family `own` does not go with a model of another.
pub fn of_another_family(
    files: &ControlFiles,
    what: &str,
    own: detect::Family,
    (name, model): (&str, detect::Family),
    misfit: Option<String>,
) -> Error {
    let misfit = misfit.map(|misfit| format!(": {misfit}")).unwrap_or_default();
    Error::model(
        format!("the {what} `{}` is for {own}, and `{name}` is {model}{misfit}", files.label()),
        format!("take a {what} for {model}, or a model of the family {own}"),
    )
}

/// What of an adapter does not fit.
fn adapter_misfit(config: &T2iAdapterConfig, family: &Family) -> Result<Option<String>> {
    let plan = unet_of(family)?.encoder_plan("UNet")?;
    let (mut pixels, mut taken) = (family.vae_scale_factor(), Vec::new());
    for block in &plan.down {
        // Where blocks have attention, what is added is so before the size is halved.
        let halved = pixels * if block.resample { 2 } else { 1 };
        taken.push((block.outputs, if block.attention.is_some() { pixels } else { halved }));
        pixels = halved;
    }
    taken.extend(plan.mid.map(|mid| (mid.outputs, pixels)));
    let given = config.results();
    if given.len() <= taken.len() && taken.starts_with(&given) {
        return Ok(None);
    }
    let list = |results: &[(usize, usize)]| {
        let results: Vec<String> =
            results.iter().map(|(channels, pixels)| format!("{channels} at 1/{pixels}")).collect();
        results.join(", ")
    };
    Ok(Some(format!("it gives channels {}, the UNet takes {}", list(&given), list(&taken))))
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
