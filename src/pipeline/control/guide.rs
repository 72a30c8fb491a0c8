//! [`Guides`]: the ControlNets of a run at work, and what all of them together tell the UNet at a step.

use candle_core::{DType, Device, Tensor};

use super::plan::PlannedControl;
use crate::models::controlnet::{ControlNetModel, Hint};
use crate::models::unet::{Residuals, UNetInput};
use crate::pipeline::batch::Batch;
use crate::pipeline::control::ControlNets;
use crate::pipeline::inpaint;
use crate::pipeline::prepared::PreparedTexts;
use crate::pipeline::Plan;
use crate::request::{Control, ControlMode};
use crate::Result;

/// How much less each coarser layer counts (`sd-webui-controlnet`, and `cldm.py` of the original code).
const DECAY: f64 = 0.825;
/// The layer that counts fully: the middle of a UNet with four levels. SDXL has fewer layers, and all of them count less.
const LAST_LAYER: i32 = 12;

/// The ControlNets of a run.
pub struct Guides<'a> {
    guides: Vec<Guide<'a>>,
    calls: usize,
}

struct Guide<'a> {
    control: &'a Control,
    net: &'a ControlNetModel,
    hint: Hint,
    /// Factors of its residuals.
    scales: Vec<f64>,
    /// Whether the prediction without the prompt sees it.
    unconditional: bool,
    prepared: PreparedTexts,
}

impl<'a> Guides<'a> {
    /// Shows the nets of a plan their pictures.
    ///
    /// # Errors
    /// When a net is not loaded, or the tensor library fails.
    pub fn new(plan: &'a Plan, nets: &'a ControlNets, device: &Device) -> Result<Self> {
        let controls = || plan.request.controls.iter().zip(&plan.controls);
        // In diffusers the first net decides for all, and one whose residuals are means takes guess mode with it.
        let pools = plan.controls.first().is_some_and(|first| first.config.pools());
        let guide = |(control, planned): (&'a Control, &'a PlannedControl)| {
            let net = nets.loaded(&control.model)?;
            let mode = if pools { ControlMode::Guess } else { control.mode };
            Ok(Guide {
                control,
                net,
                hint: net.look(&to_tensor(planned, device)?)?,
                scales: scales(mode, control.scale, net.residuals(), planned.config.pools()),
                unconditional: !matches!(mode, ControlMode::Control | ControlMode::Guess),
                prepared: PreparedTexts::default(),
            })
        };
        Ok(Guides { guides: controls().map(guide).collect::<Result<_>>()?, calls: plan.schedule.model_calls() })
    }

    /// The sum of what the nets say at model call `call` of the run; nothing when none of them works then. `guided` tells whether the
    /// batch holds samples without the prompt before those with it.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn residuals(&mut self, batch: &Batch, parts: Parts, call: usize) -> Result<Option<Residuals>> {
        let mut sum: Option<Residuals> = None;
        let calls = self.calls;
        for guide in self.guides.iter_mut().filter(|guide| guide.control.works_at(call, calls)) {
            let Some(said) = guide.say(batch, parts)? else { continue };
            sum = Some(match sum {
                Some(sum) => add(&sum, &said)?,
                None => said,
            });
        }
        Ok(sum)
    }
}

/// What a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Samples with the prompt.
    Conditional,
    /// Samples with the negative prompt.
    Unconditional,
    /// First those with the negative prompt, then those with the prompt.
    Both,
}

impl Guide<'_> {
    fn say(&mut self, batch: &Batch, parts: Parts) -> Result<Option<Residuals>> {
        match parts {
            Parts::Unconditional if !self.unconditional => Ok(None),
            Parts::Both if !self.unconditional => {
                let Residuals { down, mid } = self.ask(&batch.last()?)?;
                let behind_zeros = |t: Tensor| Tensor::cat(&[&t.zeros_like()?, &t], 0);
                let down = down.into_iter().map(behind_zeros).collect::<candle_core::Result<_>>()?;
                Ok(Some(Residuals { down, mid: behind_zeros(mid)? }))
            }
            _ => Ok(Some(self.ask(batch)?)),
        }
    }

    fn ask(&mut self, batch: &Batch) -> Result<Residuals> {
        let net = self.net;
        let text = self.prepared.get(|text| net.prepare(text), &batch.conditionings, batch.each()?)?;
        let input = batch.input(text, None);
        // A UNet made for inpainting takes more than the latents.
        let latents = batch.sample.narrow(1, 0, net.config().encoder.in_channels)?.contiguous()?;
        Ok(net.forward(&UNetInput { sample: &latents, ..input }, &self.hint, &self.scales)?)
    }
}

/// Factors of the residuals, the middle's last.
fn scales(mode: ControlMode, scale: f64, count: usize, pools: bool) -> Vec<f64> {
    let last = count.saturating_sub(1).max(1) as f64;
    let factor = |layer: usize| match mode {
        ControlMode::Guess if !pools => 10f64.powf(layer as f64 / last - 1.0),
        ControlMode::Balanced | ControlMode::Guess => 1.0,
        ControlMode::Prompt | ControlMode::Control => DECAY.powi(LAST_LAYER - layer as i32),
    };
    (0..count).map(|layer| scale * factor(layer)).collect()
}

fn add(a: &Residuals, b: &Residuals) -> Result<Residuals> {
    let down = a.down.iter().zip(&b.down).map(|(a, b)| a.broadcast_add(b));
    Ok(Residuals { down: down.collect::<candle_core::Result<_>>()?, mid: a.mid.broadcast_add(&b.mid)? })
}

/// A control picture as its net is shown it, `[1, 3, height, width]` f32 in 0..1, and -1 where it is masked.
fn to_tensor(control: &PlannedControl, device: &Device) -> Result<Tensor> {
    let (width, height) = control.picture.dimensions();
    let values: Vec<f32> = control.picture.as_raw().iter().map(|value| f32::from(*value) / 255.0).collect();
    let picture = Tensor::from_vec(values, (height as usize, width as usize, 3), device)?.permute((2, 0, 1))?;
    let picture = picture.unsqueeze(0)?.contiguous()?;
    let Some(mask) = &control.mask else { return Ok(picture) };
    let masked = inpaint::to_tensor(mask, device)?.ge(0.5)?.to_dtype(DType::F32)?;
    let visible = picture.broadcast_mul(&masked.affine(-1.0, 1.0)?)?;
    Ok(visible.broadcast_sub(&masked)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_count_as_the_mode_says() {
        let of = |mode, pools| scales(mode, 0.5, 13, pools);
        assert_eq!(of(ControlMode::Balanced, false), [0.5; 13]);
        let guess = of(ControlMode::Guess, false);
        assert!((guess[0] - 0.05).abs() < 1e-12 && (guess[6] - 0.5 * 0.1f64.sqrt()).abs() < 1e-12 && guess[12] == 0.5);
        assert_eq!(of(ControlMode::Guess, true), [0.5; 13]);
        let prompt = of(ControlMode::Prompt, false);
        assert!(prompt[12] == 0.5 && (prompt[0] - 0.5 * 0.099_42).abs() < 1e-5, "{prompt:?}");
        assert_eq!(prompt, of(ControlMode::Control, false));
        assert_eq!(scales(ControlMode::Prompt, 0.5, 10, false), prompt[..10]);
    }
}
