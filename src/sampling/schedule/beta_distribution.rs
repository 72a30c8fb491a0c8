//! The beta distribution: its regularised incomplete beta function and the inverse of it.

/// The quantile function: the x with `P(X <= x) = p` for X of a beta distribution with these parameters.
pub(super) fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    // Searched from the end that is nearer, where a small x keeps its digits.
    if p > regularized(0.5, a, b) {
        return 1.0 - smaller_half(1.0 - p, b, a);
    }
    smaller_half(p, a, b)
}

/// The quantile when it is known to lie in (0, 0.5]: bisection of the logarithm, where the function is nearly straight.
fn smaller_half(p: f64, a: f64, b: f64) -> f64 {
    const HALVINGS: usize = 60;
    let (mut low, mut high) = (-100f64, 0.5f64.ln());
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if regularized(middle.exp(), a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    (0.5 * (low + high)).exp()
}

/// The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22) where that converges fast.
fn regularized(x: f64, a: f64, b: f64) -> f64 {
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - regularized(1.0 - x, b, a);
    }
    let log_beta = ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    let front = (a * x.ln() + b * (-x).ln_1p() - log_beta).exp() / a;
    front * continued_fraction(x, a, b)
}

/// Lentz's method.
fn continued_fraction(x: f64, a: f64, b: f64) -> f64 {
    const MOST_TERMS: usize = 200;
    const TINY: f64 = 1e-300;
    let nonzero = |v: f64| if v.abs() < TINY { TINY } else { v };
    let (mut c, mut d) = (1.0, 1.0 / nonzero(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for m in 1..MOST_TERMS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / nonzero(1.0 + term * d);
            c = nonzero(1.0 + term / c);
            change = c * d;
            value *= change;
        }
        if (change - 1.0f64).abs() < f64::EPSILON {
            break;
        }
    }
    value
}

/// The logarithm of the gamma function of a positive number: Stirling's series, after moving up to where it is exact.
fn ln_gamma(x: f64) -> f64 {
    const SERIES: [f64; 6] = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0];
    let (mut z, mut moved) = (x, 1.0);
    while z < 12.0 {
        moved *= z;
        z += 1.0;
    }
    let tail = SERIES.iter().rev().fold(0.0, |sum, c| sum / (z * z) + c) / z;
    (z - 0.5) * z.ln() - z + 0.5 * std::f64::consts::TAU.ln() + tail - f64::ln(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        // With both parameters 0.5 the quantile is sin^2(pi p / 2), with (1, b) it is 1 - (1 - p)^(1 / b).
        for i in 0..=1000 {
            let p = f64::from(i) / 1000.0;
            let arcsine = (std::f64::consts::FRAC_PI_2 * p).sin().powi(2);
            assert!((beta_quantile(p, 0.5, 0.5) - arcsine).abs() <= 1e-14, "arcsine {p}");
            let power = 1.0 - (1.0 - p).powf(1.0 / 3.0);
            assert!((beta_quantile(p, 1.0, 3.0) - power).abs() <= 2e-14, "power {p}");
        }
        assert!((ln_gamma(0.5) - 0.5 * std::f64::consts::PI.ln()).abs() < 1e-14);
    }

    #[test]
    fn symmetric() {
        for p in [1e-6, 0.01, 0.3, 0.5] {
            assert!((beta_quantile(p, 0.6, 0.6) + beta_quantile(1.0 - p, 0.6, 0.6) - 1.0).abs() < 1e-14);
        }
    }
}
