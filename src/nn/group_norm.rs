//! Group normalisation, statistics in f32 or better; of a whole picture, or of one in strips with the [`GroupMoments`] of all of it.

use candle_core::{DType, Result, Tensor, D};

use super::cpu::{self, floats};
use super::norm::{normalise, on_cpu, Input};
use super::profile::{timed, LayerKind};
use super::{Activation, Params};
use crate::kernels::norm::{self, Moments};

/// Normalisation over groups of channels and the whole picture (Wu and He 2018).
#[derive(Debug, Clone)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// `weight` and `bias`, both [channels].
    ///
    /// # Errors
    /// When the channels cannot be divided into that many groups.
    pub fn new(groups: usize, channels: usize, eps: f64, params: &Params) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            candle_core::bail!("{channels} channels cannot be divided into {groups} groups");
        }
        Ok(GroupNorm { weight: params.get(channels, "weight")?, bias: params.get(channels, "bias")?, groups, eps })
    }

    /// `x` [b, channels, h, w].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        timed(LayerKind::Norm, 0, || self.normalise(x, None))
    }

    /// `activation` of the normalised `x` [b, channels, h, w].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        timed(LayerKind::Norm, 0, || self.normalise(x, Some(activation)))
    }

    /// As [`GroupNorm::forward_activated`], but on the CPU in the memory of `x`, which no other tensor may be using.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward_activated_in_place(&self, x: Tensor, activation: Activation) -> Result<Tensor> {
        timed(LayerKind::Norm, 0, || {
            let (_, _, span) = self.check(&x)?;
            if !x.device().is_cpu() {
                return self.normalise(&x, Some(activation));
            }
            on_cpu(Input::Owned(x), (&self.weight, &self.bias), (self.groups, span), self.eps, None, Some(activation))
        })
    }

    /// As [`GroupNorm::forward_activated`], but with these moments in place of its own: those of a picture that `x` is a part of.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward_activated_as(&self, x: &Tensor, moments: &GroupMoments, activation: Activation) -> Result<Tensor> {
        timed(LayerKind::Norm, 0, || self.normalise_as(x, Some(moments), Some(activation)))
    }

    /// The moments of `x` [b, channels, h, w], to be merged with those of other parts of a picture.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn moments(&self, x: &Tensor) -> Result<GroupMoments> {
        let (batch, _, _) = self.check(x)?;
        if x.device().is_cpu() {
            let x = x.contiguous()?;
            return Ok(GroupMoments(norm::moments(cpu::isa()?, batch * self.groups, &floats(&x)?)));
        }
        let rows = x.reshape((batch * self.groups, ()))?.to_dtype(DType::F32)?;
        let means = rows.mean_keepdim(D::Minus1)?;
        let squares = rows.broadcast_sub(&means)?.sqr()?.sum(D::Minus1)?.to_vec1::<f32>()?;
        let count = rows.dim(1)? as f64;
        let moments = |(mean, squares): (f32, f32)| Moments { count, mean: mean.into(), squares: squares.into() };
        Ok(GroupMoments(means.flatten_all()?.to_vec1::<f32>()?.into_iter().zip(squares).map(moments).collect()))
    }

    fn normalise(&self, x: &Tensor, activation: Option<Activation>) -> Result<Tensor> {
        self.normalise_as(x, None, activation)
    }

    /// Batch, channels and values of a channel of `x` [b, channels, h, w].
    fn check(&self, x: &Tensor) -> Result<(usize, usize, usize)> {
        let (batch, channels, height, width) = x.dims4()?;
        if channels != self.weight.elem_count() || batch * height * width == 0 {
            candle_core::bail!("a norm of {} channels was given {:?}", self.weight.elem_count(), x.dims());
        }
        Ok((batch, channels, height * width))
    }

    fn normalise_as(
        &self,
        x: &Tensor,
        moments: Option<&GroupMoments>,
        activation: Option<Activation>,
    ) -> Result<Tensor> {
        let (batch, channels, span) = self.check(x)?;
        if moments.is_some_and(|moments| moments.0.len() != batch * self.groups) {
            candle_core::bail!("the moments are not those of {:?}", x.dims());
        }
        if x.device().is_cpu() {
            let parameters = (&self.weight, &self.bias);
            return on_cpu(
                Input::Kept(x),
                parameters,
                (self.groups, span),
                self.eps,
                moments.map(|moments| &*moments.0),
                activation,
            );
        }
        let rows = x.reshape((batch, self.groups, ()))?;
        let by_channel = |t: &Tensor| t.to_dtype(DType::F32)?.reshape((1, channels, 1, 1));
        let y = match moments {
            Some(moments) => moments.normalise(&rows, self.eps)?,
            None => normalise(&rows, self.eps)?,
        };
        let y = y.reshape(x.shape())?;
        let y = y.broadcast_mul(&by_channel(&self.weight)?)?.broadcast_add(&by_channel(&self.bias)?)?;
        let y = y.to_dtype(x.dtype())?;
        activation.map_or(Ok(y.clone()), |activation| activation.forward(&y))
    }
}

