//! Blocked attention against the naive one.

use super::super::gemm::Rounding;
use super::super::Isa;
use super::*;

fn wave(count: usize, speed: f32) -> Vec<f32> {
    (0..count).map(|i| half::bf16::from_f32((i as f32 * speed + 0.3).sin() * 2.0).to_f32()).collect()
}

/// The naive twin, in double precision.
fn naive(shape: &Shape, [q, k, v]: [&[f32]; 3], mask: Option<&[f32]>, scale: f32) -> Vec<f64> {
    let Shape { batch, heads, queries, keys, width } = *shape;
    let wide = |x: f32| f64::from(x);
    let mut out = Vec::new();
    for i in 0..batch * queries * heads {
        let (sequence, query, head) = (i / (queries * heads), i / heads % queries, i % heads);
        let at = |key: usize| ((sequence * keys + key) * heads + head) * width;
        let scores: Vec<f64> = (0..keys)
            .map(|key| {
                let product: f64 = (0..width).map(|c| wide(q[i * width + c]) * wide(k[at(key) + c])).sum();
                let own = |mask: &[f32]| if mask.len() > queries * keys { head * queries * keys } else { 0 };
                product * wide(scale) + mask.map_or(0.0, |mask| wide(mask[own(mask) + query * keys + key]))
            })
            .collect();
        let highest = scores.iter().copied().fold(f64::MIN, f64::max);
        let total: f64 = scores.iter().map(|s| (s - highest).exp()).sum();
        out.extend((0..width).map(|c| {
            let parts = scores.iter().enumerate().map(|(key, s)| (s - highest).exp() * wide(v[at(key) + c]));
            parts.sum::<f64>() / total
        }));
    }
    out
}

#[test]
fn equals_the_definition() {
    // The last number is that of masks.
    let shapes = [
        ([1, 1, 1, 1, 1], 0),
        ([2, 3, 9, 9, 8], 1),
        ([1, 2, 50, 77, 40], 0),
        ([3, 1, 2, 385, 64], 0),
        ([1, 2, 97, 800, 80], 0),
        ([1, 2, 7, 1000, 160], 1),
        ([2, 3, 60, 400, 24], 3),
        ([1, 1, 65, 65, 512], 0),
    ];
    for ([batch, heads, queries, keys, width], masks) in shapes {
        let shape = Shape { batch, heads, queries, keys, width };
        let (q, k, v) = (
            wave(batch * queries * heads * width, 0.37),
            wave(batch * keys * heads * width, 0.11),
            wave(batch * keys * heads * width, 0.23),
        );
        let hidden = |i: usize| i % keys > i / keys % queries + 3;
        let mask: Vec<f32> = (0..masks * queries * keys)
            .map(|i| if hidden(i) { f32::NEG_INFINITY } else { (i as f32 * 0.7).sin() })
            .collect();
        let (mask, scale) = ((masks > 0).then_some(mask.as_slice()), (width as f32).sqrt().recip());
        let expected = naive(&shape, [&q, &k, &v], mask, scale);
        for isa in Isa::all() {
            // Probabilities are rounded to bf16: 2^-9 of values up to 2.
            for (rounding, bound) in [(Rounding::None, 3e-6), (Rounding::Bf16, 8e-3)] {
                let mut out = vec![f32::NAN; q.len()];
                attention(&Kernel::new(isa, rounding), &shape, [&q, &k, &v], mask, scale, &mut out);
                let worst = out.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                assert!(worst < bound, "{isa} {rounding:?} {shape:?}: {worst}");
            }
        }
    }
}

#[test]
fn a_row_with_nothing_to_see_is_finite() {
    let shape = Shape { batch: 1, heads: 1, queries: 2, keys: 3, width: 4 };
    let (x, mut out) = (wave(12, 0.3), [f32::NAN; 8]);
    let kernel = Kernel::new(Isa::all()[0], Rounding::None);
    attention(&kernel, &shape, [&x[..8], &x, &x], Some(&[f32::NEG_INFINITY; 6]), 1.0, &mut out);
    assert!(out.iter().all(|y| y.is_finite()));
}
