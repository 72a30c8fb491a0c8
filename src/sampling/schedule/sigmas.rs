//! Ways to space noise levels between two ends, greatest first.

use super::beta_distribution::beta_quantile;

/// Karras et al. 2022, equation 5, with rho 7.
pub(super) fn karras(sigma_min: f64, sigma_max: f64, steps: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (least, greatest) = (sigma_min.powf(1.0 / RHO), sigma_max.powf(1.0 / RHO));
    ramp(steps).map(|x| (greatest + x * (least - greatest)).powf(RHO)).collect()
}

/// Evenly spaced logarithms.
pub(super) fn exponential(sigma_min: f64, sigma_max: f64, steps: usize) -> Vec<f64> {
    let (least, greatest) = (sigma_min.ln(), sigma_max.ln());
    ramp(steps).map(|x| (greatest + x * (least - greatest)).exp()).collect()
}

/// Quantiles of a beta distribution with both parameters 0.6 (Lee et al. 2024).
pub(super) fn beta(sigma_min: f64, sigma_max: f64, steps: usize) -> Vec<f64> {
    const SHAPE: f64 = 0.6;
    ramp(steps).map(|x| sigma_min + beta_quantile(1.0 - x, SHAPE, SHAPE) * (sigma_max - sigma_min)).collect()
}

/// 0 to 1 in equal steps; a single step is at 0.
fn ramp(steps: usize) -> impl Iterator<Item = f64> {
    let gap = if steps > 1 { 1.0 / (steps - 1) as f64 } else { 0.0 };
    (0..steps).map(move |i| if i > 0 && i + 1 == steps { 1.0 } else { i as f64 * gap })
}
