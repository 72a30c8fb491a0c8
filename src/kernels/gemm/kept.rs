//! How packed weights are kept in memory, and how they become what the kernel reads.

#![expect(unsafe_code, reason = "vectors and unchecked memory; the public function checks its slices")]

use super::super::isa::{per_isa, Isa};
use super::super::simd::{floats_mut, per_vector, widened, Vector};

/// How packed weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// As the kernel reads them.
    Units,
    /// Half as large, widened block by block.
    Bf16,
    /// Half as large, widened block by block.
    F16,
}

impl Kept {
    /// Halves of this form to units that hold f32.
    pub(super) fn widen(self, isa: Isa, from: &[u16], to: &mut [u32]) {
        match self {
            Kept::F16 => {
                assert_eq!(from.len(), to.len());
                // SAFETY: both slices hold that many values.
                unsafe { widen_f16(isa, from.as_ptr(), floats_mut(to).as_mut_ptr(), from.len()) }
            }
            Kept::Units | Kept::Bf16 => widen_bf16(isa, from, to),
        }
    }
}

per_isa! {
    fn widen_bf16(from: &[u16], to: &mut [u32]) {
        to.iter_mut().zip(from).for_each(|(to, x)| *to = u32::from(*x) << 16);
    }
}

per_vector! {
    unsafe fn widen_f16(from: *const u16, to: *mut f32, count: usize) = widen_body
}

/// # Safety
/// The processor must have the vector's instructions, and both pointers lead to `count` values.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the instructions are those of the caller")]
unsafe fn widen_body<V: Vector>(from: *const u16, to: *mut f32, count: usize) {
    let whole = count / V::LANES * V::LANES;
    // SAFETY: each vector begins one before `whole` ends, which is at most `count`.
    unsafe {
        for i in (0..whole).step_by(V::LANES) {
            V::widen(from.add(i)).store(to.add(i));
        }
        for i in whole..count {
            *to.add(i) = widened(*from.add(i));
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn halves_are_the_same_numbers_when_widened() {
        let halves: Vec<u16> = (0..=u16::MAX).collect();
        for isa in Isa::all() {
            for count in [0, 1, 15, 16, 17, halves.len() - 1, halves.len()] {
                let mut wide = vec![0; count];
                Kept::F16.widen(isa, &halves[..count], &mut wide);
                for (half, wide) in halves.iter().zip(wide.into_iter().map(f32::from_bits)) {
                    let expected = f16::from_bits(*half).to_f32();
                    assert!(
                        wide.to_bits() == expected.to_bits() || wide.is_nan() && expected.is_nan(),
                        "{isa} {half:x}"
                    );
                }
            }
        }
    }
}
