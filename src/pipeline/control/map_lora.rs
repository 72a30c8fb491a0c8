//! [`MapLora`]: a LoRA that makes FLUX.1 dev what FLUX.1 Canny or Depth is. It changes more columns of the first layer than the model has,
//! which become zeros; as diffusers' `FluxLoraLoaderMixin`.

use std::path::Path;
use std::sync::Arc;

use super::own_map::told;
use crate::nn::ParamSource;
use crate::pipeline::{DenoiserConfig, Family, PlannedLora, Sees};
use crate::weights::lora::takes_map;
use crate::weights::{self, Padded};
use crate::{Error, Result};

/// The layer that takes latents and the map.
const FIRST_LAYER: &str = "x_embedder.weight";

/// A LoRA that makes a model take a control map.
#[derive(Debug, Clone, PartialEq)]
pub struct MapLora {
    /// What messages call it.
    name: String,
    /// Its file.
    file: String,
    /// Whether nothing but its norms counts.
    is_idle: bool,
}

impl MapLora {
    /// That of a request, for a model of FLUX.1 without one.
    ///
    /// # Errors
    /// [`Error::Usage`] when there are two, [`Error::Weights`] when the file of a LoRA is damaged.
    fn among(loras: &[PlannedLora], family: &Family) -> Result<Option<Self>> {
        if !matches!(family.denoiser, DenoiserConfig::Flux(_)) {
            return Ok(None);
        }
        let mut found: Option<Self> = None;
        for PlannedLora { lora, name, .. } in loras {
            if !takes_map(weights::open_file(Path::new(&lora.file))?.source.as_ref()) {
                continue;
            }
            if let Some(first) = found {
                let message = format!("the LoRAs `{}` and `{name}` both make the model take a control map", first.name);
                return Err(Error::usage(message, "leave out one of them"));
            }
            found = Some(MapLora { name: name.clone(), file: lora.file.clone(), is_idle: lora.scale == 0.0 });
        }
        Ok(found)
    }

    /// That of a request for the model `name`, whose family becomes what the LoRA makes of it, and which is called so too. `None` also for
    /// models that take a map without it, as FLUX.1 Canny and Depth.
    ///
    /// # Errors
    /// [`Error::Model`] for models that see something else, [`Error::Usage`] for two such LoRAs; otherwise when a file is damaged.
    pub fn apply(loras: &[PlannedLora], family: &mut Family, name: &mut String) -> Result<Option<Self>> {
        let (kind, sees) = (family.name(), family.sees());
        let Some(found) = Self::among(loras, family)? else { return Ok(None) };
        if family.appends_picture || sees == Sees::MaskedPicture {
            let what = if family.appends_picture { "a picture that it edits" } else { "a mask and a masked picture" };
            return Err(Error::model(
                format!("the LoRA `{}` takes a control map, and `{name}` is {kind}, which sees {what}", found.name),
                "it is for FLUX.1 dev: `sdgen controlnet -m flux-dev --control canny=photo.png`",
            ));
        }
        match &mut family.denoiser {
            DenoiserConfig::Flux(config) if sees == Sees::Nothing => {
                let latents = config.outputs();
                (config.in_channels, config.out_channels) = (2 * latents, Some(latents));
                *name = format!("{name} with {}", found.name);
                Ok(Some(found))
            }
            _ => Ok(None),
        }
    }

    /// Refuses LoRAs of another picture of a run, for a family that was made for those with `planned`.
    ///
    /// # Errors
    /// [`Error::Usage`] when such a LoRA came or went, otherwise when a file is damaged.
    pub fn check_still(planned: Option<&Self>, loras: &[PlannedLora], family: &Family) -> Result<()> {
        let found = Self::among(loras, family)?;
        let (MapLora { name, .. }, wants) = match (planned, &found) {
            (Some(planned), None) => (planned, "no longer"),
            (None, Some(found)) if family.sees() == Sees::Nothing => (found, "not from the first picture on"),
            _ => return Ok(()),
        };
        let message = format!("the LoRA `{name}` takes a control map, and the prompt names it {wants}");
        Err(Error::usage(message, format!("name it for all pictures of the run: `--lora {name}`")))
    }

    /// Whether this file is it.
    #[must_use]
    pub fn is_file(&self, file: &str) -> bool {
        self.file == file
    }

    /// What it does, with a guess which of them it is: nothing but the name tells.
    #[must_use]
    pub fn note(&self) -> String {
        let guess = match told(&self.name) {
            Some("canny") => "FLUX.1 Canny, by its name",
            Some(_) => "FLUX.1 Depth, by its name",
            None => "FLUX.1 Canny or Depth; nothing tells which",
        };
        format!("the LoRA `{}` makes the model take a control map, as {guess}", self.name)
    }

    /// What the user should know of its scale.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.is_idle.then(|| {
            format!("at scale 0 the LoRA `{}` does not heed the map: its norms alone count, as in diffusers", self.name)
        })
    }

    /// The weights of a transformer of this config, whose first layer gets columns for the map.
    #[must_use]
    pub fn widen(source: Arc<dyn ParamSource>, denoiser: &DenoiserConfig) -> Arc<dyn ParamSource> {
        match denoiser {
            DenoiserConfig::Flux(config) => Arc::new(Padded::new(source, FIRST_LAYER, config.in_channels)),
            DenoiserConfig::Unet(_) | DenoiserConfig::Mmdit(_) => source,
        }
    }
}
