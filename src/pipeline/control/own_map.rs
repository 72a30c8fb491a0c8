//! Models that are shown a control map themselves, as latents beside those that they denoise: FLUX.1 Canny and Depth.

use image::RgbImage;

use super::kinds;
use super::map::Place;
use super::plan::PlannedControl;
use crate::pipeline::{Defaults, Family, Sees};
use crate::request::{Control, ControlMode, Request};
use crate::{Error, Result};

/// Kinds of maps that such models are published for; their files do not tell which, and their names do.
const PUBLISHED: [&str; 2] = ["canny", "depth"];

/// The kind of map that is shown, in one spelling.
fn kind(control: &Control) -> String {
    control.model.trim().to_lowercase().replace('_', "-")
}

/// What is taken for a model where the request says nothing; `defaults` is what its configs suggest, which is that of FLUX.1 Canny. Depth
/// has others in its publishers' example.
#[must_use]
pub fn defaults(request: &Request, family: &Family, defaults: Defaults) -> Defaults {
    match request.controls.first() {
        Some(control)
            if family.sees() == Sees::Map && family.denoiser.takes_guidance() && kind(control).starts_with("depth") =>
        {
            Defaults { steps: 30, guidance: 10.0, ..defaults }
        }
        _ => defaults,
    }
}

/// Makes the map that the model `name` is shown. What makes it is filled in. Returns also what the user should know.
///
/// # Errors
/// [`Error::Usage`] when there are several, or what is named is no kind of map; otherwise when the map cannot be made.
pub fn plan(
    controls: &mut [Control],
    pictures: &[RgbImage],
    place: Place<'_>,
    name: &str,
) -> Result<(Vec<PlannedControl>, Vec<String>)> {
    let ([control], [picture]) = (controls, pictures) else {
        let message = format!("`{name}` is shown one control map, and there are {}", pictures.len());
        return Err(Error::usage(message, "leave out all but one `--control`"));
    };
    let kind = kind(control);
    check(control, &kind, name)?;
    let mut notes = Vec::new();
    if let Some(told) = told(name).filter(|told| !kind.starts_with(told)) {
        notes.push(format!("the name of `{name}` says {told}, and it is shown a map of the kind {kind}"));
    }
    let picture = place.map(control, Some(&kind), picture, &mut notes)?;
    Ok((vec![PlannedControl { net: None, picture, mask: None }], notes))
}

/// Refuses ControlNets, and kinds that nothing here knows.
fn check(control: &Control, kind: &str, name: &str) -> Result<()> {
    let form = "say the kind alone: `--control canny=photo.png` or `--control depth=photo.png`";
    if let Some(other) = &control.kind {
        let message =
            format!("`{}#{other}` is a ControlNet and a kind, and `{name}` is shown the map itself", control.model);
        return Err(Error::usage(message, form));
    }
    kinds::check(kind).map_err(|e| {
        let hint = e.hint().filter(|hint| hint.starts_with("did you mean")).unwrap_or_else(|| form.into());
        let message = format!(
            "`{}` is no kind of map, and `{name}` is shown the map itself: it takes no ControlNet",
            control.model
        );
        Error::usage(message, hint)
    })
}

/// The kind that the name of a model or a LoRA says, if it says one.
#[must_use]
pub fn told(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    PUBLISHED.into_iter().find(|kind| name.contains(kind))
}

/// What of a control has no effect on a model that is shown the map itself, as a warning.
#[must_use]
pub fn without_effect(control: &Control) -> Option<String> {
    let given = [
        (control.scale != 1.0, "the scale"),
        (control.start > 0.0, "the start"),
        (control.end < 1.0, "the end"),
        (control.mode != ControlMode::Balanced, "the control mode"),
    ];
    let names: Vec<&str> = given.iter().filter(|(given, _)| *given).map(|(_, name)| *name).collect();
    let verb = if names.len() == 1 { "has" } else { "have" };
    let of = &control.model;
    (!names.is_empty()).then(|| {
        format!("{} of `{of}` {verb} no effect: the model itself is shown the map, at each step", names.join(" and "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::family::testing::family;
    use crate::pipeline::DenoiserConfig;
    use crate::request::Preprocessing;

    fn control(model: &str) -> Control {
        Control { model: model.into(), preprocessor: Preprocessing::None, ..Control::default() }
    }

    fn planned(controls: &mut [Control], name: &str) -> Result<(Vec<PlannedControl>, Vec<String>)> {
        let pictures = vec![RgbImage::new(32, 32); controls.len()];
        plan(controls, &pictures, Place { size: (48, 16), canvas: None }, name)
    }

    #[test]
    fn one_map_of_a_kind_is_shown() {
        let (planned_maps, notes) = planned(&mut [control("Canny")], "FLUX.1-Canny-dev").unwrap();
        assert!(planned_maps[0].net.is_none() && planned_maps[0].picture.dimensions() == (48, 16) && notes.is_empty());
        let (_, notes) = planned(&mut [control("depth")], "flux1-canny-dev").unwrap();
        assert!(notes[0].contains("says canny"), "{notes:?}");
        let refused = |controls: &mut [Control]| {
            let error = planned(controls, "x").unwrap_err();
            assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
            format!("{error} {}", error.hint().unwrap())
        };
        assert!(refused(&mut [control("canny"), control("depth")]).contains("one control map, and there are 2"));
        assert!(refused(&mut [control("./net")]).contains("no ControlNet say the kind alone"));
        assert!(refused(&mut [control("cany")]).contains("did you mean `canny`?"));
        let both = Control { kind: Some("depth".into()), ..control("union") };
        assert!(refused(&mut [both]).contains("`union#depth`"));
    }

    #[test]
    fn what_has_no_effect_is_told() {
        assert_eq!(without_effect(&control("canny")), None);
        let given = Control { scale: 0.0, end: 0.5, ..control("canny") };
        assert!(without_effect(&given).unwrap().starts_with("the scale and the end of `canny` have no effect"));
        let mode = Control { mode: ControlMode::Guess, ..control("canny") };
        assert!(without_effect(&mode).unwrap().starts_with("the control mode of `canny` has no effect"));
    }

    #[test]
    fn defaults_are_those_of_the_kind() {
        let mut family = family("flux-dev");
        let of = |family: &Family, model: &str| {
            let request = Request { controls: vec![control(model)], ..Request::default() };
            let Defaults { steps, guidance, .. } = defaults(&request, family, family.defaults(false));
            (steps, guidance)
        };
        assert_eq!(of(&family, "depth"), (28, 3.5));
        match &mut family.denoiser {
            DenoiserConfig::Flux(config) => (config.in_channels, config.out_channels) = (128, Some(64)),
            other => panic!("{other:?}"),
        }
        assert_eq!((of(&family, "canny"), of(&family, "depth")), ((50, 30.0), (30, 10.0)));
    }
}
