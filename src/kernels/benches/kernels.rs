//! Kernels at the shapes of Stable Diffusion 1.5 at 512x512 with guidance, in f32 and bf16: `cargo bench -p sdgen-kernels`.
//! `SDGEN_ISA` chooses the instructions. An item is a multiplication with an addition, half a GFLOP/s of the usual count; `tile` is the
//! ceiling of the others: one tile again and again, all of it in the first-level cache, on one thread.

#![expect(clippy::unwrap_used, reason = "a bench may end")]

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{black_box, Bencher};
use half::bf16;
use sdgen_kernels::attention::{attention, Shape};
use sdgen_kernels::conv::{conv2d, Filters, Finish, Method, Pictures, Window};
use sdgen_kernels::elementwise::{geglu, Function};
use sdgen_kernels::gemm::{linear, Bias, Epilogue, Kernel, Packed, Rounding, Side, Target, Values};
use sdgen_kernels::join::join;
use sdgen_kernels::norm::{normalise, rms_normalise, Norm};
use sdgen_kernels::quant::{Format, Quantized, SharedBytes};
use sdgen_kernels::transpose::transpose_add;
use sdgen_kernels::Isa;

const ROUNDINGS: [Rounding; 2] = [Rounding::None, Rounding::Bf16];

fn main() {
    divan::main();
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 1000) as f32 * 1e-3 - 0.5).collect()
}

fn kernel(rounding: Rounding) -> Kernel {
    Kernel::new(Isa::current().unwrap(), rounding)
}

#[divan::bench(args = ROUNDINGS)]
fn tile(bencher: Bencher, rounding: Rounding) {
    let kernel = kernel(rounding);
    let (rows, width, units) = (kernel.rows(), kernel.width(), 128);
    let (a, b, mut c) = (vec![0; rows * units], vec![0; units * width], vec![0.0; rows * width]);
    let per_unit = if kernel.pairs() { 2 } else { 1 };
    bencher.counter(ItemsCount::new(rows * width * units * per_unit)).bench_local(|| {
        kernel.tile(width, units, black_box(&a), black_box(&b), &mut c, true);
    });
}

/// Channels and side of what convolutions are given, pictures: four levels of the UNet and two of the decoder.
const LEVELS: [(usize, usize, usize); 6] =
    [(320, 64, 2), (640, 32, 2), (1280, 16, 2), (1280, 8, 2), (512, 64, 1), (128, 256, 1)];

fn conv(
    bencher: Bencher,
    (channels, side, batch): (usize, usize, usize),
    taps: usize,
    rounding: Rounding,
    method: Method,
) {
    let pictures = Pictures { batch, channels, height: side, width: side, enlarged: None };
    let window = Window { kernel: taps, stride: 1, before: taps / 2, after: taps / 2 };
    let weights = values(channels * channels * taps * taps);
    let (x, bias) = (values(pictures.len()), values(channels));
    let filters = Filters::new(kernel(rounding), method, Values::F32(&weights), [channels, channels], window);
    let finish = Finish { bias: &bias, shift: None, function: None, residual: None };
    let mut out = vec![0.0; x.len()];
    bencher
        .counter(ItemsCount::new(x.len() * channels * taps * taps))
        .bench_local(|| conv2d(black_box(&x), &pictures, &filters, &finish, &mut out));
}

/// The layers around a UNet's transformers.
#[divan::bench(args = [LEVELS[0], LEVELS[1], LEVELS[2]], consts = [false, true])]
fn conv_1x1<const BF16: bool>(bencher: Bencher, level: (usize, usize, usize)) {
    conv(bencher, level, 1, ROUNDINGS[usize::from(BF16)], Method::Direct);
}

#[divan::bench(args = LEVELS, consts = [false, true])]
fn conv_3x3_direct<const BF16: bool>(bencher: Bencher, level: (usize, usize, usize)) {
    conv(bencher, level, 3, ROUNDINGS[usize::from(BF16)], Method::Direct);
}

/// Counted as the direct way would: what it saves shows as a higher rate.
#[divan::bench(args = LEVELS)]
fn conv_3x3_winograd(bencher: Bencher, level: (usize, usize, usize)) {
    conv(bencher, level, 3, Rounding::None, Method::Winograd);
}

/// Rows, inputs and outputs: projections, the feed-forward part, the prompt's keys.
#[divan::bench(args = ROUNDINGS, consts = [0, 1, 2, 3])]
fn linear_layers<const SHAPE: usize>(bencher: Bencher, rounding: Rounding) {
    let (rows, inputs, outputs) = [(8192, 320, 320), (8192, 320, 2560), (512, 5120, 1280), (154, 768, 320)][SHAPE];
    let (x, weights, bias) = (values(rows * inputs), values(outputs * inputs), values(outputs));
    let weights = Packed::weights(kernel(rounding), Side::Columns, Values::F32(&weights), [outputs, inputs, 1]);
    let target = Target::matrix(outputs);
    let epilogue = Epilogue { bias: Bias::Columns(&bias), function: None, residual: None, target };
    let mut out = vec![0.0; rows * outputs];
    bencher
        .counter(ItemsCount::new(rows * inputs * outputs))
        .bench_local(|| linear(black_box(&x), rows, &weights, &epilogue, &mut out));
}

