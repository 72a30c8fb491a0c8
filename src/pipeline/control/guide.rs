//! [`Guides`]: the ControlNets and T2I-Adapters of a run at work, and what all of them together tell the UNet at a step.

use candle_core::{DType, Device, Tensor};

use super::adapters::{self, Adapter};
use super::nets::Loaded;
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

/// The ControlNets and T2I-Adapters of a run.
pub struct Guides<'a> {
    nets: Vec<Guide<'a>>,
    adapters: Vec<Adapter<'a>>,
    calls: usize,
}

/// What they say.
#[derive(Default)]
pub struct Said {
    /// The ControlNets.
    pub residuals: Option<Residuals>,
    /// The T2I-Adapters.
    pub features: Vec<Tensor>,
}

struct Guide<'a> {
    /// What the net is shown: one picture, or several of those that are for several kinds of maps.
    shown: Vec<(&'a Control, Hint)>,
    net: &'a ControlNetModel,
    mode: ControlMode,
    prepared: PreparedTexts,
}

impl<'a> Guides<'a> {
    /// Shows the nets of a plan their pictures.
    ///
    /// # Errors
    /// When a net is not loaded, or the tensor library fails.
    pub fn new(plan: &'a Plan, nets: &'a ControlNets, device: &Device) -> Result<Self> {
        let mut guides = Guides { nets: Vec::new(), adapters: Vec::new(), calls: plan.schedule.model_calls() };
        // In diffusers the first net decides for all, and one whose residuals are means takes guess mode with it.
        let pools = plan.controls.first().and_then(|first| first.net.as_ref()).is_some_and(|net| net.config.pools());
        let controls = plan.request.controls.iter().zip(&plan.controls);
        for (control, planned) in controls.filter(|(control, _)| control.scale != 0.0) {
            let kind = planned.net.as_ref().and_then(|net| net.kind);
            let picture = to_tensor(planned, kind, device)?;
            let net = match nets.loaded(&control.model)? {
                Loaded::Net(net) => net,
                Loaded::Adapter(adapter) => {
                    guides.adapters.push(Adapter::new(control, adapter, &picture)?);
                    continue;
                }
            };
            let hint = net.look(&picture, kind)?;
            let same = |guide: &&mut Guide| kind.is_some() && guide.shown[0].0.model == control.model;
            match guides.nets.iter_mut().find(same) {
                Some(guide) => guide.shown.push((control, hint)),
                None => {
                    let mode = if pools { ControlMode::Guess } else { control.mode };
                    let prepared = PreparedTexts::default();
                    guides.nets.push(Guide { shown: vec![(control, hint)], net, mode, prepared });
                }
            }
        }
        Ok(guides)
    }

    /// The sum of what they say at model call `call` of the run.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn ask(&mut self, batch: &Batch, parts: Parts, call: usize) -> Result<Said> {
        let (mut said, calls) = (Said::default(), self.calls);
        for guide in &mut self.nets {
            let Some(residuals) = guide.say(batch, parts, (call, calls))? else { continue };
            said.residuals = Some(match said.residuals {
                Some(sum) => add(&sum, &residuals)?,
                None => residuals,
            });
        }
        for adapter in self.adapters.iter().filter(|adapter| adapter.control.works_at(call, calls)) {
            said.features = adapters::sum(said.features, adapter.say(batch.sample.dim(0)?, parts)?)?;
        }
        Ok(said)
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

/// Whether the prediction without the prompt sees the picture.
pub(super) fn sees_unprompted(mode: ControlMode) -> bool {
    !matches!(mode, ControlMode::Control | ControlMode::Guess)
}

impl Guide<'_> {
    /// What the net says at a call of so many; nothing when it does not work then, or does not say anything about such samples.
    fn say(&mut self, batch: &Batch, parts: Parts, (call, calls): (usize, usize)) -> Result<Option<Residuals>> {
        let counts: Vec<f64> =
            self.shown.iter().map(|(control, _)| f64::from(u8::from(control.works_at(call, calls)))).collect();
        if counts.iter().all(|count| *count == 0.0) {
            return Ok(None);
        }
        match parts {
            Parts::Unconditional if !sees_unprompted(self.mode) => Ok(None),
            Parts::Both if !sees_unprompted(self.mode) => {
                let Residuals { down, mid } = self.ask(&batch.last()?, &counts)?;
                let behind_zeros = |t: Tensor| Tensor::cat(&[&t.zeros_like()?, &t], 0);
                let down = down.into_iter().map(behind_zeros).collect::<candle_core::Result<_>>()?;
                Ok(Some(Residuals { down, mid: behind_zeros(mid)? }))
            }
            _ => Ok(Some(self.ask(batch, &counts)?)),
        }
    }

    /// `counts` is 0 for pictures that are not looked at now, and 1 for the others.
    fn ask(&mut self, batch: &Batch, counts: &[f64]) -> Result<Residuals> {
        let net = self.net;
        // As in diffusers: one picture's scale is that of what the net says, those of several are the pictures' own.
        let (scale, alone) = match self.shown.as_slice() {
            [(control, _)] => (control.scale, true),
            _ => (1.0, false),
        };
        let own = |control: &Control, now: f64| if alone { 1.0 } else { control.scale * now };
        let shown = self.shown.iter().zip(counts);
        let hints: Vec<(&Hint, f64)> = shown.map(|((control, hint), now)| (hint, own(control, *now))).collect();
        let scales = scales(self.mode, scale, net.residuals(), net.config().pools());
        let text = self.prepared.get(|text| net.prepare(text), &batch.conditionings, batch.each()?)?;
        let input = batch.input(text, None);
        // A UNet made for inpainting takes more than the latents.
        let latents = batch.sample.narrow(1, 0, net.config().encoder.in_channels)?.contiguous()?;
        Ok(net.forward(&UNetInput { sample: &latents, ..input }, &hints, &scales)?)
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

/// A control picture as its net is shown it, `[1, 3, height, width]` f32 in 0..1; where it is masked -1, and black for nets that are
/// for several kinds of maps.
fn to_tensor(control: &PlannedControl, kind: Option<usize>, device: &Device) -> Result<Tensor> {
    let (width, height) = control.picture.dimensions();
    let values: Vec<f32> = control.picture.as_raw().iter().map(|value| f32::from(*value) / 255.0).collect();
    let picture = Tensor::from_vec(values, (height as usize, width as usize, 3), device)?.permute((2, 0, 1))?;
    let picture = picture.unsqueeze(0)?.contiguous()?;
    let Some(mask) = &control.mask else { return Ok(picture) };
    let masked = inpaint::to_tensor(mask, device)?.ge(0.5)?.to_dtype(DType::F32)?;
    let visible = picture.broadcast_mul(&masked.affine(-1.0, 1.0)?)?;
    Ok(if kind.is_some() { visible } else { visible.broadcast_sub(&masked)? })
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
