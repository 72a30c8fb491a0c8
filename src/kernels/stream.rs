//! Results on their way past the caches: where an output is larger than they are, what it overwrites need not be read first.

#![expect(unsafe_code, reason = "vectors and unchecked memory; the public functions check their slices")]
#![expect(clippy::inline_always, reason = "the instructions are those of the caller")]

use super::simd::{per_vector, streamed, Vector, LINE};
use super::Isa;

/// Values from which on an output is streamed, 4 MiB: little of it would be in a cache when the next operation reads it.
const LEAST: usize = 1 << 20;
/// Values that are held until they are written.
const PIECE: usize = 4096;

/// Whether an output that begins at `start` is streamed: it is large, and its lines are those of the caches.
pub(super) fn streams(start: *const f32, len: usize) -> bool {
    len >= LEAST && whole_lines(start)
}

fn whole_lines(start: *const f32) -> bool {
    start.addr().is_multiple_of(LINE * size_of::<f32>())
}

/// Writes parts of one output, past the caches if it is streamed. When it is dropped, all of them are written.
pub(super) struct Writer {
    isa: Isa,
    piece: Vec<f32>,
}

impl Writer {
    /// For an output that is streamed or not.
    pub(super) fn new(isa: Isa, stream: bool) -> Self {
        Writer { isa, piece: vec![0.0; if stream { PIECE } else { 0 }] }
    }

    /// Lets `f` fill `out`, which holds what it held or anything.
    #[inline]
    pub(super) fn write(&mut self, out: &mut [f32], f: impl FnOnce(&mut [f32])) {
        match self.piece.get_mut(..out.len()) {
            Some(piece) if whole_lines(out.as_ptr()) => {
                f(piece);
                copy(self.isa, piece, out);
            }
            _ => f(out),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        streamed();
    }
}

/// Copies past the caches to whole lines of them; [`streamed`] must follow.
///
/// # Panics
/// When the slices differ in size, or `to` does not begin with a line.
pub(super) fn copy(isa: Isa, from: &[f32], to: &mut [f32]) {
    assert!(from.len() == to.len() && whole_lines(to.as_ptr()));
    // SAFETY: both slices hold that many values, and `to` is aligned (just checked).
    unsafe { copy_lines(isa, from.as_ptr(), to.as_mut_ptr(), from.len()) }
}

per_vector! {
    unsafe fn copy_lines(from: *const f32, to: *mut f32, count: usize) = copy_body
}

#[inline(always)]
unsafe fn copy_body<V: Vector>(from: *const f32, to: *mut f32, count: usize) {
    let whole = count / LINE * LINE;
    // SAFETY: the caller answers for `count` values; vectors divide a line, so that each lies as `to` does.
    unsafe {
        for i in (0..whole).step_by(V::LANES) {
            V::load(from.add(i)).stream(to.add(i));
        }
        for i in whole..count {
            *to.add(i) = *from.add(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_arrives() {
        for isa in Isa::all() {
            for count in [0, 1, 15, 16, 17, 64, 4095, 4096, 5000] {
                for shift in [0, 1, 8, 16] {
                    for stream in [false, true] {
                        let mut values = vec![-1.0; count + 64];
                        let start = values.as_ptr().align_offset(64) + shift;
                        let out = &mut values[start..start + count];
                        let mut writer = Writer::new(isa, stream);
                        writer.write(out, |out| out.iter_mut().enumerate().for_each(|(i, out)| *out = i as f32));
                        drop(writer);
                        assert!(out.iter().enumerate().all(|(i, out)| *out == i as f32), "{isa} {count} {shift}");
                        assert!(values[..start].iter().chain(&values[start + count..]).all(|v| *v == -1.0));
                    }
                }
            }
        }
    }
}
