//! Inputs of a request that its model does not heed, in words.

use crate::pipeline::{DenoiserConfig, Family};
use crate::Request;

/// What has no effect because nothing, or something else, guides.
pub(super) fn of_guidance(request: &Request, family: &Family, guided: bool) -> Vec<String> {
    let (prompt, sampling) = (&request.prompt, &request.sampling);
    let negative = prompt.negative.as_deref().is_some_and(|n| !n.is_empty()) || prompt.negative_2.is_some();
    let rescaled = sampling.guidance_rescale.is_some_and(|r| r > 0.0);
    let flux = matches!(family.denoiser, DenoiserConfig::Flux(_));
    let mut warnings = Vec::new();
    if !guided {
        let why = if flux { "FLUX heeds it with `--true-cfg` above 1" } else { "guidance is 1 or below" };
        if negative {
            warnings.push(format!("the negative prompt has no effect: {why}"));
        }
        if sampling.true_cfg.is_some_and(|scale| scale > 1.0) && flux {
            warnings.push("true guidance has no effect: there is no negative prompt to lead away from".to_string());
        }
    }
    if rescaled && (!guided || flux) {
        let why = if flux { "FLUX is not guided that way" } else { "guidance is 1 or below" };
        warnings.push(format!("guidance rescaling has no effect: {why}"));
    }
    if flux && !family.denoiser.takes_guidance() && sampling.guidance.is_some_and(|guidance| guidance > 0.0) {
        warnings.push("the guidance has no effect: FLUX.1 schnell was distilled without".to_string());
    }
    if sampling.true_cfg.is_some_and(|scale| scale > 1.0) && !flux {
        warnings.push("true guidance has no effect: it is for FLUX".to_string());
    }
    warnings
}

/// What only models of other families heed.
pub(super) fn of_family(request: &Request, family: &Family) -> Vec<String> {
    let (prompt, image) = (&request.prompt, &request.image);
    let unet = family.denoiser.unet().is_some();
    let (sdxl, flux) = (family.two_encoders(), matches!(family.denoiser, DenoiserConfig::Flux(_)));
    let two_prompts = sdxl || !unet;
    let given = [
        (!two_prompts && prompt.text_2.is_some(), "the second prompt"),
        (!two_prompts && prompt.negative_2.is_some(), "the second negative prompt"),
        (!sdxl && image.original_size.is_some(), "the original size"),
        (!sdxl && image.crop.is_some(), "the crop"),
        (flux && prompt.clip_skip.is_some_and(|skip| skip > 1), "the clip skip"),
        (unet && prompt.max_tokens.is_some(), "the number of tokens"),
    ];
    let names: Vec<&str> = given.iter().filter(|(given, _)| *given).map(|(_, name)| *name).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let verb = if names.len() == 1 { "has" } else { "have" };
    let model = if unet { "not of the SDXL family" } else { family.name() };
    vec![format!("{} {verb} no effect: the model is {model}", names.join(" and "))]
}
