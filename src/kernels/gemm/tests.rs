//! The product against the definition.

use super::super::elementwise::Function;
use super::super::simd::bytes;
use super::super::Isa;
use super::*;
use half::{bf16, f16};

pub(crate) fn wave(count: usize, speed: f32) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * speed + 0.3).sin()).collect()
}

fn rounded(rounding: Rounding, x: f32) -> f64 {
    f64::from(match rounding {
        Rounding::None => x,
        Rounding::Bf16 => bf16::from_f32(x).to_f32(),
        Rounding::F16 => f16::from_f32(x).to_f32(),
    })
}

/// The naive twin of [`linear`], in double precision.
fn naive(x: &[f32], w: &[f32], [rows, outputs, depth]: [usize; 3], rounding: Rounding) -> Vec<f64> {
    let at = |values: &[f32], i: usize| rounded(rounding, values[i]);
    (0..rows * outputs)
        .map(|i| (0..depth).map(|k| at(x, i / outputs * depth + k) * at(w, i % outputs * depth + k)).sum())
        .collect()
}

fn close(got: &[f32], expected: &[f64], depth: usize) -> bool {
    let bound = 3e-7 * (depth as f64).sqrt() + 1e-6;
    got.iter().zip(expected).all(|(got, expected)| (f64::from(*got) - expected).abs() < bound * (1.0 + expected.abs()))
}

const SHAPES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [1, 5, 3],
    [2, 1, 7],
    [3, 48, 128],
    [8, 49, 129],
    [9, 47, 257],
    [77, 96, 33],
    [100, 64, 300],
    [13, 700, 5],
    [250, 17, 2],
];

#[test]
fn linear_equals_the_definition() {
    for isa in Isa::all() {
        for rounding in [Rounding::None, Rounding::Bf16, Rounding::F16] {
            let kernel = Kernel::new(isa, rounding);
            for shape @ [rows, outputs, depth] in SHAPES {
                let (x, w) = (wave(rows * depth, 0.37), wave(outputs * depth, 0.11));
                let weights = Packed::weights(kernel, Side::Columns, Values::F32(&w), [outputs, depth, 1]);
                let (mut out, bias) = (vec![f32::NAN; rows * outputs], wave(outputs, 0.7));
                let plain =
                    Epilogue { bias: Bias::None, function: None, residual: None, target: Target::matrix(outputs) };
                linear(&x, rows, &weights, &plain, &mut out);
                let expected = naive(&x, &w, shape, rounding);
                assert!(close(&out, &expected, depth), "{isa} {rounding:?} {shape:?}");
                let residual = wave(rows * outputs, 0.9);
                let all = Epilogue {
                    bias: Bias::Columns(&bias),
                    function: Some(Function::Silu),
                    residual: Some(&residual),
                    ..plain
                };
                linear(&x, rows, &weights, &all, &mut out);
                let expected: Vec<f64> = (0..out.len())
                    .map(|i| {
                        let y = expected[i] + f64::from(bias[i % outputs]);
                        y / (1.0 + (-y).exp()) + f64::from(residual[i])
                    })
                    .collect();
                assert!(close(&out, &expected, depth), "epilogue {isa} {rounding:?} {shape:?}");
            }
        }
    }
}

#[test]
fn half_precision_weights_stay_half_as_large() {
    let w = wave(70 * 131, 0.11);
    let (f16s, bf16s): (Vec<f16>, Vec<bf16>) = w.iter().map(|x| (f16::from_f32(*x), bf16::from_f32(*x))).unzip();
    let x = wave(9 * 131, 0.37);
    for isa in Isa::all() {
        let kernel = Kernel::new(isa, Rounding::None);
        let wide: Vec<f32> = f16s.iter().map(|x| x.to_f32()).collect();
        let pack = |values| Packed::weights(kernel, Side::Columns, values, [70, 131, 1]);
        let (half, whole, other) = (pack(Values::F16(&f16s)), pack(Values::F32(&wide)), pack(Values::Bf16(&bf16s)));
        assert_eq!(2 * half.bytes(), whole.bytes());
        assert_eq!(half.bytes(), other.bytes());
        let epilogue = Epilogue { bias: Bias::None, function: None, residual: None, target: Target::matrix(70) };
        let [mut a, mut b] = [vec![0.0; 9 * 70], vec![0.0; 9 * 70]];
        linear(&x, 9, &half, &epilogue, &mut a);
        linear(&x, 9, &whole, &epilogue, &mut b);
        assert_eq!(a, b, "{isa}");
        let rounding = Kernel::new(isa, Rounding::Bf16);
        let packed = Packed::weights(rounding, Side::Columns, Values::F32(&w), [70, 131, 1]);
        assert!(packed.bytes() <= half.bytes() + 4 * 70 * 16, "{isa}");
    }
}

