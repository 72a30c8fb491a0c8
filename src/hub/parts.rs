//! The parts that a model consists of, and where those come from that a single file lacks.

use super::bare::Bare;
use super::registry;
use crate::weights::detect::Family;
use crate::{Error, Result};

/// A part of a model.
pub(super) struct Needed {
    /// What diffusers calls it.
    pub component: &'static str,
    /// The option that brings it.
    option: &'static str,
}

/// The parts without which models of a family do not work.
pub(super) fn needed(family: Family, without_t5: bool) -> Vec<Needed> {
    let part = |component, option| Needed { component, option };
    let transformer = matches!(family, Family::Flux | Family::Sd3);
    let denoiser = if transformer { "transformer" } else { "unet" };
    let mut parts = vec![part(denoiser, "--unet"), part("vae", "--vae"), part("text_encoder", "--clip-l")];
    match family {
        Family::Sdxl => parts.push(part("text_encoder_2", "--clip-g")),
        Family::Flux => parts.push(part("text_encoder_2", "--t5")),
        Family::Sd3 => {
            parts.push(part("text_encoder_2", "--clip-g"));
            if !without_t5 {
                parts.push(part("text_encoder_3", "--t5"));
            }
        }
        _ => {}
    }
    parts
}

/// Refuses a single file without these parts.
pub(super) fn check(file: &Bare, family: Family, missing: &[Needed]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let options: Vec<String> = missing.iter().map(|part| format!("{} FILE", part.option)).collect();
    let mut hint = format!(
        "give the rest with `{}`, or take it from another model: `--model MODEL --unet {}`",
        options.join(" "),
        file.label()
    );
    let without = match missing {
        [one] if one.option == "--t5" => "T5, its large text encoder".into(),
        _ => missing.iter().map(|part| part.option.trim_start_matches("--")).collect::<Vec<_>>().join(", "),
    };
    if missing.iter().any(|part| part.option == "--t5") {
        if let Some(place) = registry::place_of_part("t5") {
            hint = format!("{hint}; `sdgen download {place}` fetches T5, which `--t5 {place}` then takes");
        }
        if family == Family::Sd3 {
            hint.push_str("; `--no-t5` does without it");
        }
    }
    Err(Error::model(format!("`{}` is not a whole model: {}; it lacks {without}", file.label(), file.detected), hint))
}
