//! Attention (Vaswani et al. 2017) without the score matrix of all queries at once.

use candle_core::{DType, Device, Result, Tensor, D};

use super::Linear;

/// Scores held at a time, 32 MiB in f32. A picture of 1024x1024 has 16384 tokens in the VAE: its whole matrix would be 1 GiB.
const SCORES_AT_A_TIME: usize = 8 << 20;

/// `softmax(q k^T / sqrt(d) + mask) v`, softmax in f32.
///
/// `q` is [b, heads, n, d], `k` and `v` are [b, heads, m, d], `mask` is [n, m] and added to the scores; the result is
/// [b, heads, n, d]. `upcast` computes the scores of half-precision queries and keys in f32, for models whose scores overflow.
///
/// # Errors
/// When the shapes do not fit.
pub fn scaled_dot_product_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: Option<&Tensor>,
    upcast: bool,
) -> Result<Tensor> {
    let (batch, heads, queries, width) = q.dims4()?;
    let scale = 1.0 / (width as f64).sqrt();
    #[cfg(feature = "flash-attn")]
    if mask.is_none() && !upcast && flash::applies(q) {
        return flash::attention(q, k, v, scale);
    }
    let keys = k.dim(2)?;
    let (q, k) = if upcast { (q.to_dtype(DType::F32)?, k.to_dtype(DType::F32)?) } else { (q.clone(), k.clone()) };
    let (q, k, v) = ((q * scale)?.contiguous()?, k.contiguous()?, v.contiguous()?);
    let keys_transposed = k.t()?;
    let block = (SCORES_AT_A_TIME / (batch * heads * keys).max(1)).clamp(1, queries.max(1));
    let mut outputs = Vec::with_capacity(queries.div_ceil(block));
    for start in (0..queries).step_by(block) {
        let count = block.min(queries - start);
        let scores = q.narrow(2, start, count)?.contiguous()?.matmul(&keys_transposed)?.to_dtype(DType::F32)?;
        let scores = match mask {
            Some(mask) => scores.broadcast_add(&mask.narrow(0, start, count)?)?,
            None => scores,
        };
        outputs.push(candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(v.dtype())?.matmul(&v)?);
    }
    if outputs.len() == 1 {
        return Ok(outputs.swap_remove(0));
    }
    Tensor::cat(&outputs, 2)
}

/// A mask [n, n] that hides from each token those after it, f32.
///
/// # Errors
/// When the tensor library fails.
pub fn causal_mask(n: usize, device: &Device) -> Result<Tensor> {
    let mask: Vec<f32> = (0..n * n).map(|i| if i % n > i / n { f32::NEG_INFINITY } else { 0.0 }).collect();
    Tensor::from_vec(mask, (n, n), device)
}

/// Attention with its four projections.
#[derive(Debug, Clone)]
pub struct MultiHeadAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
    upcast: bool,
}

impl MultiHeadAttention {
    /// Attention over `heads` heads; the projections' names differ between model families, so the model brings them.
    #[must_use]
    pub fn new([query, key, value, out]: [Linear; 4], heads: usize) -> Self {
        MultiHeadAttention { query, key, value, out, heads, upcast: false }
    }

    /// Scores in f32 whatever the precision.
    #[must_use]
    pub fn upcast(self, upcast: bool) -> Self {
        MultiHeadAttention { upcast, ..self }
    }

    /// `x` [b, n, c] attends to `context` [b, m, c'] ([b, n, c] itself for self-attention): [b, n, c].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor, context: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let q = self.split(&self.query.forward(x)?)?;
        let k = self.split(&self.key.forward(context)?)?;
        let v = self.split(&self.value.forward(context)?)?;
        let y = scaled_dot_product_attention(&q, &k, &v, mask, self.upcast)?;
        self.out.forward(&y.transpose(1, 2)?.flatten_from(D::Minus2)?)
    }

    /// [b, n, heads * d] to [b, heads, n, d].
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        x.reshape((batch, tokens, self.heads, width / self.heads))?.transpose(1, 2)
    }
}

#[cfg(feature = "flash-attn")]
mod flash {
    use candle_core::{DType, Result, Tensor};

    /// The kernels exist for half-precision and heads of up to 256 values, in multiples of 8.
    pub(super) fn applies(q: &Tensor) -> bool {
        let half = matches!(q.dtype(), DType::F16 | DType::BF16);
        q.device().is_cuda() && half && q.dims().last().is_some_and(|d| *d <= 256 && d % 8 == 0)
    }

    /// As the function above this module; candle's kernels take [b, n, heads, d].
    pub(super) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
        let (q, k, v) = (q.transpose(1, 2)?, k.transpose(1, 2)?, v.transpose(1, 2)?);
        candle_flash_attn::flash_attn(&q, &k, &v, scale as f32, false)?.transpose(1, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Tensor) -> Tensor {
        let scale = (q.dim(3).unwrap() as f64).sqrt();
        let scores = (q.matmul(&k.t().unwrap()).unwrap() / scale).unwrap().broadcast_add(mask).unwrap();
        candle_nn::ops::softmax(&scores, 3).unwrap().matmul(v).unwrap()
    }

    fn wave(shape: &[usize], phase: f32) -> Tensor {
        let n = shape.iter().product::<usize>();
        Tensor::from_vec((0..n).map(|i| (i as f32 * 0.7 + phase).sin()).collect(), shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_masked_block_equals_the_formula() {
        let (q, k, v) = (wave(&[2, 3, 9, 8], 0.1), wave(&[2, 3, 9, 8], 0.2), wave(&[2, 3, 9, 8], 0.3));
        let mask = causal_mask(9, &Device::Cpu).unwrap();
        let y = scaled_dot_product_attention(&q, &k, &v, Some(&mask), false).unwrap();
        let difference = (y - naive(&q, &k, &v, &mask)).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
    }

    #[test]
    fn many_blocks_equal_one() {
        // 5000 keys and 2 heads make blocks of 838 queries.
        let (q, k, v) = (wave(&[1, 2, 2000, 4], 0.1), wave(&[1, 2, 5000, 4], 0.2), wave(&[1, 2, 5000, 4], 0.3));
        let y = scaled_dot_product_attention(&q, &k, &v, None, false).unwrap();
        let zero = Tensor::zeros((2000, 5000), DType::F32, &Device::Cpu).unwrap();
        let difference = (y - naive(&q, &k, &v, &zero)).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
    }
}
