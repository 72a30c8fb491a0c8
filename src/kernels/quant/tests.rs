//! Each format against its definition, number by number.

use super::super::gemm::{linear, Bias, Epilogue, Kernel, Packed, Rounding, Side, Target, Values};
use super::*;

const ALL: [Format; 12] = [
    Format::Q4_0,
    Format::Q4_1,
    Format::Q5_0,
    Format::Q5_1,
    Format::Q8_0,
    Format::Q2K,
    Format::Q3K,
    Format::Q4K,
    Format::Q5K,
    Format::Q6K,
    Format::F8E4M3,
    Format::F8E5M2,
];

/// Bytes of any kind, but for the places of f16, which become numbers near 0.01.
fn bytes(format: Format, count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut bytes: Vec<u8> = (0..count).map(|_| next()).collect();
    let halves: &[usize] = match format {
        Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q2K => &[80, 82],
        Format::Q3K => &[108],
        Format::Q6K => &[208],
        Format::F8E4M3 | Format::F8E5M2 => &[],
    };
    for block in bytes.chunks_exact_mut(format.block().1) {
        for place in halves {
            block[place + 1] = block[place + 1] & 0x83 | 0x20;
        }
        if halves.is_empty() {
            // Neither infinity nor what is no number.
            block[0] &= 0xbf;
        }
    }
    bytes
}

fn matrix(format: Format, [rows, columns]: [usize; 2], seed: u32) -> Quantized {
    let bytes = bytes(format, rows * format.bytes(columns).unwrap(), seed);
    let range = 0..bytes.len();
    Quantized::new(format, SharedBytes::new(Arc::new(bytes), range).unwrap(), [rows, columns]).unwrap()
}

