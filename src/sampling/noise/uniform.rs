//! Uniform random numbers as numpy's legacy generator draws them.

use super::mt19937::Mt19937;

/// A source of numbers of 0..1, number for number `numpy.random.seed(seed)` and `numpy.random.uniform()`.
pub struct Uniform(Mt19937);

impl Uniform {
    /// The generator, seeded.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Uniform(Mt19937::new(seed))
    }

    /// The next number: 53 random bits, of two draws.
    pub fn draw(&mut self) -> f64 {
        let (high, low) = (self.0.next_u32() >> 5, self.0.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numpys() {
        // numpy 2.4.6: `numpy.random.seed(7); numpy.random.uniform(size=3)`.
        let mut random = Uniform::new(7);
        let drawn = [random.draw(), random.draw(), random.draw()];
        assert_eq!(drawn, [0.07630828937395717, 0.7799187922401146, 0.4384092314408935]);
    }
}
