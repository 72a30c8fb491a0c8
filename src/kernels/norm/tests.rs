//! Norms beside their definition in double precision, and by parts.

use super::*;

fn wave(count: usize, speed: f32) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * speed + 0.3).sin() + 2.0).collect()
}

/// The naive twin, in double precision.
fn naive(norm: &Norm, x: &[f32]) -> Vec<f64> {
    let channels = norm.scale.len() / norm.groups;
    let mut out = Vec::new();
    for (r, row) in x.chunks(channels * norm.span).enumerate() {
        let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / row.len() as f64;
        for (i, v) in row.iter().enumerate() {
            let channel = r % norm.groups * channels + i / norm.span;
            let y = (f64::from(*v) - mean) / (variance + norm.eps).sqrt() * f64::from(norm.scale[channel]);
            let y = y + f64::from(norm.shift[channel]);
            out.push(if norm.function.is_some() { y / (1.0 + (-y).exp()) } else { y });
        }
    }
    out
}

#[test]
fn equals_the_definition() {
    for (groups, channels, span, batch) in [
        (1, 7, 1, 3),
        (1, 1280, 1, 20),
        (1, 4099, 1, 2),
        (3, 6, 15, 2),
        (32, 320, 64, 1),
        (2, 2, 1, 5),
        (1, 2, 4100, 1),
    ] {
        let (scale, shift) = (wave(channels, 1.1), wave(channels, 0.7));
        for function in [None, Some(Function::Silu)] {
            let norm = Norm { groups, span, eps: 1e-5, scale: &scale, shift: &shift, function };
            let x = wave(batch * channels * span, 0.9);
            let expected = naive(&norm, &x);
            for isa in Isa::all() {
                let mut out = vec![f32::NAN; x.len()];
                normalise(isa, &norm, &x, &mut out);
                let worst = out.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                assert!(worst < 2e-5, "{isa} {groups} {channels} {span} {batch}: {worst}");
                let mut in_place = x.clone();
                normalise_in_place(isa, &norm, &mut in_place);
                assert_eq!(in_place, out, "{isa}");
            }
        }
    }
}

/// Rows whose results go past the caches, and the same rows alone.
#[test]
fn every_way_to_memory_gives_the_same_values() {
    let (scale, shift) = (wave(96, 1.1), wave(96, 0.7));
    for (groups, span) in [(1, 1), (2, 5000)] {
        let norm = Norm { groups, span, eps: 1e-5, scale: &scale, shift: &shift, function: Some(Function::Silu) };
        let row = 96 / groups * span;
        let x = wave((1_500_000 / row).next_multiple_of(groups) * row, 0.9);
        for isa in Isa::all() {
            let mut out = vec![f32::NAN; x.len()];
            assert!(streams(out.as_ptr(), out.len()));
            normalise(isa, &norm, &x, &mut out);
            let all = groups * row;
            let rows = out.chunks_exact(all).zip(x.chunks_exact(all)).step_by(if span == 1 { 997 } else { 1 });
            for (out, x) in rows {
                let mut alone = vec![f32::NAN; all];
                normalise(isa, &norm, x, &mut alone);
                assert_eq!(alone, out, "{isa} {groups}");
            }
        }
    }
}

#[test]
fn the_root_of_the_mean_square_becomes_one() {
    for (rows, width) in [(1, 1), (3, 7), (5, 16), (300, 33), (2, 4097), (1, 9000), (70, 128)] {
        let (scale, x) = (wave(width, 1.1), wave(rows * width, 0.9));
        let expected = x.chunks(width).flat_map(|row| {
            let mean = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / width as f64;
            let scaled = |(v, scale): (&f32, &f32)| f64::from(*v) / (mean + 0.25).sqrt() * f64::from(*scale);
            row.iter().zip(&scale).map(scaled).collect::<Vec<_>>()
        });
        let expected: Vec<f64> = expected.collect();
        for isa in Isa::all() {
            let mut out = vec![f32::NAN; x.len()];
            rms_normalise(isa, 0.25, &scale, &x, &mut out);
            let worst = out.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-6, "{isa} {rows} {width}: {worst}");
        }
    }
}

#[test]
fn moments_of_parts_are_those_of_the_whole() {
    let (scale, shift) = (wave(6, 1.1), wave(6, 0.7));
    let norm = Norm { groups: 3, span: 40, eps: 1e-5, scale: &scale, shift: &shift, function: None };
    let x = wave(240, 0.9);
    let isa = Isa::all()[0];
    let (mut whole, mut parts) = (vec![0.0; 240], vec![0.0; 240]);
    normalise(isa, &norm, &x, &mut whole);
    // Each row of 80 values in parts of 10, 0 and 70.
    let of = |row: usize| {
        let row = &x[row * 80..][..80];
        let [first, second] = [&row[..10], &row[10..]].map(|part| moments(isa, 1, part)[0]);
        first.merged(Moments::default()).merged(second)
    };
    normalise_as(isa, &norm, &[of(0), of(1), of(2)], &x, &mut parts);
    assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-6), "{whole:?} {parts:?}");
    assert!((of(1).mean - f64::from(x[80..160].iter().sum::<f32>() / 80.0)).abs() < 1e-6);
}
