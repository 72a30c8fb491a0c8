//! Faces: where they are, from nose, eyes and ears, and their points.

use candle_core::Tensor;
use image::RgbImage;

use super::hands::SMALLEST;
use super::maps::{input, resized};
use super::people::Body;
use super::Area;
use crate::models::annotators::openpose::PointPose;
use crate::Result;

/// The side that a face is looked at with.
const SIDE: u32 = 384;
/// What is a point at least.
const LEAST: f32 = 0.05;

/// The area of the face, if nose and an eye or an ear are there.
pub(super) fn area(body: &Body, (width, height): (u32, u32)) -> Option<Area> {
    let place = |part: usize| body.parts[part].map(|peak| (peak.x as f64, peak.y as f64));
    let nose = place(0)?;
    // Right eye, left eye, right ear, left ear.
    let seen = [(14, 3.0), (15, 3.0), (16, 1.5), (17, 1.5)];
    let reaches = seen.iter().filter_map(|(part, times)| {
        let (x, y) = place(*part)?;
        Some(times * (x - nose.0).abs().max((y - nose.1).abs()))
    });
    let half = reaches.reduce(f64::max)?;
    let (x, y) = ((nose.0 - half).max(0.0), (nose.1 - half).max(0.0));
    // As in the reference: what does not fit by half is cut at the border.
    let side = |start: f64, most: u32| {
        let most = f64::from(most);
        if start + half > most {
            most - start
        } else {
            2.0 * half
        }
    };
    let side = side(x, width).min(side(y, height));
    (side >= SMALLEST).then_some((x as u32, y as u32, side as u32))
}

/// The points of a face in its picture, as many as are found.
pub(super) fn points(face: &RgbImage, network: &PointPose) -> Result<Vec<(u32, u32)>> {
    let heatmaps = network.forward(&input(&resized(face, (SIDE, SIDE)))?)?;
    let heatmaps = heatmaps.upsample_bilinear2d(face.height() as usize, face.width() as usize, true)?;
    found(&heatmaps)
}

fn found(heatmaps: &Tensor) -> Result<Vec<(u32, u32)>> {
    let (_, _, _, width) = heatmaps.dims4()?;
    let maps = heatmaps.squeeze(0)?.flatten_from(1)?.to_vec2::<f32>()?;
    let strongest = |map: &Vec<f32>| {
        let (at, value) = map.iter().enumerate().reduce(|best, this| if this.1 > best.1 { this } else { best })?;
        (*value > LEAST).then_some(((at % width) as u32, (at / width) as u32))
    };
    Ok(maps.iter().filter_map(strongest).collect())
}
