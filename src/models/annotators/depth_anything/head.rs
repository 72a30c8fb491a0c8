//! The head of dense prediction transformers (Ranftl et al. 2021): tokens of four layers become pictures of four sizes, which are
//! put together from the smallest to the largest.

use candle_core::{Result, Tensor};

use super::{DepthAnythingConfig, PATCH};
use crate::nn::{Activation, Conv2d, Conv2dConfig, ConvTranspose2d, Params};

#[derive(Debug, Clone)]
pub(super) struct Head {
    stages: Vec<Stage>,
    /// From the smallest picture to the largest.
    fusions: Vec<Fusion>,
    convs: [Conv2d; 3],
}

/// Tokens of one layer to a picture.
#[derive(Debug, Clone)]
struct Stage {
    projection: Conv2d,
    resize: Resize,
    conv: Conv2d,
}

#[derive(Debug, Clone)]
enum Resize {
    Larger(ConvTranspose2d),
    Same,
    Smaller(Conv2d),
}

/// A picture is added to what came of the smaller ones, and all of it is enlarged.
#[derive(Debug, Clone)]
struct Fusion {
    /// Of the picture that is added; the smallest has none to be added to.
    added: Option<Residual>,
    whole: Residual,
    projection: Conv2d,
}

#[derive(Debug, Clone)]
struct Residual([Conv2d; 2]);

impl Head {
    /// With the weights of transformers' `neck` and `head`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(config: &DepthAnythingConfig, params: &Params) -> Result<Self> {
        let (neck, head, features) = (params.pp("neck"), params.pp("head"), config.features);
        let stages = (0..4).map(|i| Stage::new(config, i, &neck)).collect::<Result<_>>()?;
        let fusion = |i: usize| Fusion::new(features, i > 0, &neck.pp("fusion_stage").pp("layers").pp(i));
        Ok(Head {
            stages,
            fusions: (0..4).map(fusion).collect::<Result<_>>()?,
            convs: [
                Conv2d::new(features, features / 2, Conv2dConfig::SAME_3X3, &head.pp("conv1"))?,
                Conv2d::new(features / 2, config.last, Conv2dConfig::SAME_3X3, &head.pp("conv2"))?,
                Conv2d::new(config.last, 1, Conv2dConfig::POINTWISE, &head.pp("conv3"))?,
            ],
        })
    }

    /// Tokens of four layers to the depth [1, 1, h, w].
    pub fn forward(&self, tokens: Vec<Tensor>, (rows, columns): (usize, usize)) -> Result<Tensor> {
        let pictures = self.stages.iter().zip(&tokens).map(|(stage, tokens)| stage.forward(tokens, rows, columns));
        let pictures = pictures.collect::<Result<Vec<_>>>()?;
        let mut x: Option<Tensor> = None;
        for (number, (fusion, picture)) in self.fusions.iter().zip(pictures.iter().rev()).enumerate() {
            let next = pictures.len().checked_sub(number + 2).map(|next| &pictures[next]);
            x = Some(fusion.forward(x.as_ref(), picture, next)?);
        }
        let Some(x) = x else { candle_core::bail!("a depth needs the tokens of some layers") };
        let [conv1, conv2, conv3] = &self.convs;
        let x = enlarged(&conv1.forward(&x)?, (rows * PATCH, columns * PATCH))?;
        let x = Activation::Relu.forward(&conv2.forward(&x)?)?;
        Activation::Relu.forward(&conv3.forward(&x)?)
    }
}

impl Stage {
    fn new(config: &DepthAnythingConfig, number: usize, neck: &Params) -> Result<Self> {
        let (channels, params) = (config.channels[number], neck.pp("reassemble_stage").pp("layers").pp(number));
        let larger = |times| ConvTranspose2d::new([channels, channels], [times, times, 0, 0], &params.pp("resize"));
        let halving = Conv2dConfig { kernel: 3, stride: 2, before: 1, after: 1 };
        Ok(Stage {
            projection: Conv2d::new(config.width, channels, Conv2dConfig::POINTWISE, &params.pp("projection"))?,
            resize: match number {
                0 => Resize::Larger(larger(4)?),
                1 => Resize::Larger(larger(2)?),
                2 => Resize::Same,
                _ => Resize::Smaller(Conv2d::new(channels, channels, halving, &params.pp("resize"))?),
            },
            conv: Conv2d::without_bias(
                channels,
                config.features,
                Conv2dConfig::SAME_3X3,
                &neck.pp("convs").pp(number),
            )?,
        })
    }

    fn forward(&self, tokens: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
        let picture = tokens.transpose(1, 2)?.reshape((1, (), rows, columns))?;
        let picture = self.projection.forward(&picture)?;
        let picture = match &self.resize {
            Resize::Larger(conv) => conv.forward(&picture)?,
            Resize::Same => picture,
            Resize::Smaller(conv) => conv.forward(&picture)?,
        };
        self.conv.forward(&picture)
    }
}

impl Fusion {
    fn new(features: usize, adds: bool, params: &Params) -> Result<Self> {
        let residual = |name| Residual::new(features, &params.pp(name));
        Ok(Fusion {
            added: adds.then(|| residual("residual_layer1")).transpose()?,
            whole: residual("residual_layer2")?,
            projection: Conv2d::new(features, features, Conv2dConfig::POINTWISE, &params.pp("projection"))?,
        })
    }

    /// `x` is what came of smaller pictures, `next` the next larger one, whose size is taken; twice the own one when there is none.
    fn forward(&self, x: Option<&Tensor>, picture: &Tensor, next: Option<&Tensor>) -> Result<Tensor> {
        let x = match (x, &self.added) {
            (Some(x), Some(added)) => (x + added.forward(picture)?)?,
            _ => picture.clone(),
        };
        let (_, _, height, width) = next.unwrap_or(picture).dims4()?;
        let size = if next.is_some() { (height, width) } else { (2 * height, 2 * width) };
        self.projection.forward(&enlarged(&self.whole.forward(&x)?, size)?)
    }
}

impl Residual {
    fn new(features: usize, params: &Params) -> Result<Self> {
        let conv = |name| Conv2d::new(features, features, Conv2dConfig::SAME_3X3, &params.pp(name));
        Ok(Residual([conv("convolution1")?, conv("convolution2")?]))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.0[0].forward(&Activation::Relu.forward(x)?)?;
        x + self.0[1].forward(&Activation::Relu.forward(&y)?)?
    }
}

/// Linear interpolation with the corners at the corners.
fn enlarged(x: &Tensor, (height, width): (usize, usize)) -> Result<Tensor> {
    x.upsample_bilinear2d(height, width, true)
}
