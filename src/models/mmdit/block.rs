//! A block of the transformer: diffusers' `JointTransformerBlock`.

use candle_core::{Result, Tensor};

use super::MmditConfig;
use crate::models::dit::{attend, attend_jointly, Around, Continuous, FeedForward, Modulation, Stream, StreamNames};
use crate::nn::{Linear, Params, SelfAttention};

/// A block in which text and picture have weights of their own and attend to each other.
#[derive(Debug, Clone)]
pub(super) struct Block {
    text: Text,
    picture: Picture,
    attention: SelfAttention,
}

/// The text's half. In the last block nothing is made of the text but what the picture takes from it.
#[derive(Debug, Clone)]
struct Text {
    stream: Stream,
    kind: TextKind,
}

#[derive(Debug, Clone)]
enum TextKind {
    Inner { modulation: Modulation<6>, out: Linear, feed_forward: Box<FeedForward> },
    Last(Continuous),
}

/// The picture's half.
#[derive(Debug, Clone)]
struct Picture {
    modulation: PictureModulation,
    stream: Stream,
    out: Linear,
    feed_forward: FeedForward,
}

/// Shift, scale and gate of attention and of the feed-forward part.
#[derive(Debug, Clone)]
enum PictureModulation {
    Single(Modulation<6>),
    /// And those of a second attention, of the picture to itself.
    Dual(Modulation<9>, Box<(Stream, Linear)>),
}

impl Block {
    /// The block number `index`.
    pub(super) fn new(config: &MmditConfig, index: usize, params: &Params) -> Result<Self> {
        let (width, normed) = (config.width(), config.qk_norm.is_some());
        let sizes = [config.num_attention_heads, config.attention_head_dim];
        let (attention, second) = (params.pp("attn"), params.pp("attn2"));
        let kind = if index + 1 == config.num_layers {
            TextKind::Last(Continuous::new(width, &params.pp("norm1_context"))?)
        } else {
            TextKind::Inner {
                modulation: Modulation::new(width, &params.pp("norm1_context"))?,
                out: Linear::new(width, width, &attention.pp("to_add_out"))?,
                feed_forward: Box::new(FeedForward::new(width, &params.pp("ff_context"))?),
            }
        };
        let modulation = if config.dual_attention_layers.contains(&index) {
            let stream = Stream::new(sizes, normed, &StreamNames::PICTURE, &second)?;
            let parts = (stream, Linear::new(width, width, &second.pp("to_out.0"))?);
            PictureModulation::Dual(Modulation::new(width, &params.pp("norm1"))?, Box::new(parts))
        } else {
            PictureModulation::Single(Modulation::new(width, &params.pp("norm1"))?)
        };
        Ok(Block {
            text: Text { stream: Stream::new(sizes, normed, &StreamNames::TEXT, &attention)?, kind },
            picture: Picture {
                modulation,
                stream: Stream::new(sizes, normed, &StreamNames::PICTURE, &attention)?,
                out: Linear::new(width, width, &attention.pp("to_out.0"))?,
                feed_forward: FeedForward::new(width, &params.pp("ff"))?,
            },
            attention: SelfAttention::new(config.num_attention_heads, params),
        })
    }

    /// `text` [b, m, width] and `picture` [b, n, width] to the same shapes, the text as it was in the last block; `time` is [b, width].
    pub(super) fn forward(&self, text: &Tensor, picture: &Tensor, time: &Tensor) -> Result<(Tensor, Tensor)> {
        let of_picture = self.picture.modulation.forward(time)?;
        let normed = Around(&of_picture[..3]).norm(picture)?;
        let picture_qkv = self.picture.stream.project(&normed)?;
        let text_attends =
            |normed: Tensor| attend_jointly(&self.attention, self.text.stream.project(&normed)?, picture_qkv, None);
        let (text, to_picture) = match &self.text.kind {
            TextKind::Last(norm) => (text.clone(), text_attends(norm.forward(text, time)?)?.1),
            TextKind::Inner { modulation, out, feed_forward } => {
                let modulation = modulation.forward(time)?;
                let (attention, behind) = (Around(&modulation[..3]), Around(&modulation[3..]));
                let (to_text, to_picture) = text_attends(attention.norm(text)?)?;
                let text = attention.add(text, &out.forward(&to_text)?)?;
                (behind.add(&text, &feed_forward.forward(&behind.norm(&text)?)?)?, to_picture)
            }
        };
        Ok((text, self.finish_picture(picture, &to_picture, &of_picture)?))
    }

    fn finish_picture(&self, picture: &Tensor, attended: &Tensor, modulation: &[Tensor]) -> Result<Tensor> {
        let mut x = Around(&modulation[..3]).add(picture, &self.picture.out.forward(attended)?)?;
        if let PictureModulation::Dual(_, parts) = &self.picture.modulation {
            let around = Around(&modulation[6..]);
            let own = attend(&self.attention, parts.0.project(&around.norm(picture)?)?, None)?;
            x = around.add(&x, &parts.1.forward(&own)?)?;
        }
        let around = Around(&modulation[3..6]);
        around.add(&x, &self.picture.feed_forward.forward(&around.norm(&x)?)?)
    }
}

impl PictureModulation {
    fn forward(&self, time: &Tensor) -> Result<Vec<Tensor>> {
        match self {
            PictureModulation::Single(modulation) => modulation.forward(time).map(Vec::from),
            PictureModulation::Dual(modulation, _) => modulation.forward(time).map(Vec::from),
        }
    }
}
