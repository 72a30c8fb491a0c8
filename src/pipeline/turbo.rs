//! Turbo models that nothing but their names tells: SD 3.5 large turbo has the tensors and the configs of large, and a file of a UNet
//! brings no scheduler, which would say it.

use std::fmt;
use std::path::Path;

use crate::hub::registry::{self, Defaults, Entry};
use crate::hub::ModelFiles;
use crate::pipeline::distilled::{is_beside_model, words};
use crate::pipeline::{DenoiserConfig, Family};
use crate::request::Parts;
use crate::weights::lora::Family as Published;

/// The published model that a model is taken for.
#[derive(Debug)]
pub(super) struct Guessed {
    /// The model's name.
    name: String,
    /// What people call the published one.
    title: &'static str,
    defaults: Defaults,
}

impl Guessed {
    /// A guess by the name of the model, or of what its denoiser is taken from; nothing where its configs tell.
    pub(super) fn by_name(files: &ModelFiles, parts: &Parts, family: &Family) -> Option<Self> {
        let stem = |path: &String| Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = parts.unet.as_ref().map_or_else(|| Some(files.name()), stem)?;
        let is_told = !files.is_bare() && parts.unet.is_none() || family.is_turbo();
        let alias = alias(&name, family, is_told)?;
        let Entry { title, default, .. } = registry::by_alias(alias)?;
        // A transformer's own config knows its size.
        let size = default.size.filter(|_| family.denoiser.unet().is_some());
        Some(Guessed { name, title, defaults: Defaults { size, ..default.clone() } })
    }

    /// What is taken where the request says nothing.
    pub(super) fn defaults(&self) -> &Defaults {
        &self.defaults
    }
}

/// Gives the family of a UNet the scheduler that turbo models of it were published with.
pub(super) fn correct(family: &mut Family) {
    if family.denoiser.unet().is_none() {
        return;
    }
    let class = if family.two_encoders() { "EulerAncestralDiscreteScheduler" } else { "EulerDiscreteScheduler" };
    family.scheduler = family.scheduler.clone().with_class(class).with_trailing_timesteps();
}

/// For people.
impl fmt::Display for Guessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Defaults { steps, guidance, size, .. } = &self.defaults;
        write!(f, "`{}` is taken for {}, by its name: the defaults are", self.name, self.title)?;
        let steps = steps.map(|steps| format!(" {steps} steps"));
        let guidance = guidance.map(|guidance| format!(" guidance {guidance}"));
        let size = size.map(|size| format!(" {size} pixels"));
        f.write_str(&[steps, guidance, size].into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

/// The short name of the turbo model of this family that has such a name.
fn alias(name: &str, family: &Family, is_told: bool) -> Option<&'static str> {
    let name = name.to_lowercase();
    let words = words(&name);
    let at = words.iter().position(|word| *word == "turbo")?;
    // In names of others it is a word like any other.
    let is_published = || !is_told && is_beside_model(&words, at);
    match (&family.denoiser, family.published()) {
        (DenoiserConfig::Mmdit(config), Published::Sd35) if config.dual_attention_layers.is_empty() => {
            Some("sd35-large-turbo")
        }
        (DenoiserConfig::Unet(_), Published::Sdxl) if is_published() => Some("sdxl-turbo"),
        (DenoiserConfig::Unet(_), Published::Sd2) if is_published() => Some("sd-turbo"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{random, Published};
    use crate::sampling::Sampler;

    fn of(published: Published) -> Family {
        Family::detect(&random(published)).unwrap()
    }

    #[test]
    fn turbo_models_are_known_by_their_names() {
        let [sd21, xl, medium, large] =
            [Published::Sd21, Published::Sdxl, Published::Sd35Medium, Published::Sd35Large].map(of);
        for (name, family, expected) in [
            ("sd3.5_large_turbo", &large, Some("sd35-large-turbo")),
            ("stable-diffusion-3.5-large-turbo-Q4_0", &large, Some("sd35-large-turbo")),
            ("sd3.5_large", &large, None),
            ("sd3.5_medium_turbo", &medium, None),
            ("sd_xl_turbo_1.0_fp16", &xl, Some("sdxl-turbo")),
            ("sd_xl_base_1.0", &xl, None),
            ("turbovisionXL", &xl, None),
            ("dreamshaper_turbo_v2", &xl, None),
            ("sd_turbo", &sd21, Some("sd-turbo")),
        ] {
            assert_eq!(alias(name, family, false), expected, "{name}");
        }
        assert_eq!(alias("sd_xl_turbo", &xl, true), None);
    }

    #[test]
    fn a_file_of_a_turbo_model_gets_its_scheduler() {
        let mut family = of(Published::Sdxl);
        assert!(!family.is_turbo());
        correct(&mut family);
        assert!(family.is_turbo() && family.scheduler.sampler() == Ok(Sampler::EulerA));
    }
}
