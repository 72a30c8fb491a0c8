//! Depth of a single picture: Depth Anything V2 (Yang et al. 2024), a DINOv2 encoder ([`encoder`]) with a DPT head ([`head`]).
//!
//! Names are those of transformers' `DepthAnythingForDepthEstimation`; `weights::names` has those of the original checkpoints.

mod encoder;
mod head;
#[cfg(test)]
mod tests;

use candle_core::{Result, Tensor};

use self::encoder::Encoder;
use self::head::Head;
use crate::nn::Params;

/// Sides of the picture are multiples of this.
pub const PATCH: usize = 14;

/// Layers of an encoder that are looked for; the largest published one has 40.
const MOST_LAYERS: usize = 64;

/// How the table of places is stretched to another number of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// To the exact number, as transformers does.
    Exact,
    /// To a tenth of a patch more, as the original code does. Away from 518x518 the depths differ clearly.
    TenthMore,
}

/// The sizes of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepthAnythingConfig {
    /// Channels of a token.
    pub width: usize,
    /// Layers of the encoder.
    pub depth: usize,
    /// Heads of its attention.
    pub heads: usize,
    /// The layers whose tokens the head takes, from 0.
    pub taken: [usize; 4],
    /// Channels of each of them in the head.
    pub channels: [usize; 4],
    /// Channels where they are put together.
    pub features: usize,
    /// Channels before the last layer.
    pub last: usize,
    /// Side of the table of places.
    pub places: usize,
    /// How that table is stretched.
    pub positions: Positions,
}

impl DepthAnythingConfig {
    /// The sizes of the tensors at `params`; those of the small published network where tensors are missing.
    #[must_use]
    pub fn of(params: &Params, positions: Positions) -> Self {
        let size = |name: &str, dim: usize, otherwise: usize| {
            params.shape_of(name).and_then(|shape| shape.get(dim).copied()).unwrap_or(otherwise)
        };
        let width = size("backbone.embeddings.cls_token", 2, 384);
        let layer = |number: usize| format!("backbone.encoder.layer.{number}.norm1.weight");
        let depth = (0..MOST_LAYERS).take_while(|number| params.contains(&layer(*number))).count();
        let depth = if depth == 0 { 12 } else { depth };
        let taken = match depth {
            24 => [4, 11, 17, 23],
            _ => [1, 2, 3, 4].map(|part| (part * depth / 4).max(1) - 1),
        };
        let stage =
            |i: usize, otherwise| size(&format!("neck.reassemble_stage.layers.{i}.projection.weight"), 0, otherwise);
        let places = size("backbone.embeddings.position_embeddings", 1, 37 * 37 + 1);
        DepthAnythingConfig {
            width,
            depth,
            // All published sizes have heads of 64.
            heads: (width / 64).max(1),
            taken,
            channels: [stage(0, 48), stage(1, 96), stage(2, 192), stage(3, 384)],
            features: size("neck.convs.0.weight", 0, 64),
            last: size("head.conv2.weight", 0, 32),
            places: places.saturating_sub(1).isqrt(),
            positions,
        }
    }
}

/// The network.
#[derive(Debug, Clone)]
pub struct DepthAnything {
    encoder: Encoder,
    head: Head,
}

impl DepthAnything {
    /// The network at `params`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(config: &DepthAnythingConfig, params: &Params) -> Result<Self> {
        Ok(DepthAnything { encoder: Encoder::new(config, &params.pp("backbone"))?, head: Head::new(config, params)? })
    }

    /// A picture [1, 3, h, w], RGB with ImageNet's mean 0 and deviation 1, sides multiples of 14, to its depth [1, 1, h, w]: 0 for
    /// the farthest and larger values for nearer.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = picture.dims4()?;
        if height % PATCH != 0 || width % PATCH != 0 {
            candle_core::bail!("sides of {height} and {width} pixels are no multiples of {PATCH}");
        }
        let patches = (height / PATCH, width / PATCH);
        self.head.forward(self.encoder.forward(picture, patches)?, patches)
    }
}
