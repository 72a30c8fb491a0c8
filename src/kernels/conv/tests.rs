//! Both ways of convolving against the definition.

use half::bf16;

use super::super::gemm::{Kernel, Rounding, Values};
use super::super::Isa;
use super::*;

fn wave(count: usize, speed: f32) -> Vec<f32> {
    (0..count).map(|i| bf16::from_f32((i as f32 * speed + 0.3).sin()).to_f32()).collect()
}

/// The naive twin, in double precision.
fn naive(x: &[f32], p: &Pictures, window: &Window, w: &[f32], outputs: usize, finish: &Finish) -> Vec<f64> {
    let (height, width) = window.outputs(p).unwrap();
    let (tall, wide) = p.size();
    let mut out = Vec::new();
    for i in 0..p.batch * outputs * height * width {
        let (picture, output, y, ox) =
            (i / (outputs * height * width), i / (height * width) % outputs, i / width % height, i % width);
        let mut sum =
            f64::from(finish.bias[output]) + finish.shift.map_or(0.0, |s| f64::from(s[picture * outputs + output]));
        for j in 0..p.channels * window.kernel * window.kernel {
            let (c, dy, dx) = (j / window.kernel.pow(2), j / window.kernel % window.kernel, j % window.kernel);
            let (iy, ix) = (
                (y * window.stride + dy).wrapping_sub(window.before),
                (ox * window.stride + dx).wrapping_sub(window.before),
            );
            if iy < tall && ix < wide {
                let place =
                    ((picture * p.channels + c) * p.height + iy * p.height / tall) * p.width + ix * p.width / wide;
                sum += f64::from(x[place]) * f64::from(w[output * p.channels * window.kernel.pow(2) + j]);
            }
        }
        out.push(sum + finish.residual.map_or(0.0, |r| f64::from(r[i])));
    }
    out
}

/// Both methods where they apply. Winograd's transforms lose about a digit.
fn check(
    [batch, channels, height, width]: [usize; 4],
    enlarged: Option<(usize, usize)>,
    outputs: usize,
    window: Window,
) {
    let pictures = Pictures { batch, channels, height, width, enlarged };
    let (x, taps) = (wave(pictures.len(), 0.37), window.kernel * window.kernel);
    let w = wave(outputs * channels * taps, 0.11);
    let (out_height, out_width) = window.outputs(&pictures).unwrap();
    let (bias, shift) = (wave(outputs, 0.7), wave(batch * outputs, 0.9));
    let residual = wave(batch * outputs * out_height * out_width, 0.13);
    let finish = Finish { bias: &bias, shift: Some(&shift), function: None, residual: Some(&residual) };
    let expected = naive(&x, &pictures, &window, &w, outputs, &finish);
    let scale = ((channels * taps) as f64).sqrt();
    for isa in Isa::all() {
        for rounding in [Rounding::None, Rounding::Bf16] {
            let kernel = Kernel::new(isa, rounding);
            for (method, bound) in [(Method::Direct, 1.2e-6), (Method::Winograd, 8e-6)] {
                if !method.applies(&kernel, &window) {
                    continue;
                }
                let filters = Filters::new(kernel, method, Values::F32(&w), [outputs, channels], window);
                let mut out = vec![f32::NAN; expected.len()];
                conv2d(&x, &pictures, &filters, &finish, &mut out);
                let worst = out.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                println!("{method:?} {isa} {rounding:?} {pictures:?} {window:?}: {}", worst / scale);
                assert!(worst < bound * scale, "{method:?} {isa} {rounding:?} {pictures:?} {window:?}: {worst}");
            }
        }
    }
}

const SAME: Window = Window { kernel: 3, stride: 1, before: 1, after: 1 };

#[test]
fn equals_the_definition() {
    check([2, 3, 5, 7], None, 4, SAME);
    check([2, 3, 5, 7], None, 4, Window { kernel: 1, stride: 1, before: 0, after: 0 });
    check([1, 3, 5, 7], None, 9, Window { kernel: 5, stride: 1, before: 2, after: 2 });
    check([3, 2, 1, 1], None, 3, SAME);
    check([1, 5, 1, 50], None, 1, SAME);
    check([2, 5, 50, 1], None, 17, SAME);
    check([2, 9, 16, 8], None, 33, SAME);
    check([2, 4, 8, 64], None, 8, SAME);
    for (height, width) in [(6, 8), (5, 7), (2, 3), (33, 17)] {
        check([2, 3, height, width], None, 2, Window { stride: 2, ..SAME });
        check([1, 3, height, width], None, 2, Window { stride: 2, before: 0, ..SAME });
    }
}