/// Results are the same bits whether they go past the caches or not, and whether a tile leaves its registers at once or not.
#[test]
fn every_way_to_memory_gives_the_same_values() {
    let [rows, outputs, depth] = [1029, 1040, 130];
    let (x, w, bias) = (wave(rows * depth, 0.37), wave(outputs * depth, 0.11), wave(outputs, 0.7));
    let residual = wave(rows * outputs, 0.9);
    for isa in Isa::all() {
        let kernel = Kernel::new(isa, Rounding::None);
        let weights = Packed::weights(kernel, Side::Columns, Values::F32(&w), [outputs, depth, 1]);
        for (bias, residual) in [(Bias::None, None), (Bias::Columns(&bias), Some(&residual[..]))] {
            let epilogue = Epilogue { bias, function: None, residual, target: Target::matrix(outputs) };
            let mut streamed = vec![f32::NAN; rows * outputs];
            assert!(super::super::stream::streams(streamed.as_ptr(), streamed.len()));
            linear(&x, rows, &weights, &epilogue, &mut streamed);
            for (row, streamed) in streamed.chunks_exact(outputs).enumerate().step_by(79) {
                let mut alone = vec![f32::NAN; outputs];
                let residual = residual.map(|residual| &residual[row * outputs..][..outputs]);
                linear(&x[row * depth..][..depth], 1, &weights, &Epilogue { residual, ..epilogue }, &mut alone);
                assert_eq!(alone, streamed, "{isa} {row}");
            }
        }
    }
}

#[test]
fn tasks_cover_every_size() {
    for isa in Isa::all() {
        let kernel = Kernel::new(isa, Rounding::None);
        for (lines, weights) in [(1, 1), (1, 5000), (5000, 1), (512, 1280), (8192, 320), (154, 640), (1 << 20, 128)] {
            for (side, other) in [(Side::Rows, Side::Columns), (Side::Columns, Side::Rows)] {
                let (fixed, other) = (Panels::new(&kernel, side, weights, 9), Panels::new(&kernel, other, lines, 9));
                for (threads, packed) in [(1, true), (2, false), (7, true), (64, false)] {
                    let cost = if packed { OPERAND_COST } else { QUANTIZED_COST };
                    let (a, b) = steps((&fixed, cost), (&other, packed), threads);
                    assert!((1..=fixed.count()).contains(&a) && (1..=other.count()).contains(&b));
                    assert!(a * fixed.height * b * other.height <= SUMS);
                }
            }
        }
    }
}

#[test]
fn what_is_asked_for_ahead_is_what_comes_next() {
    let (lines, depth) = (250, 300);
    for isa in Isa::all() {
        let kernel = Kernel::new(isa, Rounding::None);
        let weights = wave(lines * depth, 0.37);
        let packed = Packed::weights(kernel, Side::Columns, Values::F32(&weights), [lines, depth, 1]);
        let (panels, mut scratch) = (0..packed.panels.count(), Vec::new());
        let mut asked: Option<Vec<u8>> = None;
        for block in 0..packed.panels.blocks() {
            for panel in panels.clone() {
                let units = packed.block(block, &(panel..panel + 1), &mut scratch);
                let next = bytes(units).to_vec();
                assert!(asked.is_none_or(|asked| asked == next), "{isa} {block} {panel}");
                asked = Some(packed.ahead(block, &panels, panel).to_vec());
            }
        }
        assert_eq!(asked, Some(Vec::new()));
    }
}
