//! Where the time of a forward pass goes: while a thread [`record`]s, the layers that it calls are timed one by one.
//!
//! When nothing is recorded this costs a layer one relaxed load. A layer inside another (the activation behind a norm) counts as
//! part of the outer one. What no layer does is the difference to [`Profile::total`]: sums, concatenations, copies.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use candle_core::{Result, Tensor};

/// What layers are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// Convolutions with a 3x3 kernel, whatever their stride, with the enlargement before them.
    Conv3x3,
    /// Convolutions with a 1x1 kernel.
    Conv1x1,
    /// Convolutions with other kernels.
    ConvOther,
    /// Linear layers: projections of attention, feed-forward parts, embeddings of the timestep.
    Linear,
    /// Attention of tokens to themselves, without its projections.
    SelfAttention,
    /// Attention to other tokens, those of the prompt; without its projections.
    CrossAttention,
    /// Layer and group norms, with the activation that a group norm may end with.
    Norm,
    /// Activations by themselves, and gated units.
    Activation,
}

impl LayerKind {
    /// All, in the order of a report.
    pub const ALL: [Self; 8] = [
        Self::Conv3x3,
        Self::Conv1x1,
        Self::ConvOther,
        Self::Linear,
        Self::SelfAttention,
        Self::CrossAttention,
        Self::Norm,
        Self::Activation,
    ];

    /// Whether its work is a product of matrices of weights.
    #[must_use]
    pub fn is_product(self) -> bool {
        matches!(self, Self::Conv3x3 | Self::Conv1x1 | Self::ConvOther | Self::Linear)
    }
}

/// What layers of one kind took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// How often they were called.
    pub calls: usize,
    /// How long all calls took.
    pub time: Duration,
    /// Floating-point operations of their products, a multiplication and an addition counted as two; none for norms and
    /// activations.
    pub flops: u64,
}

/// What was recorded.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    spent: [Spent; LayerKind::ALL.len()],
    total: Duration,
}

impl Profile {
    /// What layers of a kind took.
    #[must_use]
    pub fn spent(&self, kind: LayerKind) -> Spent {
        self.spent[kind as usize]
    }

    /// How long everything took.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// How long everything took that is no layer.
    #[must_use]
    pub fn other(&self) -> Duration {
        self.total.saturating_sub(self.spent.iter().map(|spent| spent.time).sum())
    }

    /// Adds what another recording found.
    pub fn add(&mut self, other: &Profile) {
        for (sum, spent) in self.spent.iter_mut().zip(&other.spent) {
            sum.calls += spent.calls;
            sum.time += spent.time;
            sum.flops += spent.flops;
        }
        self.total += other.total;
    }
}

/// Threads that record.
static RECORDINGS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// What this thread records; taken out while a layer is timed, so that those inside it are not.
    static CURRENT: Cell<Option<Box<Profile>>> = const { Cell::new(None) };
}

/// Counts a recording for as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        RECORDINGS.fetch_add(1, Ordering::Relaxed);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        RECORDINGS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs `work` and records the layers that it calls on this thread. On a GPU each of them is waited for, which makes the whole a
/// little slower than it is unrecorded.
pub fn record<T>(work: impl FnOnce() -> T) -> (T, Profile) {
    let _counted = Counted::new();
    let around = CURRENT.replace(Some(Box::default()));
    let start = Instant::now();
    let result = work();
    let total = start.elapsed();
    let profile = CURRENT.replace(around).unwrap_or_default();
    (result, Profile { total, ..*profile })
}

