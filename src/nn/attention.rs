//! Attention (Vaswani et al. 2017) without the score matrix of all queries at once.

use candle_core::{DType, Device, Result, Tensor, D};

use super::cpu::{self, floats};
use super::profile::{timed, LayerKind};
use super::{Linear, Precision};
use crate::kernels::attention::{attention_in_slices, Shape};

/// Scores held at a time on devices other than the CPU, 32 MiB in f32. A picture of 1024x1024 has 16384 tokens in the VAE: its
/// whole matrix would be 1 GiB.
const SCORES_AT_A_TIME: usize = 8 << 20;

/// How attention is computed, which is a matter of memory and speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttentionMethod {
    /// The best there is: a running softmax on the CPU, the flash kernels on CUDA where they are compiled in and apply, otherwise blocks
    /// of queries.
    #[default]
    Auto,
    /// As `Auto`, where the flash kernels are known to be there.
    Flash,
    /// So many heads of the batch at a time.
    Sliced(usize),
}

impl AttentionMethod {
    /// Heads of the batch that are computed at once.
    fn heads_at_once(self) -> usize {
        match self {
            AttentionMethod::Auto | AttentionMethod::Flash => usize::MAX,
            AttentionMethod::Sliced(heads) => heads.max(1),
        }
    }
}

/// `softmax(q k^T / sqrt(d) + mask) v`, softmax in f32.
///
/// `q` is [b, n, heads d], `k` and `v` are [b, m, heads d], `mask` is [n, m] for all heads or [heads, n, m] and added to the scores; the
/// result is [b, n, heads d].
/// `precision` is that of the operands on the CPU. `upcast` computes the scores of half-precision queries and keys in f32, for
/// models whose scores overflow.
///
/// # Errors
/// When the shapes do not fit.
pub fn scaled_dot_product_attention(
    [q, k, v]: [&Tensor; 3],
    heads: usize,
    mask: Option<&Tensor>,
    precision: Precision,
    upcast: bool,
    method: AttentionMethod,
) -> Result<Tensor> {
    let (batch, queries, width) = q.dims3()?;
    let (_, keys, _) = k.dims3()?;
    let fits = |t: &Tensor, tokens| t.dims3().ok() == Some((batch, tokens, width));
    if heads == 0 || !width.is_multiple_of(heads) || !fits(k, keys) || !fits(v, keys) {
        candle_core::bail!("{heads} heads cannot attend with {:?} to {:?} and {:?}", q.dims(), k.dims(), v.dims());
    }
    let masks = |mask: &Tensor| mask.dims() == [queries, keys] || mask.dims() == [heads, queries, keys];
    if let Some(mask) = mask.filter(|mask| !masks(mask)) {
        candle_core::bail!("a mask of {:?} does not fit {queries} queries and {keys} keys", mask.dims());
    }
    if q.device().is_cpu() {
        let shape = Shape { batch, heads, queries, keys, width: width / heads };
        let precision = if upcast { Precision::F32 } else { precision };
        return on_cpu([q, k, v], &shape, mask, precision, method);
    }
    let split = |x: &Tensor| x.reshape((batch, (), heads, width / heads))?.transpose(1, 2)?.contiguous();
    let y = on_device([split(q)?, split(k)?, split(v)?], mask, upcast, method)?;
    y.transpose(1, 2)?.flatten_from(D::Minus2)
}

fn on_cpu(
    [q, k, v]: [&Tensor; 3],
    shape: &Shape,
    mask: Option<&Tensor>,
    precision: Precision,
    method: AttentionMethod,
) -> Result<Tensor> {
    let (q, k, v) = (q.contiguous()?, k.contiguous()?, v.contiguous()?);
    let mask = mask.map(Tensor::contiguous).transpose()?;
    let (kernel, scale) = (precision.kernel()?, (shape.width as f32).sqrt().recip());
    let (queries, keys, values) = (floats(&q)?, floats(&k)?, floats(&v)?);
    let mask = mask.as_ref().map(floats).transpose()?;
    cpu::filled(q.shape().clone(), |y| {
        let at_once = method.heads_at_once();
        attention_in_slices(&kernel, shape, at_once, [&queries, &keys, &values], mask.as_deref(), scale, y);
        Ok(())
    })
}

