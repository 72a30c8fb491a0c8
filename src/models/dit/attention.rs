//! Attention of two streams, text and picture, to each other and themselves (Esser et al. 2024).

use candle_core::{Result, Tensor};

use super::EPS;
use crate::nn::{Linear, Params, RmsNorm, Rotary, SelfAttention};

/// What the tensors of a stream's projections are called.
pub(in crate::models) struct StreamNames {
    /// Queries, keys and values.
    pub projections: [&'static str; 3],
    /// The norms of queries and keys.
    pub norms: [&'static str; 2],
}

impl StreamNames {
    /// The picture's stream, or both together.
    pub(in crate::models) const PICTURE: Self =
        StreamNames { projections: ["to_q", "to_k", "to_v"], norms: ["norm_q", "norm_k"] };
    /// The text's.
    pub(in crate::models) const TEXT: Self = StreamNames {
        projections: ["add_q_proj", "add_k_proj", "add_v_proj"],
        norms: ["norm_added_q", "norm_added_k"],
    };
}

/// Queries, keys and values of a stream.
#[derive(Debug, Clone)]
pub(in crate::models) struct Stream {
    projections: [Linear; 3],
    /// Norms of each head's queries and keys (Henry et al. 2020), where the model has them.
    norms: Option<[RmsNorm; 2]>,
    heads: usize,
}

impl Stream {
    /// For a stream of width `heads` times `head`.
    pub(in crate::models) fn new(
        [heads, head]: [usize; 2],
        normed: bool,
        names: &StreamNames,
        params: &Params,
    ) -> Result<Self> {
        let width = heads * head;
        let projection = |name| Linear::new(width, width, &params.pp(name));
        let [query, key, value] = names.projections;
        let norm = |name| RmsNorm::new(head, EPS, &params.pp(name));
        let [of_query, of_key] = names.norms;
        Ok(Stream {
            projections: [projection(query)?, projection(key)?, projection(value)?],
            norms: if normed { Some([norm(of_query)?, norm(of_key)?]) } else { None },
            heads,
        })
    }

    /// Queries, keys and values, each [b, n, width], of `x` [b, n, width].
    pub(in crate::models) fn project(&self, x: &Tensor) -> Result<[Tensor; 3]> {
        let [q, k, v] = &self.projections;
        let (q, k, v) = (q.forward(x)?, k.forward(x)?, v.forward(x)?);
        let Some([of_query, of_key]) = &self.norms else { return Ok([q, k, v]) };
        let normed = |norm: &RmsNorm, x: &Tensor| {
            let (batch, tokens, width) = x.dims3()?;
            norm.forward(&x.reshape((batch, tokens, self.heads, width / self.heads))?)?.reshape(x.shape())
        };
        Ok([normed(of_query, &q)?, normed(of_key, &k)?, v])
    }
}

/// What tokens of both streams take from each other: the text's [b, m, width] and the picture's [b, n, width]. Queries and keys are
/// turned by `rotary` where the model has places of tokens, the text's first.
pub(in crate::models) fn attend_jointly(
    attention: &SelfAttention,
    text: [Tensor; 3],
    picture: [Tensor; 3],
    rotary: Option<&Rotary>,
) -> Result<(Tensor, Tensor)> {
    let (before, behind) = (text[0].dim(1)?, picture[0].dim(1)?);
    let [text_q, text_k, text_v] = text;
    let [q, k, v] = picture;
    let joined = [Tensor::cat(&[text_q, q], 1)?, Tensor::cat(&[text_k, k], 1)?, Tensor::cat(&[text_v, v], 1)?];
    let all = attend(attention, joined, rotary)?;
    Ok((all.narrow(1, 0, before)?, all.narrow(1, before, behind)?))
}

/// As [`attend_jointly`], for tokens that are joined already: [b, n, width].
pub(in crate::models) fn attend(
    attention: &SelfAttention,
    [q, k, v]: [Tensor; 3],
    rotary: Option<&Rotary>,
) -> Result<Tensor> {
    match rotary {
        Some(rotary) => {
            let heads = attention.heads();
            attention.forward([&rotary.forward(&q, heads)?, &rotary.forward(&k, heads)?, &v], None)
        }
        None => attention.forward([&q, &k, &v], None),
    }
}
