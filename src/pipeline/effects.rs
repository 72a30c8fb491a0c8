//! Inputs of a request that its model does not heed, in words.

use crate::image::input::Fill;
use crate::pipeline::{DenoiserConfig, Family};
use crate::request::{limits, Inpaint};
use crate::Request;

/// A side of a model's size, in sides of the picture's, from which on down the picture is much larger.
const MUCH_SMALLER: f64 = 0.5;

/// What has no effect because nothing, or something else, guides.
pub(super) fn of_guidance(request: &Request, family: &Family, guided: bool) -> Vec<String> {
    let (prompt, sampling) = (&request.prompt, &request.sampling);
    let negative = prompt.negative.as_deref().is_some_and(|n| !n.is_empty()) || prompt.negative_2.is_some();
    let rescaled = sampling.guidance_rescale.is_some_and(|r| r > 0.0);
    let flux = matches!(family.denoiser, DenoiserConfig::Flux(_));
    let mut warnings = Vec::new();
    let off = if family.denoiser.takes_guidance() {
        "the model takes the guidance as an input"
    } else {
        "guidance is 1 or below"
    };
    if !guided {
        let why = if flux { "FLUX heeds it with `--true-cfg` above 1" } else { off };
        if negative {
            warnings.push(format!("the negative prompt has no effect: {why}"));
        }
        if sampling.true_cfg.is_some_and(|scale| scale > 1.0) && flux {
            warnings.push("true guidance has no effect: there is no negative prompt to lead away from".to_string());
        }
    }
    if rescaled && (!guided || flux) {
        let why = if flux { "FLUX is not guided that way" } else { off };
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

/// What comes of a size that a picture brought along, where the model was made for a much smaller one.
pub(super) fn of_size((width, height): (usize, usize), made_for: (usize, usize), step: usize) -> Option<String> {
    let scale = ((made_for.0 * made_for.1) as f64 / (width * height) as f64).sqrt();
    let near = ((width as f64 * scale / step as f64).round() as usize * step).max(*limits::SIDE.start());
    (scale < MUCH_SMALLER).then(|| {
        format!(
            "{width}x{height} is the picture's size, and the model was made for {}x{}: that takes long, and things may be \
             painted twice; `--width {near}` is near to it",
            made_for.0, made_for.1
        )
    })
}

/// What was said about a mask and shows nowhere.
pub(super) fn of_mask(inpaint: Option<&Inpaint>, strength: f64) -> Vec<String> {
    let Some(inpaint) = inpaint else { return Vec::new() };
    let mut warnings = Vec::new();
    if inpaint.fill != Fill::Original && !inpaint.soft && strength >= 1.0 {
        warnings.push("the fill has no effect: at strength 1 the masked part begins with noise alone".to_string());
    }
    if inpaint.blur > 0.0 && !inpaint.soft && !inpaint.paste_back {
        let warning = "the mask blur has no effect: without `--soft-mask` it is about pasting back, and nothing is";
        warnings.push(warning.to_string());
    }
    warnings
}

/// What there is to know of a clip skip: models with two CLIP encoders read their text at the last layer but one, from where diffusers
/// counts, and ComfyUI does from the last.
pub(super) fn clip_skip_note(request: &Request, family: &Family) -> Option<String> {
    let skip = request.prompt.clip_skip.filter(|skip| *skip > 1 && family.text_encoders.len() == 2)?;
    Some(format!(
        "clip skip {skip} counts from the last layer but one, as in diffusers: 1 is what ComfyUI calls 2 with such a model"
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::family::testing::family;

    #[test]
    fn a_model_that_takes_its_guidance_is_not_said_to_have_none() {
        let mut family = family("sd15");
        let mut request = Request::default();
        request.prompt.negative = Some("blurry".into());
        request.sampling.guidance = Some(8.0);
        request.sampling.guidance_rescale = Some(0.5);
        assert!(of_guidance(&request, &family, false)
            .iter()
            .all(|warning| warning.ends_with("guidance is 1 or below")));
        match &mut family.denoiser {
            DenoiserConfig::Unet(config) => config.time_cond_proj_dim = Some(256),
            other => panic!("{other:?}"),
        }
        let warnings = of_guidance(&request, &family, false);
        assert_eq!(warnings.len(), 2);
        assert!(warnings.iter().all(|warning| warning.ends_with("takes the guidance as an input")), "{warnings:?}");
    }

    #[test]
    fn a_photo_much_larger_than_the_models_size_is_told() {
        let warning = of_size((4000, 3000), (512, 512), 8).unwrap();
        assert!(warning.contains("made for 512x512") && warning.contains("`--width 592`"), "{warning}");
        assert!(of_size((4096, 64), (512, 512), 16).is_none());
        assert!(of_size((1024, 1024), (512, 512), 8).is_none());
        assert!(of_size((1032, 1024), (512, 512), 8).is_some());
    }

    #[test]
    fn a_clip_skip_of_two_encoders_says_from_where_it_counts() {
        let note = |model: &str, skip| {
            let mut request = Request::default();
            request.prompt.clip_skip = Some(skip);
            clip_skip_note(&request, &family(model))
        };
        assert!(note("sdxl", 2).unwrap().contains("1 is what ComfyUI calls 2"));
        for (model, skip) in [("sdxl", 1), ("sd15", 2), ("flux-dev", 2)] {
            assert_eq!(note(model, skip), None, "{model} {skip}");
        }
    }
}
