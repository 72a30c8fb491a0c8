//! Attention in blocks with a running softmax (Milakov and Gimelshein 2018, Dao et al. 2022): no matrix of all scores.
//!
//! Everything is computed turned: scores are [keys, queries], so that a vector holds a key's scores with several queries. Their
//! softmax needs no sums across vectors then, and lies in memory as the product with the values reads it. `layout` packs keys and
//! values, `task` works on some queries, `softmax` is what lies between the two products.

mod layout;
mod softmax;
mod task;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::f32::consts::LOG2_E;

use rayon::prelude::*;

use self::layout::Layout;
use self::task::{Scratch, Task};
use super::gemm::Kernel;
use super::output::Output;

/// Multiplications from which on work is worth a task of its own.
const TASK: usize = 2 << 20;

/// The sizes of an attention. Queries are [batch, queries, heads, width], keys and values [batch, keys, heads, width].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Number of sequences.
    pub batch: usize,
    /// Heads of each.
    pub heads: usize,
    /// Queries of each.
    pub queries: usize,
    /// Keys and values of each.
    pub keys: usize,
    /// Values of a head's vector.
    pub width: usize,
}

/// `softmax(scale q k^T + mask) v` head by head, to `out` [batch, queries, heads, width]; `mask` is [queries, keys] for all heads or
/// [heads, queries, keys]. Operands are rounded as `kernel` says, probabilities too; scores, their softmax and sums are f32.
///
/// # Panics
/// When the slices have other sizes.
pub fn attention(kernel: &Kernel, shape: &Shape, qkv: [&[f32]; 3], mask: Option<&[f32]>, scale: f32, out: &mut [f32]) {
    attention_in_slices(kernel, shape, usize::MAX, qkv, mask, scale, out);
}

/// As [`attention`], with the keys and values of at most `heads_at_once` heads of the batch packed at a time: the same bits in less
/// memory.
///
/// # Panics
/// When the slices have other sizes.
pub fn attention_in_slices(
    kernel: &Kernel,
    shape: &Shape,
    heads_at_once: usize,
    [q, k, v]: [&[f32]; 3],
    mask: Option<&[f32]>,
    scale: f32,
    out: &mut [f32],
) {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    let Shape { batch, heads, queries, keys, width } = *shape;
    assert!(q.len() == batch * queries * heads * width && out.len() == q.len());
    assert!(k.len() == batch * keys * heads * width && v.len() == k.len());
    assert!(mask.is_none_or(|mask| [queries * keys, heads * queries * keys].contains(&mask.len())));
    if out.is_empty() || keys == 0 {
        return out.fill(0.0);
    }
    let layout = Layout::new(kernel, shape);
    let (all, panels) = (batch * heads, queries.div_ceil(kernel.width()));
    let at_once = (TASK / (kernel.width() * keys * width)).clamp(1, panels);
    let tasks = panels.div_ceil(at_once);
    for first in (0..all).step_by(heads_at_once.clamp(1, all)) {
        let slice = first..first.saturating_add(heads_at_once.max(1)).min(all);
        let packed = layout.pack(slice.clone(), k, v);
        // Scores are logarithms to the base 2: one multiplication less for each of them.
        let task = Task { layout, q, first, packed: &packed, mask, scale: scale * LOG2_E, out: Output::new(out) };
        (0..slice.len() * tasks).into_par_iter().with_max_len(1).for_each(|index| {
            let (head, start) = (first + index / tasks, index % tasks * at_once);
            SCRATCH.with_borrow_mut(|scratch| {
                (start..(start + at_once).min(panels)).for_each(|panel| task.run(head, panel, scratch));
            });
        });
    }
}