/// `q` [b, heads, n, d], `k` and `v` [b, heads, m, d], contiguous, to [b, heads, n, d].
fn on_device([q, k, v]: [Tensor; 3], mask: Option<&Tensor>, upcast: bool, method: AttentionMethod) -> Result<Tensor> {
    let (batch, heads, _, _) = q.dims4()?;
    #[cfg(feature = "flash-attn")]
    if mask.is_none() && !upcast && !matches!(method, AttentionMethod::Sliced(_)) && flash::applies(&q) {
        let scale = 1.0 / (q.dim(3)? as f64).sqrt();
        return flash::attention(&q, &k, &v, scale);
    }
    // A mask for each head goes with all heads.
    let at_once = if mask.is_some_and(|mask| mask.rank() > 2) { usize::MAX } else { method.heads_at_once() };
    if at_once >= batch * heads {
        return in_blocks([&q, &k, &v], mask, upcast);
    }
    let shape = q.shape().clone();
    let [q, k, v] = [q.flatten(0, 1)?, k.flatten(0, 1)?, v.flatten(0, 1)?];
    let slices = (0..batch * heads).step_by(at_once).map(|start| {
        let count = at_once.min(batch * heads - start);
        let slice = |x: &Tensor| x.narrow(0, start, count)?.unsqueeze(0);
        in_blocks([&slice(&q)?, &slice(&k)?, &slice(&v)?], mask, upcast)
    });
    Tensor::cat(&slices.collect::<Result<Vec<_>>>()?, 1)?.reshape(shape)
}

