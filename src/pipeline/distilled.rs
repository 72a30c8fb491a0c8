//! LoRAs that make a model paint in a few steps, and the settings that they were trained for. They are known by their names, as their
//! files do not say it otherwise.

use std::path::Path;

use crate::pipeline::PlannedLora;
use crate::request::Sampling;
use crate::sampling::Sampler;
use crate::{weights, Result};

/// Words of a file that name it.
const TITLES: [&str; 2] = ["ss_output_name", "modelspec.title"];

/// What a LoRA was trained for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// What it is called, with its article.
    kind: &'static str,
    sampler: Sampler,
    steps: usize,
    guidance: f64,
    /// Whether its timesteps are counted back from the last one.
    pub trailing: bool,
}

/// The recipe of the first LoRA that has one, and its name.
///
/// # Errors
/// When the file of a LoRA is not there or damaged.
pub fn recipe(loras: &[PlannedLora]) -> Result<Option<(&str, Recipe)>> {
    for lora in loras {
        let path = Path::new(&lora.lora.file);
        let words = weights::open_file(path)?.metadata;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let titles = TITLES.iter().filter_map(|title| words.get(*title).map(String::as_str));
        let mut names = [lora.name.as_str(), &stem].into_iter().chain(titles);
        let found = names.find_map(Recipe::by_name);
        if let Some(recipe) = found {
            return Ok(Some((&lora.name, recipe)));
        }
    }
    Ok(None)
}

impl Recipe {
    /// LCM-LoRA (Luo et al. 2023), DMD2 (Yin et al. 2024), Hyper-SD (Ren et al. 2024), SDXL-Lightning (Lin et al. 2024), and what was
    /// taken out of SDXL Turbo (Sauer et al. 2023), with the settings that their authors give.
    fn by_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let words = words(&name);
        let steps = steps(&words);
        let find = |wanted: &str| words.iter().position(|word| *word == wanted);
        let beside = |at: usize| is_beside_model(&words, at);
        let recipe = |kind, sampler, steps, trailing| Some(Recipe { kind, sampler, steps, guidance: 1.0, trailing });
        if words.iter().any(|word| word.starts_with("lcm")) {
            return recipe("an LCM-LoRA", Sampler::Lcm, steps.unwrap_or(4), false);
        }
        if find("dmd2").is_some() {
            return recipe("a DMD2 LoRA", Sampler::Lcm, steps.unwrap_or(4), false);
        }
        if find("hyper").is_some_and(beside) {
            let recipe = recipe("a Hyper-SD LoRA", Sampler::Ddim, steps.unwrap_or(8), true);
            let guidance = if find("cfg").is_some() { 5.0 } else { 1.0 };
            return recipe.map(|recipe| Recipe { guidance, ..recipe });
        }
        // Both are words of other things too.
        if find("lightning").is_some_and(|at| beside(at) || steps.is_some()) {
            return recipe("a Lightning LoRA", Sampler::Euler, steps.unwrap_or(4), true);
        }
        if find("turbo").is_some_and(beside) {
            return recipe("a Turbo LoRA", Sampler::EulerA, steps.unwrap_or(4), true);
        }
        None
    }

    /// Takes its settings where there are none yet. What was taken, in words; nothing when nothing was.
    pub fn fill_in(&self, name: &str, sampling: &mut Sampling) -> Option<String> {
        let mut taken = Vec::new();
        if sampling.scheduler.is_none() {
            sampling.scheduler = Some(self.sampler);
            taken.push(format!("scheduler {}", self.sampler.name()));
        }
        if sampling.steps.is_none() {
            sampling.steps = Some(self.steps);
            taken.push(format!("{} steps", self.steps));
        }
        if sampling.guidance.is_none() {
            sampling.guidance = Some(self.guidance);
            taken.push(format!("guidance {}", self.guidance));
        }
        if self.trailing {
            taken.push("timesteps counted from the last".into());
        }
        (!taken.is_empty()).then(|| format!("`{name}` is {}: {}", self.kind, taken.join(", ")))
    }
}

/// What a lower-case name consists of.
pub(super) fn words(name: &str) -> Vec<&str> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

/// Whether a word before or after this one is the name of a model.
pub(super) fn is_beside_model(words: &[&str], at: usize) -> bool {
    let of_model = |word: Option<&&str>| word.is_some_and(|word| word.starts_with("sd") || *word == "xl");
    of_model(words.get(at + 1)) || at > 0 && of_model(words.get(at - 1))
}

/// The number in `4step`, `8steps`, `4-step`.
fn steps(words: &[&str]) -> Option<usize> {
    let number = |at: usize| {
        let word = words[at].strip_suffix("steps").or_else(|| words[at].strip_suffix("step"))?;
        let digits = if word.is_empty() && at > 0 { words[at - 1] } else { word };
        // Of one step there is none that is made like the others.
        digits.parse().ok().filter(|steps| (2..=32).contains(steps))
    };
    (0..words.len()).find_map(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<(Sampler, usize, f64, bool)> {
        Recipe::by_name(name).map(|recipe| (recipe.sampler, recipe.steps, recipe.guidance, recipe.trailing))
    }

    #[test]
    fn published_loras_are_known_by_their_names() {
        let lcm = Some((Sampler::Lcm, 4, 1.0, false));
        for name in ["lcm-lora-sdv1-5", "LCM_LoRA_Weights_SD15", "lcm-lora-sdxl", "lcm", "dmd2_sdxl_4step_lora_fp16"] {
            assert_eq!(of(name), lcm, "{name}");
        }
        assert_eq!(of("sdxl_lightning_8step_lora"), Some((Sampler::Euler, 8, 1.0, true)));
        assert_eq!(of("SDXL-Lightning"), Some((Sampler::Euler, 4, 1.0, true)));
        assert_eq!(of("Hyper-SDXL-8steps-lora"), Some((Sampler::Ddim, 8, 1.0, true)));
        assert_eq!(of("Hyper-SD15-12steps-CFG-lora"), Some((Sampler::Ddim, 12, 5.0, true)));
        assert_eq!(of("Hyper-SD15-1step-lora"), Some((Sampler::Ddim, 8, 1.0, true)));
        assert_eq!(of("sd_xl_turbo_lora_v1"), Some((Sampler::EulerA, 4, 1.0, true)));
    }

    #[test]
    fn other_loras_are_left_alone() {
        for name in ["", "style", "lightning_mage_v2", "turbo911", "hyperdetailed", "hyper_realism", "8steps", "falcm"]
        {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_given_goes_first() {
        let recipe = Recipe::by_name("lcm-lora").unwrap();
        let mut sampling = Sampling { steps: Some(7), ..Sampling::default() };
        assert_eq!(recipe.fill_in("x", &mut sampling).unwrap(), "`x` is an LCM-LoRA: scheduler lcm, guidance 1");
        assert_eq!((sampling.steps, sampling.guidance, sampling.scheduler), (Some(7), Some(1.0), Some(Sampler::Lcm)));
        assert_eq!(recipe.fill_in("x", &mut sampling), None);
    }
}
