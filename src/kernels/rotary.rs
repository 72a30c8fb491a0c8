//! Rotary position embedding: pairs of values turned by angles that depend on the place (Su et al. 2021).

use rayon::prelude::*;

use super::isa::{per_isa, Isa};

/// Values that a task takes.
const TASK: usize = 32 << 10;

per_isa! {
    fn turn(x: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
        let pairs = x.chunks_exact(2).zip(cos.iter().zip(sin));
        out.chunks_exact_mut(2).zip(pairs).for_each(|(out, (x, (cos, sin)))| {
            out[0] = x[0] * cos - x[1] * sin;
            out[1] = x[1] * cos + x[0] * sin;
        });
    }
}

/// Turns the pairs of neighbours in `x` [batch, places, heads, 2 pairs] by the angles whose cosines and sines are [places, pairs], to
/// `out`.
///
/// # Panics
/// When the slices have other sizes.
pub fn rotate(isa: Isa, x: &[f32], heads: usize, pairs: usize, [cos, sin]: [&[f32]; 2], out: &mut [f32]) {
    let token = heads * 2 * pairs;
    assert!(x.len() == out.len() && cos.len() == sin.len() && token > 0 && !cos.is_empty());
    let places = cos.len() / pairs;
    assert!(cos.len() == places * pairs && x.len().is_multiple_of(places * token));
    let some = (TASK / token).max(1);
    let tasks = out.par_chunks_mut(some * token).zip(x.par_chunks(some * token)).enumerate();
    tasks.for_each(|(task, (out, x))| {
        for (i, (out, x)) in out.chunks_exact_mut(token).zip(x.chunks_exact(token)).enumerate() {
            let place = (task * some + i) % places * pairs..;
            let (cos, sin) = (&cos[place.clone()][..pairs], &sin[place][..pairs]);
            let heads = out.chunks_exact_mut(2 * pairs).zip(x.chunks_exact(2 * pairs));
            heads.for_each(|(out, x)| turn(isa, x, cos, sin, out));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_turn_by_the_angle_of_their_place() {
        let (batch, places, heads, pairs) = (2, 700, 3, 5);
        let angle = |place: usize, pair: usize| (place * 7 + pair) as f32 * 0.1;
        let table =
            |f: fn(f32) -> f32| -> Vec<f32> { (0..places * pairs).map(|i| f(angle(i / pairs, i % pairs))).collect() };
        let (cos, sin) = (table(f32::cos), table(f32::sin));
        let x: Vec<f32> = (0..batch * places * heads * 2 * pairs).map(|i| (i as f32 * 0.37).sin()).collect();
        for isa in Isa::all() {
            let mut out = vec![f32::NAN; x.len()];
            rotate(isa, &x, heads, pairs, [&cos, &sin], &mut out);
            for at in (0..x.len()).step_by(2) {
                let (pair, place) = (at / 2 % pairs, at / (heads * 2 * pairs) % places);
                let (sin, cos) = f64::from(angle(place, pair)).sin_cos();
                let (a, b) = (f64::from(x[at]), f64::from(x[at + 1]));
                assert!((f64::from(out[at]) - (a * cos - b * sin)).abs() < 1e-6, "{isa} {at}");
                assert!((f64::from(out[at + 1]) - (b * cos + a * sin)).abs() < 1e-6, "{isa} {at}");
            }
        }
    }
}
