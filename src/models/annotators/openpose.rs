//! People: the convolutional pose machines of OpenPose (Cao et al. 2017; hands: Simon et al. 2017), `body_pose_model.pth`,
//! `hand_pose_model.pth` and `facenet.pth`.
//!
//! Followed: Hzzone's pytorch-openpose as lllyasviel's annotators carry it. That the last heatmaps of the body go through a ReLU, and
//! no other result does, is how the networks are published.

use candle_core::{Result, Tensor};

use super::conv;
use crate::nn::{Activation, Conv2d, Conv2dConfig, Params};

/// Joints of a body and the background.
pub const BODY_HEATMAPS: usize = 19;
/// Two directions for each limb.
pub const BODY_FIELDS: usize = 38;
/// Joints of a hand and the background.
pub const HAND_HEATMAPS: usize = 22;
/// Points of a face and the background.
pub const FACE_HEATMAPS: usize = 71;
/// Rounds of refinement, the first one counted.
const STAGES: usize = 6;
/// How much smaller the maps are.
pub const STRIDE: usize = 8;

/// Layers of the trunk of a body's network: names, and the channels of the published one. A dash halves the size.
const BODY_TRUNK: &[(&str, usize)] = &[
    ("conv1_1", 64),
    ("conv1_2", 64),
    ("-", 0),
    ("conv2_1", 128),
    ("conv2_2", 128),
    ("-", 0),
    ("conv3_1", 256),
    ("conv3_2", 256),
    ("conv3_3", 256),
    ("conv3_4", 256),
    ("-", 0),
    ("conv4_1", 512),
    ("conv4_2", 512),
    ("conv4_3_CPM", 256),
    ("conv4_4_CPM", 128),
];

/// As [`BODY_TRUNK`], from where that of hands and faces differs, and how many layers that is.
const SMALL_TRUNK: &[(&str, usize)] =
    &[("conv4_3", 512), ("conv4_4", 512), ("conv5_1", 512), ("conv5_2", 512), ("conv5_3_CPM", 128)];
const SHARED: usize = 13;

/// A layer of a stage: name, kernel, and the channels of the published network, which do not count for the last.
type StageLayer = (String, usize, usize);

/// Convolutions one after the other.
#[derive(Debug, Clone)]
struct Chain {
    /// The layer, and whether the size is halved before it.
    layers: Vec<(Conv2d, bool)>,
    /// Whether the last layer's result goes through a ReLU as all others do.
    last_is_active: bool,
}

impl Chain {
    fn trunk(layers: &[(&str, usize)], params: &Params) -> Result<(Self, usize)> {
        let (mut inputs, mut halve) = (3, false);
        let mut chain = Chain { layers: Vec::with_capacity(layers.len()), last_is_active: true };
        for (name, published) in layers {
            if *name == "-" {
                halve = true;
                continue;
            }
            let (layer, outputs) = conv(inputs, *published, Conv2dConfig::SAME_3X3, &params.pp(name))?;
            chain.layers.push((layer, std::mem::take(&mut halve)));
            inputs = outputs;
        }
        Ok((chain, inputs))
    }

    /// Layers between `ends`: the channels that come in and go out.
    fn stage(ends: [usize; 2], layers: &[StageLayer], params: &Params) -> Result<Self> {
        let [mut inputs, last] = ends;
        let mut chain = Chain { layers: Vec::with_capacity(layers.len()), last_is_active: false };
        for (number, (name, kernel, published)) in layers.iter().enumerate() {
            let (config, params) = (Conv2dConfig::same(*kernel), params.pp(name));
            let (layer, outputs) = if number + 1 == layers.len() {
                (Conv2d::new(inputs, last, config, &params)?, last)
            } else {
                conv(inputs, *published, config, &params)?
            };
            chain.layers.push((layer, false));
            inputs = outputs;
        }
        Ok(chain)
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for (number, (layer, halve)) in self.layers.iter().enumerate() {
            if *halve {
                x = x.max_pool2d(2)?;
            }
            x = layer.forward(&x)?;
            if self.last_is_active || number + 1 < self.layers.len() {
                x = Activation::Relu.forward(&x)?;
            }
        }
        Ok(x)
    }
}

/// The layers of a body's first stage.
fn first(branch: usize) -> Vec<StageLayer> {
    let layers = [(3, 128), (3, 128), (3, 128), (1, 512), (1, 0)];
    let layer = |(number, (kernel, published))| (format!("conv5_{number}_CPM_L{branch}"), kernel, published);
    (1..).zip(layers).map(layer).collect()
}

