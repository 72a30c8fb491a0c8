//! An output that several threads write disjoint parts of.

#![expect(unsafe_code, reason = "the borrow checker cannot see that the parts are disjoint")]

use std::marker::PhantomData;

use super::simd::{prefetch_line, LINE};
use super::stream::streams;

/// A mutable slice shared among threads.
pub(super) struct Output<'a> {
    start: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a `&mut [f32]`, which may be sent; what is shared is only handed out through `part`, whose caller answers for disjointness.
unsafe impl Sync for Output<'_> {}
// SAFETY: as above.
unsafe impl Send for Output<'_> {}

impl<'a> Output<'a> {
    pub(super) fn new(values: &'a mut [f32]) -> Self {
        Output { start: values.as_mut_ptr(), len: values.len(), borrow: PhantomData }
    }

    /// The values `start..start + count`.
    ///
    /// # Panics
    /// When they do not lie inside.
    ///
    /// # Safety
    /// While the part is in use no other part that overlaps it may be.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "that is what this type is for")]
    pub(super) unsafe fn part(&self, start: usize, count: usize) -> &mut [f32] {
        assert!(start <= self.len && count <= self.len - start);
        // SAFETY: the range lies inside the slice (just checked), and the caller promises that it is not aliased.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), count) }
    }

    /// Whether it is streamed.
    pub(super) fn streams(&self) -> bool {
        streams(self.start, self.len)
    }

    /// Where the values `start..start + count` lie, some of which will be written to.
    ///
    /// # Panics
    /// When they do not lie inside.
    pub(super) fn place(&self, start: usize, count: usize) -> *mut f32 {
        assert!(start <= self.len && count <= self.len - start);
        // SAFETY: the place lies inside the slice (just checked).
        unsafe { self.start.add(start) }
    }

    /// Asks for the memory of `start..start + count`, which will be written to soon.
    ///
    /// # Panics
    /// When it does not lie inside.
    pub(super) fn prefetch(&self, start: usize, count: usize) {
        assert!(start <= self.len && count <= self.len - start);
        for place in (0..count).step_by(LINE) {
            // SAFETY: the place lies inside the slice (just checked).
            prefetch_line(unsafe { self.start.add(start + place) });
        }
    }
}
