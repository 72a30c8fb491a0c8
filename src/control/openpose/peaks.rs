//! Where joints may be: the local maxima of smoothed heatmaps.

use rayon::prelude::*;

use crate::control::pixels::Plane;
use crate::kernels::filter::symmetric;

/// Parts of a body; the heatmap after them is the background.
pub(super) const PARTS: usize = 18;
/// Pixels of the smoothing.
const SIGMA: f64 = 3.0;
/// What a peak has at least, when it is smoothed.
const LEAST: f64 = 0.1;

/// Peaks of a part that are kept, the highest: real heatmaps have one for each person, but weights of noise one every few pixels.
const MOST: usize = 500;

/// A place where a joint may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Peak {
    pub x: usize,
    pub y: usize,
    /// The heatmap there, not smoothed.
    pub score: f64,
}

/// The peaks of each part, row by row. A plateau gives several.
pub(super) fn of_parts(heatmaps: &Plane) -> Vec<Vec<Peak>> {
    (0..PARTS.min(heatmaps.channels)).into_par_iter().map(|part| of_part(&channel(heatmaps, part), heatmaps)).collect()
}

/// One channel.
pub(super) fn channel(plane: &Plane, channel: usize) -> Vec<f64> {
    plane.values.iter().skip(channel).step_by(plane.channels).map(|value| f64::from(*value)).collect()
}

fn of_part(map: &[f64], size: &Plane) -> Vec<Peak> {
    let (width, height) = (size.width, size.height);
    let smooth = smoothed(map, width, SIGMA);
    let mut peaks = Vec::new();
    for (at, value) in smooth.iter().enumerate() {
        let (x, y) = (at % width, at / width);
        // Beyond the border is 0.
        let above_neighbours = (x == 0 || *value >= smooth[at - 1])
            && (x + 1 == width || *value >= smooth[at + 1])
            && (y == 0 || *value >= smooth[at - width])
            && (y + 1 == height || *value >= smooth[at + width]);
        if *value > LEAST && above_neighbours {
            peaks.push(Peak { x, y, score: map[at] });
        }
    }
    if peaks.len() > MOST {
        peaks.sort_by(|a, b| b.score.total_cmp(&a.score));
        peaks.truncate(MOST);
    }
    peaks
}

/// SciPy's `gaussian_filter`, cut at 4 sigma.
pub(super) fn smoothed(map: &[f64], width: usize, sigma: f64) -> Vec<f64> {
    let radius = (4.0 * sigma + 0.5) as usize;
    let weights: Vec<f64> = (0..=radius).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let sum = 2.0 * weights.iter().sum::<f64>() - weights[0];
    let weights: Vec<f64> = weights.into_iter().map(|weight| weight / sum).collect();
    symmetric(map, width, &weights)
}
