//! [`Footprint`]: what a model's weights take in memory, told from names, shapes and types before any of them is read.

use candle_core::DType;
use serde::Serialize;

use crate::nn::{ggml_format, Format, ParamSource, Precision};
use crate::pipeline::events::Silent;
use crate::pipeline::{memory, Family, Machine, Plan, Sources};
use crate::Result;

/// What the program takes without a model.
const PROGRAM: u64 = 30 << 20;

/// Parts of the names of matrices that are no linear layers: they are not quantised.
const TABLES: [&str; 5] =
    ["token_embedding", "position_embedding", "shared.", "embed_tokens", "relative_attention_bias"];

/// Bytes of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weights {
    /// In memory of the process.
    pub(super) packed: u64,
    /// Read where they are mapped: memory that the system can have back at any time, for the price of reading them again.
    pub(super) mapped: u64,
}

impl Weights {
    pub(super) fn all(self) -> u64 {
        self.packed + self.mapped
    }

    /// Of the tensors of a source, for a network in this precision whose linear layers are quantised so. With `lent`, what the source
    /// lends is packed for each product: of that, memory holds the largest.
    fn of(source: &dyn ParamSource, precision: Precision, quantize: Option<Format>, lent: bool) -> Self {
        let (mut weights, mut largest) = (Weights::default(), 0);
        for name in source.names() {
            let Some((shape, dtype)) = source.info(&name) else { continue };
            let values = shape.elem_count() as u64;
            let is_table = TABLES.iter().any(|table| name.contains(table));
            let quantized = quantize.filter(|_| shape.rank() == 2 && !is_table);
            if let Some(line) = quantized.and_then(|format| format.bytes(shape.dims()[1])) {
                weights.packed += (line * shape.dims()[0]) as u64;
                continue;
            }
            match source.quantized(&name).filter(|_| shape.rank() == 2) {
                Some(quantized) => weights.mapped += quantized.size() as u64,
                // Norms and biases are f32.
                None if shape.rank() < 2 => weights.packed += values * 4,
                None if lent && !is_table && source.lends(&name) => {
                    weights.mapped += values * dtype.size_in_bytes() as u64;
                    largest = largest.max(values * of_value(dtype, precision));
                }
                None => weights.packed += values * of_value(dtype, precision),
            }
        }
        weights.packed += largest;
        weights
    }
}

impl std::ops::Add for Weights {
    type Output = Weights;

    fn add(self, other: Weights) -> Weights {
        Weights { packed: self.packed + other.packed, mapped: self.mapped + other.mapped }
    }
}

/// Bytes of a value of a matrix or kernel on the CPU: half precision stays so, and what is rounded to it becomes so.
fn of_value(stored: DType, precision: Precision) -> u64 {
    match (precision, stored) {
        (Precision::F32, DType::F16 | DType::BF16) | (Precision::Bf16 | Precision::F16, _) => 2,
        (Precision::F32, _) => 4,
    }
}

/// What the weights of a model take.
#[derive(Debug, Clone, Copy)]
pub struct Footprint {
    pub(super) text: Weights,
    pub(super) denoiser: Weights,
    pub(super) vae: Weights,
    has_t5: bool,
    is_short: bool,
    low_memory: bool,
}

impl Footprint {
    /// Of a plan's model with its LoRAs.
    ///
    /// # Errors
    /// When weights are missing or their files damaged.
    pub(super) fn of(sources: &Sources, plan: &Plan, machine: &Machine) -> Result<Self> {
        let Family { denoiser, .. } = &plan.family;
        let quantize = sources.quantize().and_then(ggml_format);
        let weights = |component: &str, quantize| {
            Ok(Weights::of(sources.weights(component)?.as_ref(), machine.precision, quantize, machine.low_memory))
        };
        let of = |component| weights(component, quantize);
        let text = plan.family.text_components().map(of).sum::<Result<Weights>>()?;
        let mut footprint = Footprint {
            text,
            denoiser: of(denoiser.component())?,
            vae: weights("vae", None)?,
            has_t5: plan.family.t5.is_some(),
            is_short: false,
            low_memory: machine.low_memory,
        };
        footprint.is_short = memory::is_short_of(footprint.together().all(), plan, machine);
        Ok(footprint)
    }

    /// Whether the text encoders and the denoiser are not to be in memory at once: T5 is as large as a transformer, and needed once a
    /// prompt.
    pub(super) fn is_apart(&self) -> bool {
        self.has_t5 || self.is_short || self.low_memory
    }

    /// Whether memory is too short for all networks and the picture.
    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    /// Of all networks.
    pub(super) fn together(&self) -> Weights {
        self.text + self.denoiser + self.vae
    }

    /// Of what is there while the prompt is encoded, and while the picture is painted.
    pub(super) fn stages(&self) -> [Weights; 2] {
        if self.is_apart() {
            [self.text + self.vae, self.denoiser + self.vae]
        } else {
            [self.together(); 2]
        }
    }
}

impl std::iter::Sum for Weights {
    fn sum<I: Iterator<Item = Weights>>(all: I) -> Weights {
        all.fold(Weights::default(), |sum, weights| sum + weights)
    }
}

/// The memory that a plan takes on the CPU, in bytes, as far as it can be told before the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// While the prompt is encoded.
    pub encode: u64,
    /// While latents are denoised.
    pub sample: u64,
    /// While latents become pixels.
    pub decode: u64,
    /// The largest of these.
    pub peak: u64,
    /// What of that is weights that are read where they are mapped.
    pub mapped: u64,
}

impl MemoryPlan {
    /// Of a plan.
    ///
    /// # Errors
    /// When weights or LoRAs are missing, damaged, or do not fit each other.
    pub fn of(plan: &Plan, machine: &Machine) -> Result<Self> {
        let footprint = Footprint::of(&Sources::of(plan, machine, false, &mut Silent)?, plan, machine)?;
        let [encode, paint] = footprint.stages();
        let [sample, decode] = memory::of_work(plan, machine);
        let stages = [(encode, 0), (paint, sample), (paint, decode)];
        let [encode, sample, decode] =
            stages.map(|(weights, work)| (PROGRAM + plan.files.random_bytes() + weights.all() + work, weights.mapped));
        let (peak, mapped) = encode.max(sample).max(decode);
        Ok(MemoryPlan { encode: encode.0, sample: sample.0, decode: decode.0, peak, mapped })
    }
}
