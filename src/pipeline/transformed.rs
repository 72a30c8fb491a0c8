//! The transformers of FLUX and Stable Diffusion 3 as samplers call them.

use candle_core::Tensor;

use crate::models::flux::{FluxInput, FluxTransformer};
use crate::models::mmdit::{Mmdit, MmditInput};
use crate::pipeline::encode::Encoding;
use crate::pipeline::sees::Seen;
use crate::pipeline::Plan;
use crate::sampling::{guidance, Denoiser};
use crate::text::Conditioning;
use crate::{Error, Result};

/// FLUX with its guidance as an input, and with classifier-free guidance where it is asked for.
pub(super) struct Flux<'a> {
    pub(super) plan: &'a Plan,
    pub(super) network: &'a FluxTransformer,
    pub(super) text: &'a Encoding,
    /// What Fill, Canny and Depth are shown beside the latents.
    pub(super) seen: Option<&'a Seen>,
    /// Latents of the picture that is seen beside what is painted.
    pub(super) reference: Option<&'a Tensor>,
}

impl Denoiser for Flux<'_> {
    fn predict(&mut self, model_input: &Tensor, timestep: f64, step: usize) -> Result<Tensor> {
        let sampling = &self.plan.request.sampling;
        let guidance = self.network.config().guidance_embeds.then(|| sampling.guidance.unwrap_or_default());
        let sample = &self.seen.map_or_else(|| Ok(model_input.clone()), |seen| seen.beside(model_input))?;
        let run = |conditioning: &Conditioning| {
            let (text, pooled) = repeated(conditioning, model_input.dim(0)?)?;
            let (text, pooled, reference) = (&text, &pooled, self.reference);
            let input = FluxInput { sample, reference, timestep, text, pooled, guidance };
            Ok::<_, Error>(self.network.forward(&input)?)
        };
        let cond = run(self.text.positive.at_step(step + 1))?;
        match &self.text.negative {
            Some(negative) => {
                let uncond = run(negative.at_step(step + 1))?;
                guidance::classifier_free(&uncond, &cond, sampling.true_cfg.unwrap_or(1.0))
            }
            None => Ok(cond),
        }
    }
}

/// Stable Diffusion 3 with classifier-free guidance, and with skip-layer guidance where it is asked for.
pub(super) struct Sd3<'a> {
    pub(super) plan: &'a Plan,
    pub(super) network: &'a Mmdit,
    pub(super) text: &'a Encoding,
}

impl Denoiser for Sd3<'_> {
    fn predict(&mut self, model_input: &Tensor, timestep: f64, step: usize) -> Result<Tensor> {
        let batch = model_input.dim(0)?;
        let sampling = &self.plan.request.sampling;
        let cond = self.text.positive.at_step(step + 1);
        let Some(negative) = &self.text.negative else {
            let (text, pooled) = repeated(cond, batch)?;
            return self.run(model_input, timestep, (&text, &pooled), &[]);
        };
        let [uncond, cond] = [negative.at_step(step + 1), cond].map(|conditioning| repeated(conditioning, batch));
        let (uncond, cond) = (uncond?, cond?);
        // One batch of both, the unconditional half first, as in diffusers: weights are read once.
        let text = Tensor::cat(&[&uncond.0, &cond.0], 0)?;
        let pooled = Tensor::cat(&[&uncond.1, &cond.1], 0)?;
        let both = self.run(&Tensor::cat(&[model_input, model_input], 0)?, timestep, (&text, &pooled), &[])?;
        let (uncond, with_text) = (both.narrow(0, 0, batch)?, both.narrow(0, batch, batch)?);
        let mut guided = guidance::classifier_free(&uncond, &with_text, sampling.guidance.unwrap_or(1.0))?;
        let steps = self.plan.schedule.steps();
        if let Some(skip) = sampling.skip_layers.as_ref().filter(|skip| skip.applies(step, steps)) {
            let skipped = self.run(model_input, timestep, (&cond.0, &cond.1), &skip.layers)?;
            guided = guidance::skip_layer(&guided, &with_text, &skipped, skip.scale)?;
        }
        match sampling.guidance_rescale {
            Some(rescale) if rescale > 0.0 => guidance::rescale(&guided, &with_text, rescale),
            _ => Ok(guided),
        }
    }
}

impl Sd3<'_> {
    fn run(
        &self,
        sample: &Tensor,
        timestep: f64,
        (text, pooled): (&Tensor, &Tensor),
        skip: &[usize],
    ) -> Result<Tensor> {
        Ok(self.network.forward(&MmditInput { sample, timestep, text, pooled, skip })?)
    }
}

/// The states and the pooled vector of a text for so many samples.
fn repeated(conditioning: &Conditioning, batch: usize) -> Result<(Tensor, Tensor)> {
    let pooled = conditioning.pooled.as_ref();
    let pooled = pooled
        .ok_or_else(|| Error::model("the text encoders give no pooled vector", "take all parts from one model"))?;
    Ok((conditioning.hidden.repeat((batch, 1, 1))?, pooled.repeat((batch, 1))?))
}
