//! Memory for large buffers, kept from one operation to the next.
//!
//! Activations of many megabytes come and go with every layer. The system's allocator maps each of them anew and gives it back, so
//! that the system clears every page over and over: a tenth of all the time. Here large blocks are cut from ranges that are
//! mapped once and kept ([`ranges`]).

#![expect(unsafe_code, reason = "an allocator")]

mod ranges;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ranges::{Ranges, GRAIN};

/// Bytes from which a block is large. Those below are left to the system's allocator.
const LARGE: usize = 256 << 10;
/// Bytes from which a block that is not large begins with a line of the caches: a vector as wide as a line, read from anywhere else, takes
/// two lines, and kernels whose operands are in the first-level cache a third more time.
const MEDIUM: usize = 1 << 10;
const LINE_BYTES: usize = 64;

#[global_allocator]
static BLOCKS: Blocks = Blocks(Mutex::new(Ranges::new()));

/// Values of no meaning, to be overwritten: unlike zeros they cost no time. In tests and builds for debugging they are no numbers, so
/// that a kernel which reads what it has not written gives itself away.
#[must_use]
#[expect(clippy::cast_ptr_alignment, reason = "the block is aligned to a page")]
#[expect(clippy::same_length_and_capacity, reason = "both are what the block was taken for")]
pub fn unfilled(len: usize) -> Vec<f32> {
    let layout = Layout::array::<f32>(len).ok().filter(Blocks::is_large);
    let block = layout.and_then(|layout| BLOCKS.ranges().take(layout.size()));
    let Some((block, _)) = block else {
        return vec![if cfg!(any(test, debug_assertions)) { f32::NAN } else { 0.0 }; len];
    };
    // SAFETY: the block is large enough, aligned to a page, nobody else's, and of the allocator that vectors free to. Its bytes
    // are those of a map that began as zeros and was written to since: they are initialised, and any bits are an f32.
    let mut values = unsafe { Vec::from_raw_parts(block.as_ptr().cast::<f32>(), len, len) };
    if cfg!(any(test, debug_assertions)) {
        values.fill(f32::NAN);
    }
    values
}

/// As [`unfilled`], of the units of a product's operands.
pub(super) fn unfilled_units(len: usize) -> Vec<u32> {
    let mut values = std::mem::ManuallyDrop::new(unfilled(len));
    // SAFETY: both types have the same size and alignment, and all bits are a value of either.
    unsafe { Vec::from_raw_parts(values.as_mut_ptr().cast(), values.len(), values.capacity()) }
}

/// Bytes of memory that this process holds and does not use at the moment: large blocks will come from there first.
#[must_use]
pub fn unused() -> usize {
    BLOCKS.ranges().unused()
}

/// Gives that memory back to the system, where it is Linux. For the end of a stage whose buffers have other sizes than those of the
/// next: what it left between them would be held beside what the next takes.
pub fn release_unused() {
    BLOCKS.ranges().release();
}

/// The program's allocator.
struct Blocks(Mutex<Ranges>);

impl Blocks {
    fn is_large(layout: &Layout) -> bool {
        layout.size() >= LARGE && layout.align() <= GRAIN
    }

    /// What is asked of the system's allocator for a block that is not large.
    fn of_system(layout: Layout) -> Layout {
        if layout.size() < MEDIUM {
            return layout;
        }
        layout.align_to(LINE_BYTES).unwrap_or(layout)
    }

    fn ranges(&self) -> MutexGuard<'_, Ranges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: a block is cut from what is free of a range and is no longer free until it is given back, so that no two overlap; its size
// is at least that of the layout and its place a multiple of GRAIN in a range that starts at a page, which is the largest alignment
// let through. What is not large, or finds no range, is the system's. The bookkeeping's own memory is small: it never comes here again
// while the lock is held.
unsafe impl GlobalAlloc for Blocks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Self::is_large(&layout).then(|| self.ranges().take(layout.size())).flatten() {
            Some((block, _)) => block.as_ptr(),
            // SAFETY: the caller's promise is that of this call.
            None => unsafe { System.alloc(Self::of_system(layout)) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match Self::is_large(&layout).then(|| self.ranges().take(layout.size())).flatten() {
            Some((block, used)) => {
                // SAFETY: the block has at least as many bytes.
                unsafe { block.write_bytes(0, used.min(layout.size())) };
                block.as_ptr()
            }
            // SAFETY: the caller's promise is that of this call.
            None => unsafe { System.alloc_zeroed(Self::of_system(layout)) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let ours = Self::is_large(&layout)
            && NonNull::new(block).is_some_and(|block| self.ranges().give_back(block, layout.size()));
        if !ours {
            // SAFETY: what is not of a range is the system's.
            unsafe { System.dealloc(block, Self::of_system(layout)) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is none too large for the alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if layout.size().max(new_size) < MEDIUM {
            // SAFETY: the caller's promise is that of this call.
            return unsafe { System.realloc(block, layout, new_size) };
        }
        // SAFETY: `new` is a valid layout; the old block is the caller's to give, and both have at least the bytes copied.
        unsafe {
            let to = self.alloc(new);
            if !to.is_null() {
                std::ptr::copy_nonoverlapping(block, to, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            to
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn zeros_are_zeros() {
        for round in 0..3 {
            let mut zeros = vec![0u8; 3 * MIB + round];
            assert!(zeros.iter().all(|byte| *byte == 0));
            zeros.fill(7);
            zeros.resize(5 * MIB, 8);
            assert!(zeros[..3 * MIB].iter().all(|byte| *byte == 7) && zeros[5 * MIB - 1] == 8);
            zeros.truncate(9);
            zeros.shrink_to_fit();
            assert_eq!(zeros, [7; 9]);
        }
    }

    #[test]
    fn unfilled_values_give_themselves_away() {
        for len in [0, 3, MIB] {
            let values = unfilled(len);
            assert!(values.len() == len && values.iter().all(|value| value.is_nan()));
        }
    }

    #[test]
    fn threads_do_not_share_blocks() {
        std::thread::scope(|scope| {
            for id in 0..4u8 {
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for round in 0..60usize {
                        kept.push(vec![id; LARGE + round * 37_000]);
                        if round % 3 == 2 {
                            kept.swap_remove(round % kept.len());
                        }
                        assert!(kept.iter().all(|block| block.iter().step_by(997).all(|byte| *byte == id)));
                    }
                });
            }
        });
    }
}
