//! People as skeletons, as controlnet_aux makes them: networks give heatmaps of joints and fields of limbs ([`maps`]), [`peaks`] are
//! found in them and put together to [`people`], whose [`hands`] and [`faces`] are looked at more closely; [`skeleton`] draws.

mod faces;
mod hands;
mod maps;
mod peaks;
mod people;
mod skeleton;
#[cfg(test)]
mod tests;

use image::{imageops, RgbImage};

use self::people::Body;
use self::skeleton::Points;
use super::network::Loader;
use super::Network;
use crate::models::annotators::openpose::{BodyPose, PointPose, FACE_HEATMAPS, HAND_HEATMAPS};
use crate::Result;

/// What of people is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub body: bool,
    pub hands: bool,
    pub faces: bool,
}

/// The skeletons of the people in a picture, of its size, and how many they are.
pub(super) fn openpose(picture: &RgbImage, wanted: Wanted, load: &Loader<'_>) -> Result<(RgbImage, usize)> {
    let bodies = bodies(picture, load)?;
    let hand = wanted.hands.then(|| load.build(Network::HandPose, |p| PointPose::new(HAND_HEATMAPS, p))).transpose()?;
    let face = wanted.faces.then(|| load.build(Network::FacePose, |p| PointPose::new(FACE_HEATMAPS, p))).transpose()?;
    let size = picture.dimensions();
    let mut canvas = RgbImage::new(size.0, size.1);
    for body in &bodies {
        if wanted.body {
            skeleton::draw_body(&mut canvas, body);
        }
        if let Some(network) = &hand {
            for area in hands::areas(body, size) {
                let points = hands::points(&cut(picture, area), network)?;
                skeleton::draw_hand(&mut canvas, &placed(&points, area, size));
            }
        }
        if let (Some(network), Some(area)) = (&face, faces::area(body, size)) {
            let points = faces::points(&cut(picture, area), network)?;
            skeleton::draw_face(&mut canvas, &placed(&points, area, size));
        }
    }
    Ok((canvas, bodies.len()))
}

fn bodies(picture: &RgbImage, load: &Loader<'_>) -> Result<Vec<Body>> {
    let network = load.build(Network::BodyPose, BodyPose::new)?;
    let [heatmaps, fields] = maps::body(picture, &network)?;
    let peaks = peaks::of_parts(&heatmaps);
    Ok(people::assemble(&peaks, &fields))
}

/// A square in a picture: left, top, side.
type Area = (u32, u32, u32);

fn cut(picture: &RgbImage, (x, y, side): Area) -> RgbImage {
    imageops::crop_imm(picture, x, y, side, side).to_image()
}

/// Points of an area as fractions of the picture, in f32 as the reference keeps them; what is at the area's border is unknown.
fn placed(points: &[(u32, u32)], (left, top, _): Area, size: (u32, u32)) -> Points {
    let place = |at: u32, start: u32, side: u32| {
        let at = if at == 0 { -1.0 } else { (at + start) as f32 };
        at / side as f32
    };
    points.iter().map(|(x, y)| (place(*x, left, size.0), place(*y, top, size.1))).collect()
}
