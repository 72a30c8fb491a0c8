//! Blocks of 256 numbers with scales of their own for 16 or 32 (ggml's K quants), half a block at a time.

#![expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]

use super::blocks::half;

/// Numbers of half a block.
const NUMBERS: usize = 128;

/// The numbers of a line from half block `first` on, as `widen` makes them of a block and the number of its half.
#[inline(always)]
pub(super) fn each<const BYTES: usize>(
    line: &[u8],
    first: usize,
    to: &mut [f32],
    widen: impl Fn(&[u8; BYTES], usize, &mut [f32; NUMBERS]),
) {
    let (blocks, _) = line.as_chunks::<BYTES>();
    let (to, _) = to.as_chunks_mut::<NUMBERS>();
    for (i, to) in to.iter_mut().enumerate() {
        widen(&blocks[(first + i) / 2], (first + i) % 2, to);
    }
}

/// Sixteen or thirty-two numbers: `(bytes >> shift) & mask` times `scale`, less `least`.
#[inline(always)]
fn run(bytes: &[u8], shift: usize, mask: u8, [scale, least]: [f32; 2], to: &mut [f32]) {
    to.iter_mut().zip(bytes).for_each(|(to, byte)| *to = scale * f32::from(byte >> shift & mask) - least);
}

/// Scale and least value of six bits, number `index` of eight.
#[inline(always)]
fn six_bits(packed: &[u8], index: usize) -> [f32; 2] {
    let [scale, least] = match index {
        0..4 => [packed[index] & 63, packed[index + 4] & 63],
        _ => {
            let shared = packed[index + 4];
            [shared & 15 | packed[index - 4] >> 6 << 4, shared >> 4 | packed[index] >> 6 << 4]
        }
    };
    [f32::from(scale), f32::from(least)]
}

#[inline(always)]
pub(super) fn q2_k(block: &[u8; 84], part: usize, to: &mut [f32; NUMBERS]) {
    let (scales, numbers) = (&block[8 * part..][..8], &block[16 + 32 * part..][..32]);
    let (scale, least) = (half(block, 80), half(block, 82));
    for (i, (to, packed)) in to.chunks_exact_mut(16).zip(scales).enumerate() {
        let factors = [scale * f32::from(packed & 15), least * f32::from(packed >> 4)];
        run(&numbers[i % 2 * 16..][..16], i / 2 * 2, 3, factors, to);
    }
}

#[inline(always)]
pub(super) fn q3_k(block: &[u8; 110], part: usize, to: &mut [f32; NUMBERS]) {
    let (high, numbers, packed) = (&block[..32], &block[32 + 32 * part..][..32], &block[96..108]);
    let all = half(block, 108);
    for (i, to) in to.chunks_exact_mut(16).enumerate() {
        // Four lower bits in the first eight bytes, two upper ones in the last four.
        let index = 8 * part + i;
        let low = packed[index % 8] >> (index / 8 * 4) & 15;
        let scale = all * (i32::from(low | (packed[8 + index % 4] >> (index / 4 * 2) & 3) << 4) - 32) as f32;
        let (start, bit) = (i % 2 * 16, 4 * part + i / 2);
        let bytes = numbers[start..][..16].iter().zip(&high[start..][..16]);
        for (to, (byte, high)) in to.iter_mut().zip(bytes) {
            let number = i32::from(byte >> (i / 2 * 2) & 3) - 4 + (i32::from(high >> bit & 1) << 2);
            *to = scale * number as f32;
        }
    }
}

#[inline(always)]
pub(super) fn q4_k(block: &[u8; 144], part: usize, to: &mut [f32; NUMBERS]) {
    let (scale, least) = (half(block, 0), half(block, 2));
    let (packed, numbers) = (&block[4..16], &block[16 + 64 * part..][..64]);
    for (i, to) in to.chunks_exact_mut(32).enumerate() {
        let six = six_bits(packed, 4 * part + i);
        run(&numbers[i / 2 * 32..][..32], i % 2 * 4, 15, [scale * six[0], least * six[1]], to);
    }
}

#[inline(always)]
pub(super) fn q5_k(block: &[u8; 176], part: usize, to: &mut [f32; NUMBERS]) {
    let (scale, least) = (half(block, 0), half(block, 2));
    let (packed, high, numbers) = (&block[4..16], &block[16..48], &block[48 + 64 * part..][..64]);
    for (i, to) in to.chunks_exact_mut(32).enumerate() {
        let six = six_bits(packed, 4 * part + i);
        let (scale, least) = (scale * six[0], least * six[1]);
        let bytes = numbers[i / 2 * 32..][..32].iter().zip(high);
        for (to, (byte, high)) in to.iter_mut().zip(bytes) {
            let number = byte >> (i % 2 * 4) & 15 | (high >> (4 * part + i) & 1) << 4;
            *to = scale * f32::from(number) - least;
        }
    }
}

#[inline(always)]
pub(super) fn q6_k(block: &[u8; 210], part: usize, to: &mut [f32; NUMBERS]) {
    let (low, high) = (&block[64 * part..][..64], &block[128 + 32 * part..][..32]);
    let (scales, all) = (&block[192 + 8 * part..][..8], half(block, 208));
    for (i, to) in to.chunks_exact_mut(16).enumerate() {
        let scale = all * f32::from(scales[i].cast_signed());
        let (start, quarter) = (i % 2 * 16, i / 2);
        let bytes = low[quarter % 2 * 32 + start..][..16].iter().zip(&high[start..][..16]);
        for (to, (low, high)) in to.iter_mut().zip(bytes) {
            let number = i32::from(low >> (quarter / 2 * 4) & 15 | (high >> (2 * quarter) & 3) << 4) - 32;
            *to = scale * number as f32;
        }
    }
}
