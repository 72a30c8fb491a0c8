//! The kernels beside what others compute the same with, in f32: `cargo bench --bench yardsticks`. Products beside the
//! library `gemm`, convolution, attention and norms beside the layers of candle. An item is a multiplication with an addition of
//! the definition, or a value for norms; `SDGEN_ISA` chooses the instructions of the kernels alone.

#![expect(clippy::unwrap_used, reason = "a bench may end")]
#![expect(unsafe_code, reason = "the yardstick takes pointers")]

use candle_core::{Device, Tensor, D};
use candle_nn::Module;
use divan::counter::ItemsCount;
use divan::{black_box, Bencher};
use sdgen::kernels::attention::{attention, Shape};
use sdgen::kernels::conv::{conv2d, Filters, Finish, Method, Pictures, Window};
use sdgen::kernels::elementwise::Function;
use sdgen::kernels::gemm::{linear, Bias, Epilogue, Kernel, Packed, Rounding, Side, Target, Values};
use sdgen::kernels::norm::{normalise, Norm};
use sdgen::kernels::Isa;

fn main() {
    divan::main();
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 1000) as f32 * 1e-3 - 0.5).collect()
}

fn tensor(shape: &[usize]) -> Tensor {
    Tensor::from_vec(values(shape.iter().product()), shape, &Device::Cpu).unwrap()
}

fn kernel() -> Kernel {
    Kernel::new(Isa::current().unwrap(), Rounding::None)
}

/// Rows, inputs and outputs of linear layers.
const PRODUCTS: [(usize, usize, usize); 3] = [(8192, 320, 320), (8192, 320, 2560), (512, 5120, 1280)];

#[divan::bench(args = PRODUCTS)]
fn product_kernels(bencher: Bencher, (rows, inputs, outputs): (usize, usize, usize)) {
    let (x, weights) = (values(rows * inputs), values(outputs * inputs));
    let weights = Packed::weights(kernel(), Side::Columns, Values::F32(&weights), [outputs, inputs, 1]);
    let epilogue = Epilogue { bias: Bias::None, function: None, residual: None, target: Target::matrix(outputs) };
    let mut out = vec![0.0; rows * outputs];
    let bencher = bencher.counter(ItemsCount::new(rows * inputs * outputs));
    bencher.bench_local(|| linear(black_box(&x), rows, &weights, &epilogue, &mut out));
}

/// Weights [outputs, inputs] are given as they are stored: the library packs them each time.
#[divan::bench(args = PRODUCTS)]
fn product_gemm(bencher: Bencher, (rows, inputs, outputs): (usize, usize, usize)) {
    let (x, weights, mut out) = (values(rows * inputs), values(outputs * inputs), vec![0f32; rows * outputs]);
    let bencher = bencher.counter(ItemsCount::new(rows * inputs * outputs));
    bencher.bench_local(|| {
        // SAFETY: the strides are those of the three matrices.
        unsafe {
            gemm::gemm(
                rows,
                outputs,
                inputs,
                out.as_mut_ptr(),
                1,
                outputs as isize,
                false,
                black_box(x.as_ptr()),
                1,
                inputs as isize,
                weights.as_ptr(),
                inputs as isize,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::Rayon(0),
            );
        }
    });
}

/// Channels and side of 3x3 convolutions of two pictures.
const LEVELS: [(usize, usize); 3] = [(320, 64), (640, 32), (1280, 16)];

#[divan::bench(args = LEVELS)]
fn conv_3x3_kernels(bencher: Bencher, (channels, side): (usize, usize)) {
    let pictures = Pictures { batch: 2, channels, height: side, width: side, enlarged: None };
    let window = Window { kernel: 3, stride: 1, before: 1, after: 1 };
    let (x, weights, bias) = (values(pictures.len()), values(channels * channels * 9), values(channels));
    let method = Method::fastest(&kernel(), [channels, channels], &window);
    let filters = Filters::new(kernel(), method, Values::F32(&weights), [channels, channels], window);
    let finish = Finish { bias: &bias, shift: None, function: None, residual: None };
    let mut out = vec![0.0; x.len()];
    let bencher = bencher.counter(ItemsCount::new(x.len() * channels * 9));
    bencher.bench_local(|| conv2d(black_box(&x), &pictures, &filters, &finish, &mut out));
}

#[divan::bench(args = LEVELS)]
fn conv_3x3_candle(bencher: Bencher, (channels, side): (usize, usize)) {
    let config = candle_nn::Conv2dConfig { padding: 1, ..candle_nn::Conv2dConfig::default() };
    let (weights, x) = (tensor(&[channels, channels, 3, 3]), tensor(&[2, channels, side, side]));
    let layer = candle_nn::Conv2d::new(weights, Some(tensor(&[channels])), config);
    let bencher = bencher.counter(ItemsCount::new(x.elem_count() * channels * 9));
    bencher.bench_local(|| layer.forward(black_box(&x)).unwrap());
}

/// Tokens and width of 8 heads that attend to themselves, two pictures.
const HEADS: [(usize, usize); 3] = [(4096, 40), (1024, 80), (256, 160)];

#[divan::bench(args = HEADS)]
fn attention_kernels(bencher: Bencher, (tokens, width): (usize, usize)) {
    let shape = Shape { batch: 2, heads: 8, queries: tokens, keys: tokens, width };
    let (x, mut out) = (values(16 * tokens * width), vec![0.0; 16 * tokens * width]);
    let bencher = bencher.counter(ItemsCount::new(2 * 16 * tokens * tokens * width));
    bencher.bench_local(|| attention(&kernel(), &shape, [black_box(&x), &x, &x], None, 0.1, &mut out));
}

#[divan::bench(args = HEADS)]
fn attention_candle(bencher: Bencher, (tokens, width): (usize, usize)) {
    let x = tensor(&[2, 8, tokens, width]);
    let bencher = bencher.counter(ItemsCount::new(2 * 16 * tokens * tokens * width));
    bencher.bench_local(|| {
        let scores = (black_box(&x).matmul(&x.t().unwrap()).unwrap() * 0.1).unwrap();
        candle_nn::ops::softmax(&scores, D::Minus1).unwrap().matmul(&x).unwrap()
    });
}

#[divan::bench]
fn group_norm_silu_kernels(bencher: Bencher) {
    let (x, scale, isa) = (values(2 * 320 * 4096), values(320), Isa::current().unwrap());
    let function = Some(Function::Silu);
    let norm = Norm { groups: 32, span: 4096, eps: 1e-5, scale: &scale, shift: &scale, function };
    let mut out = vec![0.0; x.len()];
    bencher.counter(ItemsCount::new(x.len())).bench_local(|| normalise(isa, &norm, black_box(&x), &mut out));
}

#[divan::bench]
fn group_norm_silu_candle(bencher: Bencher) {
    let (x, scale) = (tensor(&[2, 320, 64, 64]), tensor(&[320]));
    let norm = candle_nn::GroupNorm::new(scale.clone(), scale, 320, 32, 1e-5).unwrap();
    let bencher = bencher.counter(ItemsCount::new(x.elem_count()));
    bencher.bench_local(|| norm.forward(black_box(&x)).unwrap().silu().unwrap());
}