/// Mean and spread of each group of channels of each picture.
#[derive(Debug, Clone, Default)]
pub struct GroupMoments(Vec<Moments>);

impl GroupMoments {
    /// Adds those of another part of the same pictures; the first part may be added to none at all.
    pub fn add(&mut self, part: GroupMoments) {
        self.0.resize(part.0.len(), Moments::default());
        self.0.iter_mut().zip(part.0).for_each(|(sum, part)| *sum = sum.merged(part));
    }

    /// `rows` [b, groups, n] with these moments made 0 and 1, in f32, on any device.
    fn normalise(&self, rows: &Tensor, eps: f64) -> Result<Tensor> {
        let (batch, groups, _) = rows.dims3()?;
        let tensor = |value: &dyn Fn(&Moments) -> f64| {
            let values: Vec<f32> = self.0.iter().map(|moments| value(moments) as f32).collect();
            Tensor::from_vec(values, (batch, groups, 1), rows.device())
        };
        let centred = rows.to_dtype(DType::F32)?.broadcast_sub(&tensor(&|moments| moments.mean)?)?;
        centred.broadcast_mul(&tensor(&|moments| moments.inverse_deviation(eps))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::tests::{max_difference, wave_around};

    fn norm() -> GroupNorm {
        GroupNorm { weight: wave_around(&[6], 1.1, 2.0), bias: wave_around(&[6], 0.3, 0.0), groups: 3, eps: 1e-5 }
    }

    #[test]
    fn an_activation_follows_the_norm() {
        let norm = norm();
        let x = wave_around(&[2, 6, 3, 5], 0.9, 0.5);
        let expected = norm.forward(&x).unwrap().silu().unwrap();
        let activated = norm.forward_activated(&x, Activation::Silu).unwrap();
        assert!(max_difference(&activated, &expected) < 1e-6);
        let in_place = norm.forward_activated_in_place(x.clone(), Activation::Silu).unwrap();
        assert!(max_difference(&in_place, &activated) == 0.0 && max_difference(&x, &activated) == 0.0);
        assert!(norm.forward_activated_in_place(wave_around(&[1, 5, 2, 2], 0.1, 0.0), Activation::Silu).is_err());
    }

    #[test]
    fn a_picture_in_strips_is_normalised_as_a_whole() {
        let norm = norm();
        let x = wave_around(&[2, 6, 5, 7], 0.9, 0.5);
        let parts = [x.narrow(2, 0, 2).unwrap(), x.narrow(2, 2, 3).unwrap()];
        let mut moments = GroupMoments::default();
        parts.iter().for_each(|part| moments.add(norm.moments(part).unwrap()));
        let strips = parts.map(|part| norm.forward_activated_as(&part, &moments, Activation::Silu).unwrap());
        let whole = norm.forward_activated(&x, Activation::Silu).unwrap();
        assert!(max_difference(&Tensor::cat(&strips, 2).unwrap(), &whole) < 1e-6);
        // As on other devices.
        let rows = moments.normalise(&x.reshape((2, 3, ())).unwrap(), 1e-5).unwrap();
        assert!(max_difference(&rows, &normalise(&x.reshape((2, 3, ())).unwrap(), 1e-5).unwrap()) < 1e-6);
        assert!(norm.forward_activated_as(&x.narrow(0, 0, 1).unwrap(), &moments, Activation::Silu).is_err());
        assert!(norm.moments(&wave_around(&[1, 5, 2, 2], 0.1, 0.0)).is_err());
    }

    #[test]
    fn group_norm_equals_the_formula() {
        let (x, norm) = (wave_around(&[2, 6, 3, 5], 0.9, 0.5), norm());
        let expected = normalise(&x.reshape((2, 3, ())).unwrap(), 1e-5).unwrap().reshape((2, 6, 3, 5)).unwrap();
        let expected = expected.broadcast_mul(&norm.weight.reshape((1, 6, 1, 1)).unwrap()).unwrap();
        let expected = expected.broadcast_add(&norm.bias.reshape((1, 6, 1, 1)).unwrap()).unwrap();
        assert!(max_difference(&norm.forward(&x).unwrap(), &expected) < 2e-6);
    }
}