/// A layer of FLUX, 3072 to 12288, with weights as they are stored: for tokens of a picture of 512x512, of T5, and for one vector.
#[divan::bench(args = [None, Some(Format::Q4_0), Some(Format::Q8_0), Some(Format::Q4K), Some(Format::Q6K), Some(Format::F8E4M3)], consts = [1280, 256, 1])]
fn stored<const ROWS: usize>(bencher: Bencher, format: Option<Format>) {
    let (inputs, outputs) = (3072, 12288);
    let kernel = kernel(Rounding::Bf16);
    let weights = match format {
        None => {
            let weights = vec![bf16::from_f32(0.01); inputs * outputs];
            Packed::weights(kernel, Side::Columns, Values::Bf16(&weights), [outputs, inputs, 1])
        }
        Some(format) => {
            let bytes = vec![0x11u8; outputs * format.bytes(inputs).unwrap()];
            let range = 0..bytes.len();
            let bytes = SharedBytes::new(Arc::new(bytes), range).unwrap();
            Packed::quantized(kernel, Quantized::new(format, bytes, [outputs, inputs]).unwrap())
        }
    };
    let x = values(ROWS * inputs);
    let target = Target::matrix(outputs);
    let epilogue = Epilogue { bias: Bias::None, function: None, residual: None, target };
    let mut out = vec![0.0; ROWS * outputs];
    bencher
        .counter(ItemsCount::new(ROWS * inputs * outputs))
        .bench_local(|| linear(black_box(&x), ROWS, &weights, &epilogue, &mut out));
}

/// Queries, keys and width of 8 heads, two pictures.
#[divan::bench(args = ROUNDINGS, consts = [0, 1, 2])]
fn attentions<const SHAPE: usize>(bencher: Bencher, rounding: Rounding) {
    let (queries, keys, width) = [(4096, 4096, 40), (4096, 77, 40), (256, 256, 160)][SHAPE];
    let shape = Shape { batch: 2, heads: 8, queries, keys, width };
    let (q, k) = (values(16 * queries * width), values(16 * keys * width));
    let (kernel, mut out) = (kernel(rounding), vec![0.0; q.len()]);
    bencher
        .counter(ItemsCount::new(2 * 16 * queries * keys * width))
        .bench_local(|| attention(&kernel, &shape, [black_box(&q), &k, &k], None, 0.1, &mut out));
}

/// An item is a value.
#[divan::bench]
fn group_norm_silu(bencher: Bencher) {
    let (x, scale, isa) = (values(2 * 320 * 4096), values(320), Isa::current().unwrap());
    let function = Some(Function::Silu);
    let norm = Norm { groups: 32, span: 4096, eps: 1e-5, scale: &scale, shift: &scale, function };
    let mut out = vec![0.0; x.len()];
    bencher.counter(ItemsCount::new(x.len())).bench_local(|| normalise(isa, &norm, black_box(&x), &mut out));
}

/// An item is a value: the queries of a FLUX block, and tokens of T5-XXL.
#[divan::bench(args = [128, 4096])]
fn rms_norm(bencher: Bencher, width: usize) {
    let (x, scale, isa) = (values(3072 * 1024), values(width), Isa::current().unwrap());
    let mut out = vec![0.0; x.len()];
    bencher.counter(ItemsCount::new(x.len())).bench_local(|| rms_normalise(isa, 1e-6, &scale, black_box(&x), &mut out));
}

/// An item is a value of the result.
#[divan::bench]
fn gated_gelu(bencher: Bencher) {
    let (x, mut out, isa) = (values(8192 * 2560), vec![0.0; 8192 * 1280], Isa::current().unwrap());
    bencher.counter(ItemsCount::new(out.len())).bench_local(|| geglu(isa, black_box(&x), 1280, &mut out));
}

/// An item is a value of the result: what a transformer adds to a picture.
#[divan::bench]
fn tokens_to_pixels(bencher: Bencher) {
    let (x, more, isa) = (values(2 * 320 * 4096), values(2 * 320 * 4096), Isa::current().unwrap());
    let mut out = vec![0.0; x.len()];
    bencher
        .counter(ItemsCount::new(out.len()))
        .bench_local(|| transpose_add(isa, black_box(&x), 4096, 320, &more, &mut out));
}

/// An item is a value of the result: a picture and its skip connection.
#[divan::bench]
fn joined_channels(bencher: Bencher) {
    let (a, b, isa) = (values(2 * 640 * 4096), values(2 * 320 * 4096), Isa::current().unwrap());
    let mut out = vec![0.0; a.len() + b.len()];
    bencher.counter(ItemsCount::new(out.len())).bench_local(|| join(isa, black_box(&a), &b, 2, &mut out));
}
