//! Depth, as the original code of Depth Anything V2 prepares its pictures.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use image::RgbImage;

use super::network::{built, Loader};
use super::pixels::Plane;
use super::resize::{resize_plane, Interpolation};
use super::Network;
use crate::models::annotators::depth_anything::{DepthAnything, DepthAnythingConfig, Positions, PATCH};
use crate::nn::{ParamSource, Params, Precision};
use crate::weights::names::{depth_anything, Renamed};
use crate::Result;

/// The shorter side at which the published networks were trained.
pub(super) const SIDE: usize = 518;
/// ImageNet's colours, of 0..1.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Grey values, from the farthest at 0 to the nearest at 255, of the picture's size. `network` is one of those for depth, `side` the
/// shorter side at which it looks at the picture.
pub(super) fn depth(picture: &RgbImage, side: usize, network: Network, load: &Loader<'_>) -> Result<RgbImage> {
    let network = open(network, load, |config| config)?;
    let depth = raw_depth(picture, side, &network)?;
    let (least, most) =
        depth.values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    // A flat depth is black.
    let range = (most - least).max(f32::MIN_POSITIVE);
    Ok(depth.map(|value| (value[0] - least) / range * 255.0).cut_to_picture())
}

/// The network with the sizes of its file, which `adapt` may change.
fn open(
    network: Network,
    load: &Loader<'_>,
    adapt: impl FnOnce(DepthAnythingConfig) -> DepthAnythingConfig,
) -> Result<DepthAnything> {
    let source = load.0.open(network)?;
    let is_original = depth_anything::is_original(&source.names());
    let source: Arc<dyn ParamSource> =
        if is_original { Arc::new(Renamed::from_names(source, depth_anything::rename)) } else { source };
    let params = Params::new(source, Precision::F32, &Device::Cpu);
    let positions = if is_original { Positions::TenthMore } else { Positions::Exact };
    let config = adapt(DepthAnythingConfig::of(&params, positions));
    built(&params, DepthAnything::new(&config, &params))
}

/// What the network says, at the picture's size.
fn raw_depth(picture: &RgbImage, side: usize, network: &DepthAnything) -> Result<Plane> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let scale = side as f64 / width.min(height) as f64;
    let patches = |pixels: usize| {
        let wanted = pixels as f64 * scale;
        let nearest = (wanted / PATCH as f64).round_ties_even() as usize * PATCH;
        // The shorter side is no smaller than asked for.
        if nearest < side {
            wanted.div_euclid(PATCH as f64) as usize * PATCH + PATCH
        } else {
            nearest
        }
    };
    let sized = resize_plane(&Plane::of(picture), (patches(width), patches(height)), Interpolation::Cubic);
    let channel = |channel: usize| {
        let values = sized.values.iter().skip(channel).step_by(3);
        values.map(move |value| (value / 255.0 - MEAN[channel]) / DEVIATION[channel])
    };
    let values: Vec<f32> = (0..3).flat_map(channel).collect();
    let input = Tensor::from_vec(values, (1, 3, sized.height, sized.width), &Device::Cpu)?;
    let depth = network.forward(&input)?.upsample_bilinear2d(height, width, true)?;
    Ok(Plane::new(width, height, 1, depth.flatten_all()?.to_vec1()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{difference, reference, Fixtures};

    #[test]
    fn depths_are_the_references() {
        let network =
            open(Network::DepthSmall, &Loader(&Fixtures), |config| DepthAnythingConfig { heads: 2, ..config });
        let depth = raw_depth(&reference("annotators/photo.png"), 126, &network.unwrap()).unwrap();
        let most = depth.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let map = depth.map(|value| value[0] / most * 255.0).cut_to_picture();
        assert!(difference(&map, &reference("depth/photo_126.png")) <= 2);
    }
}
