//! Values to the units of operands: rounding and pairing.

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use super::super::isa::{per_isa, Isa};
use super::super::simd::bits;
use super::micro::Kernel;

/// How the operands of a product are rounded before they are multiplied; sums are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rounding {
    /// Not at all.
    #[default]
    None,
    /// To 8 bits of mantissa.
    Bf16,
    /// To 11 bits of mantissa and 5 bits of exponent.
    F16,
}

/// The bits of `x` rounded to bf16, to nearest even, in the upper half.
#[inline(always)]
#[expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]
fn round_bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    // Rounding could turn a NaN into infinity.
    if x.is_nan() {
        bits & 0xffff_0000 | 0x0040_0000
    } else {
        rounded
    }
}

per_isa! {
    fn copy_rounded(from: &[f32], to: &mut [u32]) {
        to.iter_mut().zip(from).for_each(|(to, x)| *to = round_bf16(*x));
    }
}

per_isa! {
    fn pair_up(from: &[f32], to: &mut [u32]) {
        to.iter_mut().zip(from.chunks_exact(2)).for_each(|(to, x)| *to = round_bf16(x[1]) | round_bf16(x[0]) >> 16);
    }
}

per_isa! {
    fn interleave(even: &[f32], odd: &[f32], to: &mut [u32]) {
        to.iter_mut().zip(even.iter().zip(odd)).for_each(|(to, (x, y))| *to = round_bf16(*y) | round_bf16(*x) >> 16);
    }
}

impl Kernel {
    /// Values that follow each other along the depth to units; an odd last value is paired with zero.
    pub(crate) fn encode(&self, from: &[f32], to: &mut [u32]) {
        debug_assert_eq!(self.units(from.len()), to.len());
        if self.pairs() {
            pair_up(self.isa(), from, to);
            if let ([last], Some(to)) = (from.chunks_exact(2).remainder(), to.last_mut()) {
                *to = round_bf16(*last) >> 16;
            }
            return;
        }
        match self.rounding() {
            Rounding::None => to.copy_from_slice(bits(from)),
            Rounding::Bf16 => copy_rounded(self.isa(), from, to),
            Rounding::F16 => round_f16(from, to),
        }
    }

    /// Two lines, one behind the other along the depth, to one line of pairs.
    pub(crate) fn encode_pairs(&self, even: &[f32], odd: &[f32], to: &mut [u32]) {
        interleave(self.isa(), even, odd, to);
    }
}

/// In pieces, since the conversion wants a place for its result.
fn round_f16(from: &[f32], to: &mut [u32]) {
    let (mut half, mut wide) = ([f16::ZERO; 64], [0f32; 64]);
    for (from, to) in from.chunks(64).zip(to.chunks_mut(64)) {
        half[..from.len()].convert_from_f32_slice(from);
        half[..from.len()].convert_to_f32_slice(&mut wide[..from.len()]);
        to.iter_mut().zip(&wide).for_each(|(to, x)| *to = x.to_bits());
    }
}

per_isa! {
    fn halve_bf16(from: &[f32], to: &mut [u16]) {
        to.iter_mut().zip(from).for_each(|(to, x)| *to = (round_bf16(*x) >> 16) as u16);
    }
}

/// Values rounded to f16, or else to bf16.
pub(super) fn halve(isa: Isa, to_f16: bool, from: &[f32], to: &mut [u16]) {
    if to_f16 {
        to.reinterpret_cast_mut::<f16>().convert_from_f32_slice(from);
    } else {
        halve_bf16(isa, from, to);
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn rounding_is_to_nearest_even() {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MAX, 1.003_906_3, 1.011_718_8, 1e-40];
        let many = (0..20_000u32).map(|i| f32::from_bits(i.wrapping_mul(2_654_435_761)));
        for x in special.into_iter().chain(many) {
            let (mine, reference) = (round_bf16(x), u32::from(bf16::from_f32(x).to_bits()) << 16);
            assert!(mine == reference || x.is_nan() && f32::from_bits(mine).is_nan(), "{x}: {mine:x} {reference:x}");
        }
    }

    #[test]
    fn each_encoding_holds_its_values() {
        let values: Vec<f32> = (0..133).map(|i| (i as f32 * 0.37).sin()).collect();
        for isa in Isa::all() {
            for rounding in [Rounding::None, Rounding::Bf16, Rounding::F16] {
                let kernel = Kernel::new(isa, rounding);
                let mut units = vec![7; kernel.units(values.len())];
                kernel.encode(&values, &mut units);
                for (i, x) in values.iter().enumerate() {
                    let got = match kernel.pairs() {
                        true if i % 2 == 0 => f32::from_bits(units[i / 2] << 16),
                        true => f32::from_bits(units[i / 2] & 0xffff_0000),
                        false => f32::from_bits(units[i]),
                    };
                    let expected = match rounding {
                        Rounding::None => *x,
                        Rounding::Bf16 => bf16::from_f32(*x).to_f32(),
                        Rounding::F16 => f16::from_f32(*x).to_f32(),
                    };
                    assert_eq!(got, expected, "{isa} {rounding:?} {i}");
                }
            }
        }
    }
}
