//! The result of `sdgen bench`. The names of the fields are those of its JSON, which `docs/bench.md` describes.

use std::time::Duration;

use serde::Serialize;

use crate::cli::BenchArgs;
use crate::nn::profile::{LayerKind, Spent};
use crate::nn::Precision;
use crate::pipeline::{Cpu, Machine, Measured, Plan, Times};

/// The version of the JSON's layout.
const SCHEMA: u32 = 1;

/// What is printed. Fields that are `None` were not asked for, or are not known on this system or device.
#[derive(Debug, Serialize)]
pub struct Report {
    event: &'static str,
    schema: u32,
    pub model: String,
    pub random_weights: bool,
    pub width: usize,
    pub height: usize,
    pub batch: usize,
    pub device: String,
    pub dtype: String,
    pub isa: Option<String>,
    pub threads: Option<usize>,
    runs: usize,
    pub load_s: f64,
    encode_s: Option<f64>,
    step_s: Option<f64>,
    control_step_s: Option<f64>,
    /// What ControlNets multiply the time of a step by: the median over the runs, each beside the one before it.
    pub control_factor: Option<f64>,
    decode_s: Option<f64>,
    pub peak_rss_mib: Option<f64>,
    pub peak_gflops_f32: Option<f64>,
    pub peak_gflops_bf16: Option<f64>,
    pub encode: Option<Stage>,
    pub step: Option<Stage>,
    pub control_step: Option<Stage>,
    pub decode: Option<Stage>,
}

/// A stage, from the times of its runs; the rest are means over the runs.
#[derive(Debug, Serialize)]
pub struct Stage {
    pub median_s: f64,
    pub min_s: f64,
    pub max_s: f64,
    runs_s: Vec<f64>,
    /// Convolutions and linear layers together.
    pub products: Row,
    /// All kinds that occur, and what is no layer: the shares are those of the whole.
    pub layers: Vec<Row>,
}

/// Layers of one kind.
#[derive(Debug, Serialize)]
pub struct Row {
    pub kind: &'static str,
    pub calls: Option<usize>,
    pub seconds: f64,
    pub share: f64,
    pub gflop: Option<f64>,
    pub gflops: Option<f64>,
    pub of_peak: Option<f64>,
}

impl Report {
    /// What was measured of a plan.
    pub fn new(plan: &Plan, machine: &Machine, args: &BenchArgs, measured: &Measured) -> Self {
        let (width, height) = plan.size();
        let cpu = measured.cpu;
        let peak = cpu.map(|cpu| peak_of(cpu, machine.precision));
        let stage = |times: &Option<Times>| times.as_ref().map(|times| Stage::new(times, peak));
        let (encode, step, decode) = (stage(&measured.encode), stage(&measured.step), stage(&measured.decode));
        let control_step = stage(&measured.control);
        let median = |stage: &Option<Stage>| stage.as_ref().map(|stage| stage.median_s);
        Report {
            event: "bench",
            schema: SCHEMA,
            model: plan.files.name(),
            random_weights: args.random_weights,
            width,
            height,
            batch: measured.samples,
            device: machine.device_name.clone(),
            dtype: machine.precision.to_string(),
            isa: cpu.map(|cpu| cpu.isa.to_string()),
            threads: cpu.map(|cpu| cpu.threads),
            runs: args.steps,
            load_s: measured.load,
            encode_s: median(&encode),
            step_s: median(&step),
            control_step_s: median(&control_step),
            control_factor: measured
                .step
                .as_ref()
                .zip(measured.control.as_ref())
                .map(|(step, with)| factor(step, with)),
            decode_s: median(&decode),
            peak_rss_mib: measured.peak_memory.map(|bytes| bytes as f64 / f64::from(1 << 20)),
            peak_gflops_f32: cpu.map(|cpu| cpu.peak.f32),
            peak_gflops_bf16: cpu.and_then(|cpu| cpu.peak.bf16_pairs),
            encode,
            step,
            control_step,
            decode,
        }
    }
}

impl Report {
    /// Whether linear layers were faster than is possible, so that the peak was measured wrong. Convolutions can be: there are ways
    /// to compute them with fewer operations.
    pub fn outruns_peak(&self) -> bool {
        let stages = [&self.encode, &self.step, &self.control_step, &self.decode].into_iter().flatten();
        let mut linear = stages.flat_map(|stage| &stage.layers).filter(|row| row.kind == name(LayerKind::Linear));
        linear.any(|row| row.of_peak.is_some_and(|part| part > 1.0))
    }
}

/// What products can reach at best: operands in bf16 have instructions of their own on some processors, which are not always faster.
fn peak_of(cpu: Cpu, precision: Precision) -> f64 {
    cpu.peak.bf16_pairs.filter(|_| precision == Precision::Bf16).map_or(cpu.peak.f32, |pairs| pairs.max(cpu.peak.f32))
}

impl Stage {
    fn new(times: &Times, peak: Option<f64>) -> Self {
        let sorted = sorted(times.seconds.clone());
        let count = sorted.len();
        let profile = &times.profile;
        let row = |kind, spent: Spent| Row::new(kind, spent, profile.total(), count, peak);
        let of = |kind| profile.spent(kind);
        let kinds = LayerKind::ALL.into_iter().filter(|kind| of(*kind).calls > 0);
        let mut layers: Vec<Row> = kinds.map(|kind| row(name(kind), of(kind))).collect();
        let other = Row { calls: None, ..row("other", Spent { time: profile.other(), ..Spent::default() }) };
        layers.push(other);
        let products = LayerKind::ALL.into_iter().filter(|kind| kind.is_product()).map(of);
        let products = products.fold(Spent::default(), |sum, spent| Spent {
            calls: sum.calls + spent.calls,
            time: sum.time + spent.time,
            flops: sum.flops + spent.flops,
        });
        Stage {
            median_s: middle(&sorted),
            min_s: sorted[0],
            max_s: sorted[count - 1],
            runs_s: times.seconds.clone(),
            products: row("products", products),
            layers,
        }
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The median of sorted values.
fn middle(sorted: &[f64]) -> f64 {
    let count = sorted.len();
    (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0
}

/// The median of each run's time as a multiple of the run before it, of `plain`.
fn factor(plain: &Times, with: &Times) -> f64 {
    middle(&sorted(with.seconds.iter().zip(&plain.seconds).map(|(with, plain)| with / plain).collect()))
}

impl Row {
    /// `spent` and `total` are those of all runs.
    fn new(kind: &'static str, spent: Spent, total: Duration, runs: usize, peak: Option<f64>) -> Self {
        let (seconds, gflop) = (spent.time.as_secs_f64(), spent.flops as f64 * 1e-9);
        let counted = spent.flops > 0 && seconds > 0.0;
        let gflops = counted.then(|| gflop / seconds);
        Row {
            kind,
            calls: Some(spent.calls / runs),
            seconds: seconds / runs as f64,
            share: if total.is_zero() { 0.0 } else { seconds / total.as_secs_f64() },
            gflop: counted.then_some(gflop / runs as f64),
            gflops,
            of_peak: gflops.zip(peak).map(|(reached, peak)| reached / peak),
        }
    }
}

fn name(kind: LayerKind) -> &'static str {
    match kind {
        LayerKind::Conv3x3 => "conv_3x3",
        LayerKind::Conv1x1 => "conv_1x1",
        LayerKind::ConvOther => "conv_other",
        LayerKind::Linear => "linear",
        LayerKind::SelfAttention => "self_attention",
        LayerKind::CrossAttention => "cross_attention",
        LayerKind::Norm => "norm",
        LayerKind::Activation => "activation",
    }
}
