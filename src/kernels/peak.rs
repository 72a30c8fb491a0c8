//! What the processor can do at best: products of one tile, again and again, with both operands in the first-level cache.

use std::time::{Duration, Instant};

use super::gemm::{Kernel, Rounding};
use super::isa::InstructionSet;
use super::Isa;

/// Units along the depth: deep enough that the stores at a tile's end hardly count, and its operands fit any first-level cache.
const UNITS: usize = 128;
/// Tiles between two looks at the clock, a few microseconds each.
const TILES: usize = 64;
/// Runs that each measurement is the best of.
const RUNS: usize = 5;

/// Billions of multiplications and additions a second, each counted as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// With f32 operands.
    pub f32: f64,
    /// With pairs of bf16, where the processor has an instruction for them, whether or not [`Isa::current`] chooses it.
    pub bf16_pairs: Option<f64>,
}

/// Measures `threads` threads at work together, the best of a few runs that take about `time` altogether. Other programs that run
/// meanwhile lower the result.
#[must_use]
pub fn measure(threads: usize, time: Duration) -> Peak {
    let kernels = Isa::all().first().map(|isa| (Kernel::new(*isa, Rounding::None), Kernel::new(*isa, Rounding::Bf16)));
    let Some((floats, pairs)) = kernels else { return Peak { f32: 0.0, bf16_pairs: None } };
    let pairs = (pairs.isa().set() == InstructionSet::Avx512Bf16).then_some(pairs);
    let time = time / (RUNS as u32 * if pairs.is_some() { 2 } else { 1 });
    let best = |kernel: Kernel| (0..RUNS).map(|_| together(&kernel, threads, time)).fold(0.0, f64::max);
    Peak { f32: best(floats), bf16_pairs: pairs.map(best) }
}

/// The sum of what the threads reach. They are threads of their own, so that the pool's number does not matter.
fn together(kernel: &Kernel, threads: usize, time: Duration) -> f64 {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| rate(kernel, time))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(0.0)).sum()
    })
}

/// One thread.
fn rate(kernel: &Kernel, time: Duration) -> f64 {
    let (rows, width) = (kernel.rows(), kernel.width());
    let (a, b, mut c) = (vec![0; rows * UNITS], vec![0; UNITS * width], vec![0.0; rows * width]);
    let start = Instant::now();
    let mut tiles = 0;
    while tiles == 0 || start.elapsed() < time {
        for _ in 0..TILES {
            kernel.tile(width, UNITS, &a, std::hint::black_box(&b), &mut c, true);
        }
        tiles += TILES;
    }
    let per_unit = if kernel.pairs() { 2 } else { 1 };
    (tiles * rows * width * UNITS * per_unit * 2) as f64 / start.elapsed().as_secs_f64() * 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_rate_for_what_there_is() {
        let peak = measure(2, Duration::from_millis(2));
        assert!(peak.f32 > 0.1, "{peak:?}");
        let pairs = Isa::of(InstructionSet::Avx512Bf16).is_ok();
        assert_eq!(peak.bf16_pairs.is_some_and(|rate| rate > 0.1), pairs, "{peak:?}");
    }
}
