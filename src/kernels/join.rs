//! Two tensors joined to one: a copy, threaded, and past the caches where the result is larger than they are.

use rayon::prelude::*;

use super::stream::{streams, Writer};
use super::Isa;

/// Values that are copied at a time: they stay in a first-level cache.
const PIECE: usize = 4096;
/// Pieces that a thread takes at a time.
const PIECES: usize = 8;

/// `a` and `b`, each of `count` equal parts, to `out`: a part of `a`, one of `b`, and so on.
///
/// # Panics
/// When the slices do not divide so.
pub fn join(isa: Isa, a: &[f32], b: &[f32], count: usize, out: &mut [f32]) {
    let count = count.max(1);
    let sizes = [a, b].map(|values| values.len() / count);
    assert!(a.len() == sizes[0] * count && b.len() == sizes[1] * count && out.len() == a.len() + b.len());
    let stream = streams(out.as_ptr(), out.len());
    let mut pieces = Vec::with_capacity(out.len() / PIECE + 2 * count);
    let mut rest = out;
    for i in 0..count {
        for (values, size) in [a, b].into_iter().zip(sizes) {
            let (part, behind) = rest.split_at_mut(size);
            rest = behind;
            pieces.extend(values[i * size..][..size].chunks(PIECE).zip(part.chunks_mut(PIECE)));
        }
    }
    pieces.into_par_iter().with_min_len(PIECES).for_each_init(
        || Writer::new(isa, stream),
        |writer, (from, to)| writer.write(to, |to| to.copy_from_slice(from)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_alternate() {
        for (sizes, count) in [([3, 5], 4), ([0, 7], 3), ([9000, 5000], 2), ([700_000, 400_016], 1), ([1, 1], 0)] {
            let [a, b] = [0.0, 0.5].map(|shift| move |i: usize| i as f32 + shift);
            let [left, right] = [sizes[0], sizes[1]].map(|size| size * count);
            let (left, right): (Vec<_>, Vec<_>) = ((0..left).map(a).collect(), (0..right).map(b).collect());
            let expected: Vec<f32> = (0..count)
                .flat_map(|i| [&left[i * sizes[0]..][..sizes[0]], &right[i * sizes[1]..][..sizes[1]]].concat())
                .collect();
            for isa in Isa::all() {
                let mut out = vec![f32::NAN; left.len() + right.len()];
                join(isa, &left, &right, count, &mut out);
                assert!(out == expected, "{sizes:?} {count} {isa}");
            }
        }
    }
}