/// The naive twin: number `i` of a block, after the layouts in ggml's `ggml-common.h`.
fn number(format: Format, block: &[u8], i: usize) -> f32 {
    let half = |at: usize| half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let nibble = |start: usize| (block[start + i % 16] >> (i / 16 * 4) & 15) as i32;
    let bit = |start: usize, bit: usize| (block[start + bit / 8] >> (bit % 8) & 1) as i32;
    // K quants of four bits and more: eight groups of 32 with scales of six bits.
    let group = i / 32;
    let six = |start: usize, least: bool| {
        let (low, shift) = if least { (start + 4, 4) } else { (start, 0) };
        f32::from(match group {
            0..4 => block[low + group] & 63,
            _ => block[start + 4 + group] >> shift & 15 | block[low + group - 4] >> 6 << 4,
        })
    };
    let wide = |start: usize| (block[start + i / 64 * 32 + i % 32] >> (group % 2 * 4) & 15) as i32;
    match format {
        Format::Q4_0 => (nibble(2) - 8) as f32 * half(0),
        Format::Q4_1 => nibble(4) as f32 * half(0) + half(2),
        Format::Q5_0 => ((nibble(6) | bit(2, i) << 4) - 16) as f32 * half(0),
        Format::Q5_1 => (nibble(8) | bit(4, i) << 4) as f32 * half(0) + half(2),
        Format::Q8_0 => f32::from(block[2 + i].cast_signed()) * half(0),
        Format::Q2K => {
            let (scale, two) = (block[i / 16], block[16 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3);
            half(80) * f32::from(scale & 15) * f32::from(two) - half(82) * f32::from(scale >> 4)
        }
        Format::Q3K => {
            let (index, two) = (i / 16, block[32 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3);
            let low = if index < 8 { block[96 + index] & 15 } else { block[88 + index] >> 4 };
            let scale = i32::from(low | (block[104 + index % 4] >> (2 * (index / 4)) & 3) << 4) - 32;
            let number = i32::from(two) - if block[i % 32] >> (i / 32) & 1 == 1 { 0 } else { 4 };
            half(108) * scale as f32 * number as f32
        }
        Format::Q4K => half(0) * six(4, false) * wide(16) as f32 - half(2) * six(4, true),
        Format::Q5K => {
            let number = wide(48) | i32::from(block[16 + i % 32] >> group & 1) << 4;
            half(0) * six(4, false) * number as f32 - half(2) * six(4, true)
        }
        Format::Q6K => {
            let (part, quarter) = (i / 128, i % 128 / 32);
            let low = block[64 * part + quarter % 2 * 32 + i % 32] >> (quarter / 2 * 4) & 15;
            let high = block[128 + 32 * part + i % 32] >> (2 * quarter) & 3;
            half(208) * f32::from(block[192 + i / 16].cast_signed()) * (i32::from(low | high << 4) - 32) as f32
        }
        Format::F8E4M3 => {
            let (exponent, mantissa) = (i32::from(block[0] >> 3 & 15), f32::from(block[0] & 7));
            let magnitude = match exponent {
                0 => mantissa / 8.0 * 2f32.powi(-6),
                _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
            };
            if block[0] & 0x80 == 0 {
                magnitude
            } else {
                -magnitude
            }
        }
        Format::F8E5M2 => half::f16::from_le_bytes([0, block[0]]).to_f32(),
    }
}

#[test]
fn each_format_has_the_numbers_of_its_definition() {
    for isa in Isa::all() {
        for format in ALL {
            let matrix = matrix(format, [3, 768], 7);
            let (numbers, size) = format.block();
            for row in 0..3 {
                let line = &matrix.bytes.bytes()[row * matrix.line()..][..matrix.line()];
                let expected: Vec<f32> =
                    (0..768).map(|i| number(format, &line[i / numbers * size..][..size], i % numbers)).collect();
                let mut got = vec![f32::NAN; 768];
                matrix.row(isa, row, &mut got);
                assert_eq!(got, expected, "{isa} {format}");
                // From the middle of a large block on.
                matrix.widen(isa, row, 128, &mut got[..256]);
                assert_eq!(got[..256], expected[128..384], "{isa} {format}");
            }
        }
    }
}

#[test]
fn small_floats_are_all_there() {
    for bits in 0..=u16::MAX {
        let (mine, reference) = (float8::f16(u32::from(bits)), half::f16::from_bits(bits).to_f32());
        assert!(mine.to_bits() == reference.to_bits() || mine.is_nan() && reference.is_nan(), "{bits:x}");
    }
    let mut got = [0.0; 4];
    float8::e4m3(&[0x7f, 0xff, 0x7e, 0x01], &mut got);
    assert!(got[0].is_nan() && got[1].is_nan() && got[2..] == [448.0, 2f32.powi(-9)]);
}

#[test]
fn slices_and_scales_are_those_of_the_whole() {
    let isa = Isa::all()[0];
    let scales: Vec<f32> = (0..5).map(|i| 0.5 + i as f32).collect();
    let plain = matrix(Format::F8E4M3, [5, 40], 3);
    let scaled = plain.clone().scaled(&scales).unwrap();
    let part = scaled.slice_rows(1..4).unwrap().slice_rows(1..3).unwrap();
    let (mut got, mut expected) = (vec![0.0; 40], vec![0.0; 40]);
    part.row(isa, 1, &mut got);
    plain.row(isa, 3, &mut expected);
    expected.iter_mut().for_each(|x| *x *= scales[3]);
    assert_eq!((got, part.dims(), part.size()), (expected, [2, 40], 80));
    assert!(part.slice_rows(1..3).is_none() && part.clone().scaled(&[1.0]).is_none());
    assert!(plain.scaled(&[1.0, 2.0]).is_none());
    let bytes = SharedBytes::new(Arc::new(vec![0u8; 36]), 0..36).unwrap();
    assert!(Quantized::new(Format::Q4_0, bytes.clone(), [1, 64]).is_some());
    assert!(Quantized::new(Format::Q4_0, bytes.clone(), [2, 33]).is_none());
    assert!(Quantized::new(Format::Q4_0, bytes.clone(), [3, 32]).is_none());
    assert!(SharedBytes::new(Arc::new(vec![0u8; 3]), 0..4).is_none());
}

/// Widened tile by tile and widened first: the same operands, so the same bits.
#[test]
fn a_product_equals_that_of_the_widened_matrix() {
    for isa in Isa::all() {
        for (rounding, format) in
            [Rounding::None, Rounding::Bf16, Rounding::F16].into_iter().flat_map(|r| ALL.map(|f| (r, f)))
        {
            let kernel = Kernel::new(isa, rounding);
            for [rows, outputs, blocks] in [[1, 1, 1], [7, 50, 3], [70, 97, 2], [9, 200, 5]] {
                let depth = blocks * if format.block().0 == 1 { 133 } else { format.block().0 };
                let quantized = matrix(format, [outputs, depth], 11);
                let mut wide = vec![0.0; outputs * depth];
                wide.chunks_exact_mut(depth).enumerate().for_each(|(row, to)| quantized.row(isa, row, to));
                let x: Vec<f32> = (0..rows * depth).map(|i| (i as f32 * 0.37).sin()).collect();
                let epilogue =
                    Epilogue { bias: Bias::None, function: None, residual: None, target: Target::matrix(outputs) };
                let product = |weights: &Packed| {
                    let mut out = vec![f32::NAN; rows * outputs];
                    linear(&x, rows, weights, &epilogue, &mut out);
                    out
                };
                let expected =
                    product(&Packed::weights(kernel, Side::Columns, Values::F32(&wide), [outputs, depth, 1]));
                assert_eq!(product(&Packed::quantized(kernel, quantized)), expected, "{isa} {rounding:?} {format}");
            }
        }
    }
}
