//! The blocks of FLUX: those with two streams and those with one.

use candle_core::{Result, Tensor, D};

use super::FluxConfig;
use crate::models::dit::{attend, attend_jointly, Around, FeedForward, Modulation, Stream, StreamNames};
use crate::nn::{join, Activation, Linear, Params, Rotary, SelfAttention};

/// The text's or the picture's half of a block with two streams.
#[derive(Debug, Clone)]
struct Half {
    /// Shift, scale and gate of attention, then those of the feed-forward part.
    modulation: Modulation<6>,
    stream: Stream,
    out: Linear,
    feed_forward: FeedForward,
}

/// What the tensors of a half are called.
struct HalfNames {
    norm: &'static str,
    stream: StreamNames,
    out: &'static str,
    feed_forward: &'static str,
}

impl Half {
    fn new(config: &FluxConfig, names: &HalfNames, params: &Params) -> Result<Self> {
        let (width, attention) = (config.width(), params.pp("attn"));
        let sizes = [config.num_attention_heads, config.attention_head_dim];
        Ok(Half {
            modulation: Modulation::new(width, &params.pp(names.norm))?,
            stream: Stream::new(sizes, true, &names.stream, &attention)?,
            out: Linear::new(width, width, &attention.pp(names.out))?,
            feed_forward: FeedForward::new(width, &params.pp(names.feed_forward))?,
        })
    }

    /// The stream `x` after a block whose attention gave it `attended`.
    fn finish(&self, x: &Tensor, attended: &Tensor, modulation: &[Tensor; 6]) -> Result<Tensor> {
        let (attention, feed_forward) = modulation.split_at(3);
        let x = Around(attention).add(x, &self.out.forward(attended)?)?;
        let feed_forward = Around(feed_forward);
        feed_forward.add(&x, &self.feed_forward.forward(&feed_forward.norm(&x)?)?)
    }
}

/// A block in which text and picture have weights of their own and attend to each other.
#[derive(Debug, Clone)]
pub(super) struct DoubleBlock {
    text: Half,
    picture: Half,
    attention: SelfAttention,
}

impl DoubleBlock {
    pub(super) fn new(config: &FluxConfig, params: &Params) -> Result<Self> {
        let text = HalfNames {
            norm: "norm1_context",
            stream: StreamNames::TEXT,
            out: "to_add_out",
            feed_forward: "ff_context",
        };
        let picture = HalfNames { norm: "norm1", stream: StreamNames::PICTURE, out: "to_out.0", feed_forward: "ff" };
        Ok(DoubleBlock {
            text: Half::new(config, &text, params)?,
            picture: Half::new(config, &picture, params)?,
            attention: SelfAttention::new(config.num_attention_heads, params),
        })
    }

    /// `text` [b, m, width] and `picture` [b, n, width] to the same shapes; `time` is [b, width].
    pub(super) fn forward(
        &self,
        (text, picture): (&Tensor, &Tensor),
        time: &Tensor,
        rotary: &Rotary,
    ) -> Result<(Tensor, Tensor)> {
        let of_text = self.text.modulation.forward(time)?;
        let of_picture = self.picture.modulation.forward(time)?;
        let text_qkv = self.text.stream.project(&Around(&of_text[..3]).norm(text)?)?;
        let picture_qkv = self.picture.stream.project(&Around(&of_picture[..3]).norm(picture)?)?;
        let (to_text, to_picture) = attend_jointly(&self.attention, text_qkv, picture_qkv, Some(rotary))?;
        let text = self.text.finish(text, &to_text, &of_text)?;
        Ok((text, self.picture.finish(picture, &to_picture, &of_picture)?))
    }
}

/// A block with one stream, whose attention and feed-forward part work side by side.
#[derive(Debug, Clone)]
pub(super) struct SingleBlock {
    modulation: Modulation<3>,
    stream: Stream,
    proj_mlp: Linear,
    proj_out: Linear,
    attention: SelfAttention,
}

impl SingleBlock {
    pub(super) fn new(config: &FluxConfig, params: &Params) -> Result<Self> {
        let (width, heads) = (config.width(), config.num_attention_heads);
        let sizes = [heads, config.attention_head_dim];
        Ok(SingleBlock {
            modulation: Modulation::new(width, &params.pp("norm"))?,
            stream: Stream::new(sizes, true, &StreamNames::PICTURE, &params.pp("attn"))?,
            proj_mlp: Linear::new(width, 4 * width, &params.pp("proj_mlp"))?,
            proj_out: Linear::new(5 * width, width, &params.pp("proj_out"))?,
            attention: SelfAttention::new(heads, params),
        })
    }

    /// `x` [b, n, width], text before picture, to the same shape.
    pub(super) fn forward(&self, x: &Tensor, time: &Tensor, rotary: &Rotary) -> Result<Tensor> {
        let modulation = self.modulation.forward(time)?;
        let around = Around(&modulation);
        let normed = around.norm(x)?;
        let inner = Activation::GeluTanh.forward(&self.proj_mlp.forward(&normed)?)?;
        let attended = attend(&self.attention, self.stream.project(&normed)?, Some(rotary))?;
        around.add(x, &self.proj_out.forward(&join(&attended, &inner, D::Minus1)?)?)
    }
}
