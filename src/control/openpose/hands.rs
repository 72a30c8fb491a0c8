//! Hands: where they are, from the arms, and their points.

use image::RgbImage;

use super::maps::{enlarged, input, resized};
use super::peaks::{channel, smoothed};
use super::people::Body;
use super::Area;
use crate::control::blur::blur_bytes;
use crate::control::pixels::Plane;
use crate::models::annotators::openpose::{PointPose, HAND_HEATMAPS};
use crate::Result;

/// How far behind the wrist a hand's middle lies, of the forearm.
const BEHIND_WRIST: f64 = 0.33;
/// Sides that a hand is looked at with.
const SIDES: [u32; 4] = [184, 368, 552, 736];
/// The side of the maps that points are found in, and how smooth they are made.
const SIDE: usize = 128;
const SIGMA: f64 = 3.0;
/// What is a point at least.
const LEAST: f64 = 0.05;
/// The smallest hand, or face, that is looked at.
pub(super) const SMALLEST: f64 = 20.0;

/// The areas of the left and the right hand, in this order, as far as the arms are there.
pub(super) fn areas(body: &Body, (width, height): (u32, u32)) -> Vec<Area> {
    let arm = |shoulder: usize| {
        let part = |i: usize| body.parts[shoulder + i].map(|peak| (peak.x as f64, peak.y as f64));
        Some([part(0)?, part(1)?, part(2)?])
    };
    let mut areas = Vec::new();
    for [shoulder, elbow, wrist] in [arm(5), arm(2)].into_iter().flatten() {
        let distance = |a: (f64, f64), b: (f64, f64)| ((a.0 - b.0).powi(2) + (a.1 - b.1).powi(2)).sqrt();
        let side = 1.5 * distance(wrist, elbow).max(0.9 * distance(elbow, shoulder));
        let start = |wrist: f64, elbow: f64| (wrist + BEHIND_WRIST * (wrist - elbow) - side / 2.0).max(0.0);
        let (x, y) = (start(wrist.0, elbow.0), start(wrist.1, elbow.1));
        let side = side.min(f64::from(width) - x).min(f64::from(height) - y);
        if side >= SMALLEST {
            areas.push((x as u32, y as u32, side as u32));
        }
    }
    areas
}

/// The 21 points of a hand in its picture; (0, 0) for what was not found.
pub(super) fn points(hand: &RgbImage, network: &PointPose) -> Result<Vec<(u32, u32)>> {
    let blurred = blur_bytes(&Plane::of(hand), 0.8).round_to_picture();
    let mut mean = vec![0f32; SIDE * SIDE * HAND_HEATMAPS];
    for side in SIDES {
        let maps = network.forward(&input(&resized(&blurred, (side, side)))?)?;
        let used = (side as usize, side as usize);
        let maps = enlarged(&maps, used, (SIDE, SIDE))?;
        mean.iter_mut().zip(&maps.values).for_each(|(mean, value)| *mean += value / SIDES.len() as f32);
    }
    let mean = Plane::new(SIDE, SIDE, HAND_HEATMAPS, mean);
    let back = |at: usize, side: u32| (at as f64 * f64::from(side) / SIDE as f64) as u32;
    let place = |at: usize| (back(at % SIDE, hand.width()), back(at / SIDE, hand.height()));
    // The last heatmap is the background.
    Ok((0..HAND_HEATMAPS - 1).map(|part| strongest(&channel(&mean, part)).map_or((0, 0), place)).collect())
}

/// The maximum of the connected area with the largest sum, of those that are bright when smoothed.
fn strongest(map: &[f64]) -> Option<usize> {
    let smooth = smoothed(map, SIDE, SIGMA);
    let mut open: Vec<bool> = smooth.iter().map(|value| *value > LEAST).collect();
    let mut best: Option<(f64, Vec<usize>)> = None;
    for start in 0..map.len() {
        if !std::mem::take(&mut open[start]) {
            continue;
        }
        let area = connected(start, &mut open);
        let sum = area.iter().map(|at| map[*at]).sum();
        if best.as_ref().is_none_or(|(most, _)| sum > *most) {
            best = Some((sum, area));
        }
    }
    let (_, mut area) = best?;
    area.sort_unstable();
    area.into_iter().reduce(|best, at| if map[at] > map[best] { at } else { best })
}

/// The places that hang together with `start`, corners included, which are closed.
fn connected(start: usize, open: &mut [bool]) -> Vec<usize> {
    let (mut area, mut next) = (vec![start], 0);
    while let Some(at) = area.get(next).copied() {
        next += 1;
        let (x, y) = (at % SIDE, at / SIDE);
        for y in y.saturating_sub(1)..=(y + 1).min(SIDE - 1) {
            for x in x.saturating_sub(1)..=(x + 1).min(SIDE - 1) {
                if std::mem::take(&mut open[y * SIDE + x]) {
                    area.push(y * SIDE + x);
                }
            }
        }
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_is_in_the_area_with_the_largest_sum() {
        let mut map = vec![0.0; SIDE * SIDE];
        assert_eq!(strongest(&map), None);
        // One place is the brightest of all, but a larger area is brighter altogether.
        map[20 * SIDE + 20] = 60.0;
        for y in 80..100 {
            map[y * SIDE + 70..][..20].fill(1.0);
        }
        map[90 * SIDE + 75] = 2.0;
        assert_eq!(strongest(&map), Some(90 * SIDE + 75));
        map[20 * SIDE + 20] = 4000.0;
        assert_eq!(strongest(&map), Some(20 * SIDE + 20));
    }
}
