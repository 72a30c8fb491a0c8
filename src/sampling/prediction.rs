//! From what a model predicts to the picture and the noise that it implies.

use candle_core::Tensor;

use super::run::{divide, weighted_sum};
use super::settings::Prediction;
use crate::Result;

/// The picture, where `latents = alpha * picture + sigma * noise` and `alpha^2 + sigma^2 = 1`.
pub(super) fn denoised(kind: Prediction, output: &Tensor, latents: &Tensor, alpha: f64, sigma: f64) -> Result<Tensor> {
    match kind {
        Prediction::Epsilon => divide(&weighted_sum(&[(1.0, latents), (-sigma, output)])?, alpha),
        Prediction::Velocity => weighted_sum(&[(alpha, latents), (-sigma, output)]),
        Prediction::Sample => Ok(output.clone()),
    }
}

/// The noise, where `latents = alpha * picture + sigma * noise` and `alpha^2 + sigma^2 = 1`.
pub(super) fn noise(kind: Prediction, output: &Tensor, latents: &Tensor, alpha: f64, sigma: f64) -> Result<Tensor> {
    match kind {
        Prediction::Epsilon => Ok(output.clone()),
        Prediction::Velocity => weighted_sum(&[(alpha, output), (sigma, latents)]),
        Prediction::Sample => divide(&weighted_sum(&[(1.0, latents), (-alpha, output)])?, sigma),
    }
}

/// The picture, where `latents = picture + sigma * noise`.
pub(super) fn denoised_unscaled(kind: Prediction, output: &Tensor, latents: &Tensor, sigma: f64) -> Result<Tensor> {
    let variance = sigma * sigma + 1.0;
    match kind {
        Prediction::Epsilon => weighted_sum(&[(1.0, latents), (-sigma, output)]),
        Prediction::Velocity => weighted_sum(&[(1.0, &divide(latents, variance)?), (-sigma / variance.sqrt(), output)]),
        Prediction::Sample => Ok(output.clone()),
    }
}
