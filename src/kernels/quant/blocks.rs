//! Blocks of 32 numbers. The first 16 are in the lower halves of bytes, the others in the upper ones.

#![expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]

use super::float8::f16;

/// Numbers of a block.
const NUMBERS: usize = 32;

/// The numbers of a line from block `first` on, as `widen` makes them of a block.
#[inline(always)]
pub(super) fn each<const BYTES: usize>(
    line: &[u8],
    first: usize,
    to: &mut [f32],
    widen: impl Fn(&[u8; BYTES], &mut [f32; NUMBERS]),
) {
    let (blocks, _) = line.as_chunks::<BYTES>();
    let (to, _) = to.as_chunks_mut::<NUMBERS>();
    blocks[first..].iter().zip(to).for_each(|(block, to)| widen(block, to));
}

/// The f16 at a place of a block.
#[inline(always)]
pub(super) fn half(block: &[u8], place: usize) -> f32 {
    f16(u32::from(block[place]) | u32::from(block[place + 1]) << 8)
}

/// The number with these halves of bytes, of which `high` has a fifth bit for each.
#[inline(always)]
fn fifth(high: &[u8], place: usize) -> i32 {
    i32::from(high[place / 8] >> (place % 8) & 1) << 4
}

#[inline(always)]
pub(super) fn q4_0(block: &[u8; 18], to: &mut [f32; NUMBERS]) {
    let (scale, numbers) = (half(block, 0), &block[2..]);
    for (i, byte) in numbers.iter().enumerate() {
        to[i] = (i32::from(byte & 15) - 8) as f32 * scale;
        to[i + 16] = (i32::from(byte >> 4) - 8) as f32 * scale;
    }
}

#[inline(always)]
pub(super) fn q4_1(block: &[u8; 20], to: &mut [f32; NUMBERS]) {
    let (scale, least, numbers) = (half(block, 0), half(block, 2), &block[4..]);
    for (i, byte) in numbers.iter().enumerate() {
        to[i] = f32::from(byte & 15) * scale + least;
        to[i + 16] = f32::from(byte >> 4) * scale + least;
    }
}

#[inline(always)]
pub(super) fn q5_0(block: &[u8; 22], to: &mut [f32; NUMBERS]) {
    let (scale, high, numbers) = (half(block, 0), &block[2..6], &block[6..]);
    for (i, byte) in numbers.iter().enumerate() {
        to[i] = ((i32::from(byte & 15) | fifth(high, i)) - 16) as f32 * scale;
        to[i + 16] = ((i32::from(byte >> 4) | fifth(high, i + 16)) - 16) as f32 * scale;
    }
}

#[inline(always)]
pub(super) fn q5_1(block: &[u8; 24], to: &mut [f32; NUMBERS]) {
    let (scale, least, high, numbers) = (half(block, 0), half(block, 2), &block[4..8], &block[8..]);
    for (i, byte) in numbers.iter().enumerate() {
        to[i] = (i32::from(byte & 15) | fifth(high, i)) as f32 * scale + least;
        to[i + 16] = (i32::from(byte >> 4) | fifth(high, i + 16)) as f32 * scale + least;
    }
}

#[inline(always)]
pub(super) fn q8_0(block: &[u8; 34], to: &mut [f32; NUMBERS]) {
    let scale = half(block, 0);
    to.iter_mut().zip(&block[2..]).for_each(|(to, byte)| *to = f32::from(byte.cast_signed()) * scale);
}
