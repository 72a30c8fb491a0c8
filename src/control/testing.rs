//! What the tests of preprocessors share: the reference's pictures and values under `tests/fixtures/control`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Tensor;
use image::RgbImage;

use super::pixels::Plane;
use super::{Network, Networks};
use crate::nn::ParamSource;
use crate::{testing, weights};

/// For preprocessors that need none.
pub struct NoNetworks;

impl Networks for NoNetworks {
    fn open(&self, network: Network) -> crate::Result<Arc<dyn ParamSource>> {
        panic!("{network:?} is asked for")
    }
}

/// The tiny networks.
pub struct Fixtures;

impl Networks for Fixtures {
    fn open(&self, network: Network) -> crate::Result<Arc<dyn ParamSource>> {
        let file = match network {
            Network::Hed => "hed/ControlNetHED.pth",
            Network::Lineart => "lineart/sk_model.pth",
            Network::BodyPose => "openpose/body_pose_model.pth",
            Network::HandPose => "openpose/hand_pose_model.pth",
            Network::DepthSmall => "depth/depth_anything_v2_tiny.pth",
            other => panic!("there is no tiny {other:?}"),
        };
        Ok(weights::open(&path(file))?)
    }
}

fn path(name: &str) -> PathBuf {
    testing::fixture("control").join(name)
}

pub fn picture(path: &Path) -> RgbImage {
    image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).into_rgb8()
}

/// A picture of the reference.
pub fn reference(name: &str) -> RgbImage {
    picture(&path(name))
}

/// A tensor of the reference.
pub fn tensor(file: &str, name: &str) -> Tensor {
    weights::open(&path(file)).unwrap().read(name).unwrap()
}

/// A plane [height, width] of the reference.
pub fn plane(file: &str, name: &str) -> Plane {
    let tensor = tensor(file, name);
    let (height, width) = tensor.dims2().unwrap();
    Plane::new(width, height, 1, tensor.flatten_all().unwrap().to_vec1().unwrap())
}

/// A table of the reference.
pub fn json(file: &str) -> serde_json::Value {
    testing::json(&format!("control/{file}"))
}

/// The greatest difference between the bytes of two pictures of one size.
pub fn difference(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// The share of pixels that two pictures of one size agree in.
pub fn same_share(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let same = a.pixels().zip(b.pixels()).filter(|(a, b)| a == b).count();
    same as f64 / (a.width() * a.height()) as f64
}
