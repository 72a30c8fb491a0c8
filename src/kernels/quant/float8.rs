//! Floats of eight and sixteen bits. Their smallest numbers, which have no leading one, become f32 by way of whole numbers: as f32
//! without a leading one they would be slow.

#![expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]

/// What makes the least bit of an f16's mantissa, 2^-24, of one.
const LEAST_F16: f32 = 1.0 / 16_777_216.0;
/// The same of e4m3: 2^-9.
const LEAST_E4M3: f32 = 1.0 / 512.0;

/// The f16 with these bits.
#[inline(always)]
pub(super) fn f16(bits: u32) -> f32 {
    let (sign, rest) = ((bits & 0x8000) << 16, bits & 0x7fff);
    let small = (rest as f32 * LEAST_F16).to_bits();
    let normal = (rest << 13) + (112 << 23);
    let special = rest << 13 | 0x7f80_0000;
    let magnitude = match rest {
        0..0x0400 => small,
        0x0400..0x7c00 => normal,
        _ => special,
    };
    f32::from_bits(sign | magnitude)
}

/// Numbers with 5 bits of exponent: the upper halves of f16.
#[inline(always)]
pub(super) fn e5m2(bytes: &[u8], to: &mut [f32]) {
    to.iter_mut().zip(bytes).for_each(|(to, byte)| *to = f16(u32::from(*byte) << 8));
}

/// Numbers with 4 bits of exponent (NVIDIA's and ONNX's E4M3FN): all bits but the sign set is not a number.
#[inline(always)]
pub(super) fn e4m3(bytes: &[u8], to: &mut [f32]) {
    for (to, byte) in to.iter_mut().zip(bytes) {
        let bits = u32::from(*byte);
        let (sign, rest) = ((bits & 0x80) << 24, bits & 0x7f);
        let small = (rest as f32 * LEAST_E4M3).to_bits();
        let normal = (rest << 20) + (120 << 23);
        let magnitude = if rest < 8 { small } else { normal };
        *to = f32::from_bits(sign | if rest == 0x7f { 0x7fc0_0000 } else { magnitude });
    }
}
