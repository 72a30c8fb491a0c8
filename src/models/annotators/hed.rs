//! Soft edges: ControlNet's own version of holistically nested edge detection (Xie and Tu 2015), `ControlNetHED.pth`.
//!
//! Followed: lllyasviel's `ControlNetHED_Apache2`.

use candle_core::{Result, Tensor};

use super::conv;
use crate::nn::{Activation, Conv2d, Conv2dConfig, Params};

/// Of each block: convolutions, and the channels of the published network.
const BLOCKS: [(usize, usize); 5] = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)];

/// The network.
#[derive(Debug, Clone)]
pub struct Hed {
    /// Taken off the picture, [1, 3, 1, 1].
    norm: Tensor,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone)]
struct Block {
    convs: Vec<Conv2d>,
    projection: Conv2d,
}

impl Hed {
    /// The network at `params`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(params: &Params) -> Result<Self> {
        let mut inputs = 3;
        let mut blocks = Vec::with_capacity(BLOCKS.len());
        for (number, (count, published)) in BLOCKS.into_iter().enumerate() {
            let params = params.pp(format!("block{}", number + 1));
            let mut convs = Vec::with_capacity(count);
            for i in 0..count {
                let (layer, outputs) = conv(inputs, published, Conv2dConfig::SAME_3X3, &params.pp("convs").pp(i))?;
                convs.push(layer);
                inputs = outputs;
            }
            let projection = Conv2d::new(inputs, 1, Conv2dConfig::POINTWISE, &params.pp("projection"))?;
            blocks.push(Block { convs, projection });
        }
        Ok(Hed { norm: params.get((1, 3, 1, 1), "norm")?, blocks })
    }

    /// A picture [1, 3, h, w] of RGB values 0..255 to edges of five sizes, [1, 1, h, w] and each half as large as the one before,
    /// before the sigmoid. Both sides must be 16 at least.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, picture: &Tensor) -> Result<Vec<Tensor>> {
        let mut x = picture.broadcast_sub(&self.norm)?;
        let mut edges = Vec::with_capacity(self.blocks.len());
        for (number, block) in self.blocks.iter().enumerate() {
            if number > 0 {
                x = x.max_pool2d(2)?;
            }
            for conv in &block.convs {
                x = Activation::Relu.forward(&conv.forward(&x)?)?;
            }
            edges.push(block.projection.forward(&x)?);
        }
        Ok(edges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing::{close, expected_control, params_control, photo};

    #[test]
    fn edges_are_the_references() {
        let params = params_control("hed/ControlNetHED.pth", None);
        let hed = Hed::new(&params).unwrap();
        assert!(params.finish().unwrap().is_empty());
        let edges = hed.forward(&photo()).unwrap();
        assert_eq!(edges[0].dims(), [1, 1, 96, 120]);
        for (number, edges) in edges.iter().enumerate().skip(1) {
            close(edges, &expected_control("hed/outputs.safetensors", &format!("projection{}", number + 1)), 1e-4);
        }
    }
}
