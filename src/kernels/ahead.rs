//! Memory that will be read soon, asked for while something else is computed: weights that no cache holds come once for each product, and
//! whoever waits for them computes nothing.

use super::simd::prefetch_line;

/// Bytes of a line of the caches.
const LINE: usize = 64;

/// Some memory, part of which is asked for with each turn of a loop.
pub(super) struct Ahead<'a> {
    rest: &'a [u8],
    share: usize,
}

impl<'a> Ahead<'a> {
    /// All of `bytes` within `turns` turns.
    pub(super) fn new(bytes: &'a [u8], turns: usize) -> Self {
        Ahead { rest: bytes, share: bytes.len().div_ceil(LINE).div_ceil(turns.max(1)) * LINE }
    }

    /// One more turn.
    #[inline]
    pub(super) fn turn(&mut self) {
        let (now, rest) = self.rest.split_at(self.share.min(self.rest.len()));
        self.rest = rest;
        now.iter().step_by(LINE).for_each(|place| prefetch_line(place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_asked_for_in_time() {
        for (size, turns) in [(0, 3), (1, 1), (64, 7), (6400, 7), (6401, 100), (6400, 0)] {
            let bytes = vec![0; size];
            let mut ahead = Ahead::new(&bytes, turns);
            (0..turns.max(1)).for_each(|_| ahead.turn());
            assert!(ahead.rest.is_empty(), "{size} {turns}");
        }
    }
}
