//! Self-attention for models that make queries, keys and values by themselves.

use candle_core::{Result, Tensor};

use super::profile::{timed, LayerKind};
use super::{scaled_dot_product_attention, AttentionMethod, Params, Precision};

/// Attention of tokens to each other, without projections.
#[derive(Debug, Clone, Copy)]
pub struct SelfAttention {
    heads: usize,
    precision: Precision,
    method: AttentionMethod,
}

impl SelfAttention {
    /// Attention over `heads` heads, in the precision and the way of `params`.
    #[must_use]
    pub fn new(heads: usize, params: &Params) -> Self {
        SelfAttention { heads, precision: params.precision(), method: params.attention() }
    }

    /// Number of heads.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// `softmax(q k^T / sqrt(d) + mask) v`, all [b, n, heads d]; `mask` is [n, n] or [heads, n, n].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, [q, k, v]: [&Tensor; 3], mask: Option<&Tensor>) -> Result<Tensor> {
        // Scores, and the sums of values that they weigh.
        let flops = 2 * (2 * q.elem_count() * k.dim(1)?);
        timed(LayerKind::SelfAttention, flops, || {
            scaled_dot_product_attention([q, k, v], self.heads, mask, self.precision, false, self.method)
        })
    }
}
