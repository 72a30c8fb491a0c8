//! Keys and values of prompts, computed once rather than at each step.

use std::collections::VecDeque;

use candle_core::{Tensor, TensorId};

use crate::models::unet::PreparedText;
use crate::text::Conditioning;
use crate::Result;

/// Texts kept at most: those of prompts that alternate (`[a|b]`), and positive and negative apart when their lengths differ.
const KEPT: usize = 4;

/// The texts that a network was given last, as it attends to them.
#[derive(Default)]
pub(super) struct PreparedTexts {
    known: VecDeque<(Key, PreparedText)>,
}

/// Which conditionings, in the order of the batch, and how many samples each has.
#[derive(PartialEq)]
struct Key(Vec<TensorId>, usize);

impl PreparedTexts {
    /// The text of a batch in which each of `conditionings` has `each` samples, from `prepare`, the network's own.
    pub(super) fn get(
        &mut self,
        prepare: impl Fn(&Tensor) -> candle_core::Result<PreparedText>,
        conditionings: &[&Conditioning],
        each: usize,
    ) -> Result<&PreparedText> {
        let key = Key(conditionings.iter().map(|c| c.hidden.id()).collect(), each);
        let place = match self.known.iter().position(|(known, _)| *known == key) {
            Some(place) => place,
            None => {
                let hidden = conditionings.iter().map(|c| c.hidden.repeat((each, 1, 1)));
                let prepared = prepare(&Tensor::cat(&hidden.collect::<Result<Vec<_>, _>>()?, 0)?)?;
                self.known.push_front((key, prepared));
                self.known.truncate(KEPT);
                0
            }
        };
        Ok(&self.known[place].1)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::models::testing::{config, params};
    use crate::models::unet::{UNet2DConditionModel, UNetConfig, UNetInput};
    use crate::nn::Precision;

    #[test]
    fn a_text_that_comes_back_is_not_prepared_again() {
        let config = UNetConfig::from_json(&config("sd15/unet")).unwrap();
        let params = params("sd15/unet", "diffusion_pytorch_model.safetensors", Precision::F32);
        let unet = UNet2DConditionModel::new(&config, &params).unwrap();
        let text = |i: usize| {
            let hidden = Tensor::full(i as f32, (1, 3, 48), &Device::Cpu).unwrap();
            Conditioning { hidden, pooled: None }
        };
        let texts: Vec<_> = (0..6).map(text).collect();
        let sample = Tensor::ones((2, config.in_channels, 8, 8), candle_core::DType::F32, &Device::Cpu).unwrap();
        let mut prepared = PreparedTexts::default();
        let mut run = |conditionings: &[&Conditioning]| {
            let text = prepared.get(|text| unet.prepare(text), conditionings, 2 / conditionings.len()).unwrap();
            let input = UNetInput {
                sample: &sample,
                timestep: 9.0,
                text,
                added: None,
                timestep_cond: None,
                residuals: None,
                features: &[],
            };
            (unet.forward(&input).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(), prepared.known.len())
        };
        let (first, _) = run(&[&texts[0], &texts[1]]);
        let (turned, known) = run(&[&texts[1], &texts[0]]);
        assert!(known == 2 && first != turned);
        assert_eq!(run(&[&texts[0], &texts[1]]), (first.clone(), 2));
        for text in &texts {
            assert!(run(&[text]).1 <= KEPT);
        }
        assert_eq!(run(&[&texts[0], &texts[1]]).0, first);
    }
}
