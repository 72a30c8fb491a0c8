//! Functions of each value, vectorised and threaded.

use rayon::prelude::*;

use super::isa::{per_isa, Isa};
use super::math::{erf, sigmoid, tanh};
use super::stream::{streams, Writer};

/// Values that a task takes.
const TASK: usize = 32 << 10;
/// Values that are written at a time: they stay in a first-level cache.
const PIECE: usize = 4096;

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `x sigmoid(x)`.
    Silu,
    /// `x Phi(x)` with the error function.
    Gelu,
    /// The tanh approximation of GELU (Hendrycks and Gimpel 2016).
    GeluTanh,
    /// `x sigmoid(1.702 x)`.
    QuickGelu,
    /// The larger of `x` and 0.
    Relu,
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

impl Function {
    /// Replaces each value by the function of it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "its callers are compiled for several instruction sets")]
    pub(super) fn apply(self, values: &mut [f32]) {
        match self {
            Function::Silu => values.iter_mut().for_each(|x| *x *= sigmoid(*x)),
            Function::Gelu => values.iter_mut().for_each(|x| *x = gelu(*x)),
            Function::GeluTanh => values.iter_mut().for_each(|v| {
                let x = *v;
                *v = 0.5 * x * (1.0 + tanh(0.797_884_6 * (x + 0.044_715 * x * x * x)));
            }),
            Function::QuickGelu => values.iter_mut().for_each(|x| *x *= sigmoid(1.702 * *x)),
            Function::Relu => values.iter_mut().for_each(|x| *x = x.max(0.0)),
        }
    }
}

per_isa! {
    fn map(function: Function, from: &[f32], to: &mut [f32]) {
        to.copy_from_slice(from);
        function.apply(to);
    }
}

per_isa! {
    fn gate(value: &[f32], gate: &[f32], to: &mut [f32]) {
        to.iter_mut().zip(value.iter().zip(gate)).for_each(|(to, (value, gate))| *to = value * gelu(*gate));
    }
}

per_isa! {
    fn gated_row(a: &[f32], b: &[f32], gate: &[f32], to: &mut [f32]) {
        to.iter_mut().zip(a.iter().zip(b).zip(gate)).for_each(|(to, ((a, b), gate))| *to = a + b * gate);
    }
}

per_isa! {
    fn product(a: &[f32], b: &[f32], to: &mut [f32]) {
        to.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to = a * b);
    }
}

/// `function` of each value of `x`, to `out`.
///
/// # Panics
/// When the slices differ in size.
pub fn apply(isa: Isa, function: Function, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len());
    out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(out, x)| map(isa, function, x, out));
}

/// `a b`, to `out`.
///
/// # Panics
/// When the slices differ in size.
pub fn multiply(isa: Isa, a: &[f32], b: &[f32], out: &mut [f32]) {
    assert!(a.len() == out.len() && b.len() == out.len());
    let parts = a.par_chunks(TASK).zip(b.par_chunks(TASK));
    out.par_chunks_mut(TASK).zip(parts).for_each(|(out, (a, b))| product(isa, a, b, out));
}

/// `a + gate b` for rows as long as `gate`, to `out`.
///
/// # Panics
/// When the slices have other sizes.
pub fn add_gated(isa: Isa, a: &[f32], b: &[f32], gate: &[f32], out: &mut [f32]) {
    assert!(a.len() == out.len() && b.len() == out.len() && out.len().is_multiple_of(gate.len().max(1)));
    let width = gate.len().max(1);
    let some = (TASK / width).max(1) * width;
    let parts = a.par_chunks(some).zip(b.par_chunks(some));
    out.par_chunks_mut(some).zip(parts).for_each(|(out, (a, b))| {
        let rows = a.chunks_exact(width).zip(b.chunks_exact(width));
        out.chunks_exact_mut(width).zip(rows).for_each(|(out, (a, b))| gated_row(isa, a, b, gate, out));
    });
}

/// `a gelu(b)` (Shazeer 2020) for rows `x` [rows, 2 width] that hold a and b, to `out` [rows, width].
///
/// # Panics
/// When the slices have other sizes.
pub fn geglu(isa: Isa, x: &[f32], width: usize, out: &mut [f32]) {
    assert!(x.len() == 2 * out.len() && out.len().is_multiple_of(width.max(1)));
    let stream = streams(out.as_ptr(), out.len());
    let rows = out.par_chunks_exact_mut(width.max(1)).zip(x.par_chunks_exact(2 * width.max(1)));
    rows.with_min_len((TASK / width.max(1)).max(1)).for_each_init(
        || Writer::new(isa, stream),
        |writer, (out, x)| {
            let (value, gates) = x.split_at(width);
            let parts = value.chunks(PIECE).zip(gates.chunks(PIECE));
            for (out, (value, gates)) in out.chunks_mut(PIECE).zip(parts) {
                writer.write(out, |out| gate(isa, value, gates, out));
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let x: Vec<f32> = (0..70_056).map(|i| (i as f32 * 0.37).sin() * 6.0).collect();
        for function in [Function::Silu, Function::Gelu, Function::GeluTanh, Function::QuickGelu, Function::Relu] {
            let results = Isa::all().into_iter().map(|isa| {
                let (mut out, mut gated) = (vec![0.0; x.len()], vec![0.0; x.len() / 2]);
                apply(isa, function, &x, &mut out);
                geglu(isa, &x, 9, &mut gated[..x.len() / 2]);
                let (mut product, mut gated_sum) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                multiply(isa, &x, &out, &mut product);
                add_gated(isa, &x, &out, &x[..21], &mut gated_sum[..]);
                (out, gated, product, gated_sum)
            });
            let results: Vec<_> = results.collect();
            assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{function:?}");
            let (out, gated, product, gated_sum) = &results[0];
            assert!((product[5] - x[5] * out[5]).abs() < 1e-6);
            assert!((gated_sum[26] - x[26] - out[26] * x[5]).abs() < 1e-5);
            if function == Function::Gelu {
                assert!((gated[4] - x[4] * out[13]).abs() < 1e-6 && (gated[13] - x[22] * out[31]).abs() < 1e-6);
            }
        }
    }
}