/// As [`on_device`], block by block of the queries.
fn in_blocks([q, k, v]: [&Tensor; 3], mask: Option<&Tensor>, upcast: bool) -> Result<Tensor> {
    let (batch, heads, queries, width) = q.dims4()?;
    let scale = 1.0 / (width as f64).sqrt();
    let keys = k.dim(2)?;
    let (q, k) = if upcast { (q.to_dtype(DType::F32)?, k.to_dtype(DType::F32)?) } else { (q.clone(), k.clone()) };
    let (q, keys_transposed) = ((q * scale)?, k.t()?);
    let block = (SCORES_AT_A_TIME / (batch * heads * keys).max(1)).clamp(1, queries.max(1));
    let mut outputs = Vec::with_capacity(queries.div_ceil(block));
    for start in (0..queries).step_by(block) {
        let count = block.min(queries - start);
        let scores = q.narrow(2, start, count)?.contiguous()?.matmul(&keys_transposed)?.to_dtype(DType::F32)?;
        let scores = match mask {
            Some(mask) => scores.broadcast_add(&mask.narrow(mask.rank() - 2, start, count)?)?,
            None => scores,
        };
        outputs.push(candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(v.dtype())?.matmul(v)?);
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

/// Keys and values, [b, m, heads d], of what is attended to.
#[derive(Debug, Clone)]
pub struct KeysValues {
    keys: Tensor,
    values: Tensor,
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
    method: AttentionMethod,
}

impl MultiHeadAttention {
    /// Attention over `heads` heads; the projections' names differ between model families, so the model brings them.
    #[must_use]
    pub fn new([query, key, value, out]: [Linear; 4], heads: usize) -> Self {
        MultiHeadAttention { query, key, value, out, heads, upcast: false, method: AttentionMethod::Auto }
    }

    /// Scores in f32 whatever the precision.
    #[must_use]
    pub fn upcast(self, upcast: bool) -> Self {
        MultiHeadAttention { upcast, ..self }
    }

    /// Computed in this way.
    #[must_use]
    pub fn method(self, method: AttentionMethod) -> Self {
        MultiHeadAttention { method, ..self }
    }

    /// `x` [b, n, c] attends to `context` [b, m, c'] ([b, n, c] itself for self-attention): [b, n, c].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor, context: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let kind = if x.id() == context.id() { LayerKind::SelfAttention } else { LayerKind::CrossAttention };
        self.out.forward(&self.attend(kind, x, &self.keys_values(context)?, mask)?)
    }

    /// `x` [b, n, c] attends to itself; the result plus `residual` [b, n, c].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward_self_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let context = self.keys_values(x)?;
        self.out.forward_add(&self.attend(LayerKind::SelfAttention, x, &context, None)?, residual)
    }

    /// `x` [b, n, c] attends to a context whose keys and values are known; the result plus `residual` [b, n, c].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward_cross_add(&self, x: &Tensor, context: &KeysValues, residual: &Tensor) -> Result<Tensor> {
        self.out.forward_add(&self.attend(LayerKind::CrossAttention, x, context, None)?, residual)
    }

    /// Keys and values of `context` [b, m, c'], for any number of queries.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn keys_values(&self, context: &Tensor) -> Result<KeysValues> {
        Ok(KeysValues { keys: self.key.forward(context)?, values: self.value.forward(context)? })
    }

    fn attend(&self, kind: LayerKind, x: &Tensor, context: &KeysValues, mask: Option<&Tensor>) -> Result<Tensor> {
        let q = self.query.forward(x)?;
        let KeysValues { keys: k, values: v } = context;
        // Scores, and the sums of values that they weigh.
        let flops = 2 * (2 * q.elem_count() * k.dim(1)?);
        timed(kind, flops, || {
            let precision = self.query.precision();
            scaled_dot_product_attention([&q, k, v], self.heads, mask, precision, self.upcast, self.method)
        })
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
    use crate::nn::tests::{max_difference, wave};

    /// Both ways of computing, the second with the blocks that its numbers of keys and heads make.
    fn check([batch, heads, queries, keys, width]: [usize; 5], mask: Option<&Tensor>) {
        let x = |tokens: usize, speed| wave(&[batch, tokens, heads * width], speed);
        let (q, k, v) = (x(queries, 0.7), x(keys, 0.31), x(keys, 0.11));
        let y = scaled_dot_product_attention([&q, &k, &v], heads, mask, Precision::F32, false, AttentionMethod::Auto)
            .unwrap();
        let split = |x: &Tensor| x.reshape((batch, (), heads, width)).unwrap().transpose(1, 2).unwrap().contiguous();
        let on_device = |method| {
            on_device([split(&q).unwrap(), split(&k).unwrap(), split(&v).unwrap()], mask, false, method).unwrap()
        };
        let expected = on_device(AttentionMethod::Auto);
        for slice in [1, 4] {
            let method = AttentionMethod::Sliced(slice);
            assert!(max_difference(&on_device(method), &expected) < 1e-6);
            let sliced = scaled_dot_product_attention([&q, &k, &v], heads, mask, Precision::F32, false, method);
            assert_eq!(max_difference(&sliced.unwrap(), &y), 0.0);
        }
        let expected = expected.transpose(1, 2).unwrap().flatten_from(2).unwrap();
        let difference = max_difference(&y, &expected);
        assert!(difference < 1e-6, "{difference}");
    }

    #[test]
    fn both_ways_of_computing_are_one() {
        check([2, 3, 9, 9, 8], Some(&causal_mask(9, &Device::Cpu).unwrap()));
        check([1, 2, 2000, 5000, 4], None);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let attend = |q: &[usize], k: &[usize], v: &[usize], heads| {
            let [q, k, v] = [q, k, v].map(|shape| wave(shape, 0.3));
            scaled_dot_product_attention([&q, &k, &v], heads, None, Precision::F32, false, AttentionMethod::Auto)
        };
        assert!(attend(&[1, 2, 6], &[1, 3, 6], &[1, 3, 6], 2).is_ok());
        assert!(attend(&[1, 2, 6], &[1, 3, 6], &[1, 3, 6], 4).is_err());
        assert!(attend(&[1, 2, 6], &[1, 3, 6], &[1, 2, 6], 2).is_err());
        assert!(attend(&[1, 2, 6], &[2, 3, 6], &[2, 3, 6], 2).is_err());
    }
}
