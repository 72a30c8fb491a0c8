//! Logarithm, sine and cosine in single precision with the polynomials of the Cephes library, operation for operation as
//! PyTorch's vectorised normal fill computes them: every product that is added is fused, because that is what its compiler
//! makes of it. Correctly rounded functions would differ in the last bit of one number in six.

/// Natural logarithm of a positive, normal number.
pub(super) fn ln(x: f32) -> f32 {
    const P: [f32; 9] = [
        0.070_376_836,
        -0.115_146_1,
        0.116_769_984,
        -0.124_201_41,
        0.142_493_23,
        -0.166_680_57,
        0.200_007_14,
        -0.249_999_94,
        0.333_333_3,
    ];
    // ln 2 in two parts, the first of few bits.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;

    let bits = x.max(f32::MIN_POSITIVE).to_bits();
    let mut exponent = ((bits >> 23) as i32 - 126) as f32;
    let mut x = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    if x < std::f32::consts::FRAC_1_SQRT_2 {
        exponent -= 1.0;
        x = (x - 1.0) + x;
    } else {
        x -= 1.0;
    }
    let z = x * x;
    let y = P.iter().skip(1).fold(P[0], |y, &p| y.mul_add(x, p)) * x;
    let y = y.mul_add(z, exponent * LN2_LOW);
    let y = (-z).mul_add(0.5, y);
    exponent.mul_add(LN2_HIGH, x + y)
}

/// Sine and cosine of an angle that is not negative.
pub(super) fn sin_cos(x: f32) -> (f32, f32) {
    // pi / 4 in three parts of falling size.
    const PI_4: [f32; 3] = [0.785_156_25, 2.418_756_5e-4, 3.774_895e-8];
    const C: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];
    const S: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];

    let octant = ((x * (2.0 * std::f32::consts::FRAC_2_PI)) as i32 + 1) & !1;
    let y = octant as f32;
    let x = PI_4.iter().fold(x, |x, &part| y.mul_add(-part, x));
    let z = x * x;
    let cosine = C[0].mul_add(z, C[1]).mul_add(z, C[2]) * z;
    let cosine = cosine.mul_add(z, -(z * 0.5)) + 1.0;
    let sine = S[0].mul_add(z, S[1]).mul_add(z, S[2]) * z;
    let sine = sine.mul_add(x, x);

    let (s, c) = if octant & 2 == 0 { (sine, cosine) } else { (cosine, sine) };
    let s = if octant & 4 == 0 { s } else { -s };
    let c = if (octant - 2) & 4 == 0 { -c } else { c };
    (s, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_true_functions() {
        for i in 1..=10_000u32 {
            let u = i as f32 / 10_000.0;
            assert!((f64::from(ln(u)) - f64::from(u).ln()).abs() <= 5e-7, "ln {u}");
            let angle = u * std::f32::consts::TAU;
            let (s, c) = sin_cos(angle);
            assert!((f64::from(s) - f64::from(angle).sin()).abs() <= 1e-7, "sin {angle}");
            assert!((f64::from(c) - f64::from(angle).cos()).abs() <= 1e-7, "cos {angle}");
        }
    }
}
