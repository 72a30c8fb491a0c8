//! Which of the model's timesteps a sampler visits, noisiest first.

use crate::sampling::settings::TimestepSpacing;

/// `steps` timesteps of a model with `train` of them. `whole` rounds those that fall between two; else they are as f32 has
/// them.
pub(super) fn evenly_spaced(
    spacing: TimestepSpacing,
    steps: usize,
    train: usize,
    offset: usize,
    whole: bool,
) -> Vec<f64> {
    match spacing {
        TimestepSpacing::Leading => leading(train / steps, steps, offset),
        TimestepSpacing::Trailing => trailing(train, steps, train as f64 / steps as f64),
        TimestepSpacing::Linspace => {
            let gap = if steps > 1 { (train - 1) as f64 / (steps - 1) as f64 } else { 0.0 };
            let round = |t: f64| if whole { t.round_ties_even() } else { f64::from(t as f32) };
            (0..steps).rev().map(|i| round(i as f64 * gap)).collect()
        }
    }
}

/// The timesteps of DPM-Solver and UniPC, which space one more and leave out the last. `usable` is the number of the model's
/// timesteps that are not too noisy.
pub(super) fn for_solvers(
    spacing: TimestepSpacing,
    steps: usize,
    train: usize,
    usable: usize,
    offset: usize,
) -> Vec<f64> {
    match spacing {
        TimestepSpacing::Leading => leading(usable / (steps + 1), steps + 1, offset)[..steps].to_vec(),
        TimestepSpacing::Trailing => {
            let gap = train as f64 / steps as f64;
            trailing(usable, (usable as f64 / gap).ceil().min(steps as f64) as usize, gap)
        }
        TimestepSpacing::Linspace => {
            let gap = (usable as f64 - 1.0) / steps as f64;
            (1..=steps).rev().map(|i| (i as f64 * gap).round_ties_even()).collect()
        }
    }
}

/// The timesteps of LCM: `steps` of the `original` ones it was distilled on.
pub(super) fn for_lcm(steps: usize, train: usize, original: usize) -> Vec<f64> {
    let ratio = train / original;
    let gap = original as f64 / steps as f64;
    (0..steps).map(|i| ((original - (i as f64 * gap) as usize) * ratio) as f64 - 1.0).collect()
}

fn leading(ratio: usize, count: usize, offset: usize) -> Vec<f64> {
    (0..count).rev().map(|i| (i * ratio + offset) as f64).collect()
}

/// Counted down from the noisy end. The gap is added as numpy's `arange` adds it; its rounding decides some halves. For
/// some step counts (61, 103, ...) numpy returns one timestep too many, -1, which is not repeated here.
fn trailing(from: usize, count: usize, gap: f64) -> Vec<f64> {
    let from = from as f64;
    let delta = (from - gap) - from;
    (0..count).map(|i| (from + i as f64 * delta).round_ties_even() - 1.0).collect()
}