#[test]
fn enlarging_first_is_folded_in() {
    check([2, 3, 4, 8], Some((8, 16)), 5, SAME);
    check([1, 4, 3, 5], Some((5, 9)), 2, SAME);
}

/// Groups of channels, chunks of rows, blocks and strips of squares that are whole and that are not.
#[test]
fn winograd_joins_its_parts() {
    for (size, outputs) in [([1, 67, 13, 100], 3), ([3, 130, 7, 6], 42), ([1, 64, 33, 65], 70), ([2, 1, 4, 4], 1)] {
        check(size, None, outputs, SAME);
    }
    // Several chunks of rows for two blocks of which the second is narrower.
    check([1, 2, 123, 120], None, 70, SAME);
    check([1, 3, 9, 9], None, 2, Window { before: 0, after: 2, ..SAME });
    check([1, 3, 9, 9], None, 2, Window { before: 2, after: 0, ..SAME });
    check([1, 70, 5, 7], Some((10, 14)), 9, SAME);
}

#[test]
fn wide_layers_of_3x3_are_winograds() {
    let kernel = Kernel::new(Isa::all()[0], Rounding::None);
    let method = |shape, window| Method::fastest(&kernel, shape, &window);
    assert_eq!(method([128, 512], SAME), Method::Winograd);
    assert_eq!(method([4, 320], SAME), Method::Direct);
    assert_eq!(method([320, 320], Window { stride: 2, ..SAME }), Method::Direct);
    for isa in Isa::all() {
        let kernel = Kernel::new(isa, Rounding::Bf16);
        assert_eq!(Method::fastest(&kernel, [320, 320], &SAME) == Method::Direct, kernel.pairs());
    }
}

#[test]
fn strips_join_without_a_seam() {
    // 18 units a pixel of f32: strips of 465 rows of 1002 pixels.
    check([1, 18, 600, 1000], None, 1, Window { kernel: 2, stride: 1, before: 1, after: 0 });
}

/// Two pictures are so large that their outputs go past the caches, and one is not.
#[test]
fn every_way_to_memory_gives_the_same_values() {
    let pictures = Pictures { batch: 2, channels: 3, height: 64, width: 160, enlarged: None };
    let one = Pictures { batch: 1, ..pictures };
    let (outputs, x) = (52, wave(pictures.len(), 0.37));
    let (w, bias, shift) = (wave(outputs * 3 * 9, 0.11), wave(outputs, 0.7), wave(2 * outputs, 1.3));
    let residual = wave(2 * outputs * 64 * 160, 0.9);
    for window in [SAME, Window { kernel: 1, before: 0, after: 0, ..SAME }] {
        let w = &w[..outputs * 3 * window.kernel.pow(2)];
        for isa in Isa::all() {
            let kernel = Kernel::new(isa, Rounding::None);
            for method in [Method::Direct, Method::Winograd].into_iter().filter(|m| m.applies(&kernel, &window)) {
                let filters = Filters::new(kernel, method, Values::F32(w), [outputs, 3], window);
                let run = |x: &[f32], pictures: &Pictures, shift: &[f32], residual: &[f32]| {
                    let finish = Finish { bias: &bias, shift: Some(shift), function: None, residual: Some(residual) };
                    let mut out = vec![f32::NAN; residual.len()];
                    conv2d(x, pictures, &filters, &finish, &mut out);
                    out
                };
                let both = run(&x, &pictures, &shift, &residual);
                assert!(super::super::stream::streams(both.as_ptr(), both.len()));
                for (i, both) in both.chunks_exact(both.len() / 2).enumerate() {
                    let residual = &residual[i * both.len()..][..both.len()];
                    let alone = run(&x[i * one.len()..][..one.len()], &one, &shift[i * outputs..][..outputs], residual);
                    assert_eq!(alone, both, "{method:?} {isa} {window:?}");
                }
            }
        }
    }
}
