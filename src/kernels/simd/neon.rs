//! 4 values.

#![allow(clippy::wildcard_imports, reason = "intrinsics")]

use std::arch::aarch64::*;

vector!(
    float32x4_t,
    4,
    vld1q_f32,
    vst1q_f32,
    vdupq_n_f32,
    vaddq_f32,
    vsubq_f32,
    vmulq_f32,
    vmaxq_f32,
    |x| super::fraction(x),
    |value, exponent| {
        let exponent = vshlq_n_s32::<23>(vreinterpretq_s32_f32(super::floor_in_bits(exponent)));
        vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(value), exponent))
    },
    |x, factor, sum| vfmaq_f32(sum, x, factor),
    |a, b| [vuzp1q_f32(a, b), vuzp2q_f32(a, b)],
    |even, odd| [vzip1q_f32(even, odd), vzip2q_f32(even, odd)]
);