/// Runs a layer, and times it if this thread records; `flops` are those of [`Spent::flops`].
///
/// # Errors
/// Those of the layer, and a device's that fails.
pub(super) fn timed(kind: LayerKind, flops: usize, layer: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    if RECORDINGS.load(Ordering::Relaxed) == 0 {
        return layer();
    }
    let Some(mut profile) = CURRENT.take() else { return layer() };
    let start = Instant::now();
    let result = layer().and_then(|y| y.device().synchronize().map(|()| y));
    let spent = &mut profile.spent[kind as usize];
    spent.calls += 1;
    spent.time += start.elapsed();
    spent.flops += flops as u64;
    CURRENT.set(Some(profile));
    result
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::tests::{params, wave};
    use crate::nn::{geglu, Conv2d, Conv2dConfig, ConvExtras, GroupNorm, LayerNorm, Linear, MultiHeadAttention};
    use crate::nn::{Activation, Upsample2d};

    fn calls_and_flops(profile: &Profile, kind: LayerKind) -> (usize, u64) {
        (profile.spent(kind).calls, profile.spent(kind).flops)
    }

    #[test]
    fn operations_follow_from_shapes() {
        let conv = params(&[("weight", &[6, 5, 3, 3]), ("bias", &[6])]);
        let conv = Conv2d::new(5, 6, Conv2dConfig { kernel: 3, stride: 2, before: 1, after: 1 }, &conv).unwrap();
        let pointwise = params(&[("weight", &[6, 5, 1, 1]), ("bias", &[6])]);
        let pointwise = Conv2d::new(5, 6, Conv2dConfig::POINTWISE, &pointwise).unwrap();
        let upsample = params(&[("conv.weight", &[5, 5, 3, 3]), ("conv.bias", &[5])]);
        let upsample = Upsample2d::new(5, &upsample).unwrap();
        let linear = params(&[("weight", &[7, 4])]);
        let linear = Linear::without_bias(4, 7, &linear).unwrap();
        let (pictures, rows) = (wave(&[2, 5, 8, 6], 0.3), wave(&[2, 3, 4], 0.2));
        let ((), profile) = record(|| {
            conv.forward(&pictures).unwrap();
            pointwise.forward_with(&pictures, &ConvExtras::default()).unwrap();
            upsample.forward(&pictures, None).unwrap();
            linear.forward(&rows).unwrap();
            linear.forward_add(&rows, &wave(&[2, 3, 7], 0.1)).unwrap();
        });
        let strided = 2 * (2 * 6 * 4 * 3) * (5 * 9);
        let enlarged = 2 * (2 * 5 * 16 * 12) * (5 * 9);
        assert_eq!(calls_and_flops(&profile, LayerKind::Conv3x3), (2, strided + enlarged));
        assert_eq!(calls_and_flops(&profile, LayerKind::Conv1x1), (1, 2 * (2 * 6 * 8 * 6) * 5));
        assert_eq!(calls_and_flops(&profile, LayerKind::Linear), (2, 2 * 2 * (2 * 3) * 4 * 7));
        assert_eq!(profile.spent(LayerKind::Norm), Spent::default());
    }

    #[test]
    fn attention_to_itself_is_told_from_attention_to_others() {
        let projections = |_| Linear::without_bias(8, 8, &params(&[("weight", &[8, 8])])).unwrap();
        let attention = MultiHeadAttention::new([0; 4].map(projections), 2);
        let (x, context) = (wave(&[2, 5, 8], 0.3), wave(&[2, 3, 8], 0.7));
        let ((), profile) = record(|| {
            attention.forward(&x, &x, None).unwrap();
            attention.forward_cross_add(&x, &attention.keys_values(&context).unwrap(), &x).unwrap();
        });
        assert_eq!(calls_and_flops(&profile, LayerKind::SelfAttention), (1, 4 * 2 * 5 * 5 * 8));
        assert_eq!(calls_and_flops(&profile, LayerKind::CrossAttention), (1, 4 * 2 * 5 * 3 * 8));
        assert_eq!(profile.spent(LayerKind::Linear).calls, 8);
    }

    #[test]
    fn norms_and_activations_have_no_products() {
        let group = GroupNorm::new(2, 4, 1e-5, &params(&[("weight", &[4]), ("bias", &[4])])).unwrap();
        let layer = LayerNorm::new(6, 1e-5, &params(&[("weight", &[6]), ("bias", &[6])])).unwrap();
        let x = wave(&[1, 4, 3, 6], 0.3);
        let ((), profile) = record(|| {
            group.forward_activated(&x, Activation::Silu).unwrap();
            layer.forward(&x).unwrap();
            geglu(&Activation::Gelu.forward(&x).unwrap()).unwrap();
        });
        assert_eq!(calls_and_flops(&profile, LayerKind::Norm), (2, 0));
        assert_eq!(calls_and_flops(&profile, LayerKind::Activation), (2, 0));
    }

    fn one() -> Tensor {
        Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu).unwrap()
    }

    #[test]
    fn parts_and_the_rest_are_the_whole() {
        let nap = |milliseconds| std::thread::sleep(Duration::from_millis(milliseconds));
        let (result, profile) = record(|| {
            nap(2);
            timed(LayerKind::Norm, 5, || {
                nap(2);
                timed(LayerKind::Activation, 7, || Ok(one()))
            })
            .unwrap();
            "done"
        });
        assert_eq!(result, "done");
        assert_eq!(calls_and_flops(&profile, LayerKind::Norm), (1, 5));
        assert_eq!(calls_and_flops(&profile, LayerKind::Activation), (0, 0), "it was inside the norm");
        let norm = profile.spent(LayerKind::Norm).time;
        assert!(norm >= Duration::from_millis(2) && profile.other() >= Duration::from_millis(2));
        assert_eq!(norm + profile.other(), profile.total());
        let mut twice = profile.clone();
        twice.add(&profile);
        assert_eq!((twice.spent(LayerKind::Norm).calls, twice.total()), (2, 2 * profile.total()));
    }

    #[test]
    fn threads_do_not_record_each_other() {
        let ((), profile) = record(|| {
            let other = || timed(LayerKind::Norm, 1, || Ok(one())).map(|_| ());
            std::thread::spawn(other).join().unwrap().unwrap();
            let ((), inner) = record(|| {
                timed(LayerKind::Linear, 3, || Ok(one())).unwrap();
            });
            assert_eq!(calls_and_flops(&inner, LayerKind::Linear), (1, 3));
            timed(LayerKind::Linear, 4, || Ok(one())).unwrap();
        });
        assert_eq!(calls_and_flops(&profile, LayerKind::Norm), (0, 0));
        assert_eq!(calls_and_flops(&profile, LayerKind::Linear), (1, 4));
    }
}