/// The layers of a later stage.
fn refinement(stage: usize, branch: &str) -> Vec<StageLayer> {
    let kernels = [7, 7, 7, 7, 7, 1, 1];
    (1..).zip(kernels).map(|(layer, kernel)| (format!("Mconv{layer}_stage{stage}{branch}"), kernel, 128)).collect()
}

/// The network that finds joints and limbs.
#[derive(Debug, Clone)]
pub struct BodyPose {
    trunk: Chain,
    /// Of each stage: limbs, joints.
    stages: Vec<[Chain; 2]>,
}

impl BodyPose {
    /// The network at `params`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(params: &Params) -> Result<Self> {
        let (trunk, features) = Chain::trunk(BODY_TRUNK, params)?;
        let mut stages = Vec::with_capacity(STAGES);
        for stage in 1..=STAGES {
            let inputs = if stage == 1 { features } else { BODY_FIELDS + BODY_HEATMAPS + features };
            let chain = |branch: usize, outputs| {
                let layers = if stage == 1 { first(branch) } else { refinement(stage, &format!("_L{branch}")) };
                Chain::stage([inputs, outputs], &layers, params)
            };
            stages.push([chain(1, BODY_FIELDS)?, chain(2, BODY_HEATMAPS)?]);
        }
        if let Some([_, heatmaps]) = stages.last_mut() {
            heatmaps.last_is_active = true;
        }
        Ok(BodyPose { trunk, stages })
    }

    /// A picture [1, 3, h, w], BGR values of -0.5..0.5, sides multiples of 8, to the fields of limbs [1, 38, h/8, w/8] and the
    /// heatmaps of joints [1, 19, h/8, w/8].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, picture: &Tensor) -> Result<[Tensor; 2]> {
        let features = self.trunk.forward(picture)?;
        let mut x = features.clone();
        let mut found = [features.clone(), features.clone()];
        for [fields, heatmaps] in &self.stages {
            found = [fields.forward(&x)?, heatmaps.forward(&x)?];
            x = Tensor::cat(&[&found[0], &found[1], &features], 1)?;
        }
        Ok(found)
    }
}

/// The network that finds the points of a hand or a face.
#[derive(Debug, Clone)]
pub struct PointPose {
    trunk: Chain,
    stages: Vec<Chain>,
}

impl PointPose {
    /// The network at `params` for so many heatmaps: [`HAND_HEATMAPS`] or [`FACE_HEATMAPS`].
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(heatmaps: usize, params: &Params) -> Result<Self> {
        let layers = [&BODY_TRUNK[..SHARED], SMALL_TRUNK].concat();
        let (trunk, features) = Chain::trunk(&layers, params)?;
        let first = [("conv6_1_CPM".to_string(), 1, 512), ("conv6_2_CPM".to_string(), 1, 0)];
        let mut stages = vec![Chain::stage([features, heatmaps], &first, params)?];
        for stage in 2..=STAGES {
            stages.push(Chain::stage([heatmaps + features, heatmaps], &refinement(stage, ""), params)?);
        }
        Ok(PointPose { trunk, stages })
    }

    /// A picture [1, 3, h, w], BGR values of -0.5..0.5, sides multiples of 8, to heatmaps [1, n, h/8, w/8].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        let features = self.trunk.forward(picture)?;
        let mut heatmaps = features.clone();
        for (number, stage) in self.stages.iter().enumerate() {
            let x = if number == 0 { features.clone() } else { Tensor::cat(&[&heatmaps, &features], 1)? };
            heatmaps = stage.forward(&x)?;
        }
        Ok(heatmaps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing::{close, expected_control, params_control};

    fn expected(name: &str) -> Tensor {
        expected_control("openpose/outputs.safetensors", name)
    }

    #[test]
    fn joints_and_limbs_are_the_references() {
        let params = params_control("openpose/body_pose_model.pth", None);
        let body = BodyPose::new(&params).unwrap();
        assert!(params.finish().unwrap().is_empty());
        let [fields, heatmaps] = body.forward(&expected("input")).unwrap();
        close(&fields, &expected("body.paf"), 1e-3);
        close(&heatmaps, &expected("body.heatmap"), 1e-3);
    }

    #[test]
    fn points_of_hands_are_the_references() {
        let params = params_control("openpose/hand_pose_model.pth", None);
        let network = PointPose::new(HAND_HEATMAPS, &params).unwrap();
        assert!(params.finish().unwrap().is_empty());
        close(&network.forward(&expected("input")).unwrap(), &expected("hand.heatmap"), 1e-3);
    }

    #[test]
    fn another_network_is_told_by_its_tensors() {
        let params = params_control("openpose/hand_pose_model.pth", None);
        BodyPose::new(&params).unwrap();
        let message = params.finish().unwrap_err().to_string();
        assert!(message.contains("conv4_3_CPM.weight"), "{message}");
    }
}
