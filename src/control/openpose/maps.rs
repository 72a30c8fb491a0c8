//! From a picture to the maps of a network at the picture's size.

use candle_core::{Device, Tensor};
use image::RgbImage;

use crate::control::pixels::Plane;
use crate::control::resize::{resize, resize_plane, Interpolation};
use crate::models::annotators::openpose::{BodyPose, STRIDE};
use crate::Result;

/// The height that pictures are scaled to, and the part of it that is taken.
const HEIGHT: f64 = 368.0;
const SCALE: f64 = 0.5;
/// What is beside a picture that is no multiple of the stride.
const PADDING: f32 = 128.0;

/// Heatmaps of joints and fields of limbs, of the picture's size.
pub(super) fn body(picture: &RgbImage, network: &BodyPose) -> Result<[Plane; 2]> {
    let (input, used) = body_input(picture)?;
    let [fields, heatmaps] = network.forward(&input)?;
    let size = (picture.width() as usize, picture.height() as usize);
    Ok([enlarged(&heatmaps, used, size)?, enlarged(&fields, used, size)?])
}

/// What the network for bodies is given, and the size of the picture in it.
pub(super) fn body_input(picture: &RgbImage) -> Result<(Tensor, (usize, usize))> {
    let scale = SCALE * HEIGHT / f64::from(picture.height());
    let side = |side: u32| ((f64::from(side) * scale) as u32).max(1);
    let sized = resized(picture, (side(picture.width()), side(picture.height())));
    Ok((input(&sized)?, (sized.width() as usize, sized.height() as usize)))
}

/// By area when it shrinks, Lanczos otherwise.
pub(super) fn resized(picture: &RgbImage, size: (u32, u32)) -> RgbImage {
    resize(picture, size, interpolation((size.0 + size.1) as usize, (picture.width() + picture.height()) as usize))
}

fn interpolation(to: usize, from: usize) -> Interpolation {
    if to < from {
        Interpolation::Area
    } else {
        Interpolation::Lanczos4
    }
}

/// A picture as the networks take it: BGR, -0.5..0.5, sides filled up to multiples of the stride, [1, 3, h, w].
pub(super) fn input(picture: &RgbImage) -> Result<Tensor> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (wide, high) = (width.next_multiple_of(STRIDE), height.next_multiple_of(STRIDE));
    let mut values = vec![PADDING / 256.0 - 0.5; 3 * wide * high];
    for (x, y, pixel) in picture.enumerate_pixels() {
        for channel in 0..3 {
            values[(channel * high + y as usize) * wide + x as usize] = f32::from(pixel.0[2 - channel]) / 256.0 - 0.5;
        }
    }
    Ok(Tensor::from_vec(values, (1, 3, high, wide), &Device::Cpu)?)
}

/// Maps [1, n, h, w] at the size of the network's input, cut to what of it was `used`, at another size.
pub(super) fn enlarged(maps: &Tensor, used: (usize, usize), size: (usize, usize)) -> Result<Plane> {
    let (_, channels, height, width) = maps.dims4()?;
    let values = maps.permute((0, 2, 3, 1))?.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
    let small = Plane::new(width, height, channels, values);
    let large = resize_plane(&small, (width * STRIDE, height * STRIDE), Interpolation::Lanczos4);
    let row = large.width * channels;
    let kept = large.values.chunks_exact(row).take(used.1).flat_map(|row| &row[..used.0 * channels]);
    let kept = Plane::new(used.0, used.1, channels, kept.copied().collect());
    Ok(resize_plane(&kept, size, interpolation(size.0 + size.1, used.0 + used.1)))
}
