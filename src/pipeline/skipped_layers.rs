//! Whether the model knows skip-layer guidance, and whether it comes to anything.

use crate::pipeline::{DenoiserConfig, Family};
use crate::{Error, Request, Result};

/// Refuses skip-layer guidance that the model or the request's guidance has no use for.
pub(super) fn check(request: &Request, family: &Family, guided: bool) -> Result<()> {
    let Some(skip) = &request.sampling.skip_layers else {
        return Ok(());
    };
    let DenoiserConfig::Mmdit(config) = &family.denoiser else {
        let message = format!("skip-layer guidance is for Stable Diffusion 3, the model is {}", family.name());
        return Err(Error::usage(message, "leave out `--skip-layers`"));
    };
    if !guided {
        let message = "skip-layer guidance needs guidance, which is off at 1 and below";
        return Err(Error::usage(message, "give `--guidance` more than 1, or leave out `--skip-layers`"));
    }
    match skip.layers.iter().find(|layer| **layer >= config.num_layers) {
        Some(layer) => {
            let message = format!("the model has no layer {layer} to skip");
            Err(Error::usage(message, format!("its layers are 0 to {}", config.num_layers.saturating_sub(1))))
        }
        None => Ok(()),
    }
}

/// A warning where no step of so many has it.
pub(super) fn without_effect(request: &Request, steps: usize) -> Option<String> {
    let skip = request.sampling.skip_layers.as_ref()?;
    let none = !(0..steps).any(|step| skip.applies(step, steps));
    let (start, stop) = (skip.start, skip.stop);
    none.then(|| {
        format!("skip-layer guidance has no effect: none of {steps} steps lies between the parts {start} and {stop} of them")
    })
}
