//! [`Ranges`]: mapped memory that blocks are cut from, and what of it is free.
//!
//! A block goes where it fits first and joins its free neighbours afterwards, so that the ranges grow little beyond what was in use at
//! once. Huge pages were tried and not kept: on a virtual machine, whose host clears them anew for each process, they took three
//! times as long as small ones.

#![expect(unsafe_code, reason = "places in mapped memory")]

use std::collections::BTreeMap;
use std::ptr::NonNull;

#[cfg(target_os = "linux")]
use memmap2::UncheckedAdvice;
use memmap2::{MmapMut, MmapRaw};

/// What sizes and places of large blocks are multiples of.
pub(super) const GRAIN: usize = 4 << 10;
/// Bytes of the first range; those that follow double the whole, up to [`LARGEST`]. Only what is used of a range takes memory.
const FIRST: usize = 64 << 20;
const LARGEST: usize = 1 << 30;

/// Where the mapped ranges lie and what of them is free.
pub(super) struct Ranges {
    /// Never undone.
    maps: Vec<MmapRaw>,
    /// Free parts: range and offset in it, to their size. No two of a range touch each other.
    free: BTreeMap<(usize, usize), Free>,
}

/// A free part of a range.
#[derive(Clone, Copy)]
struct Free {
    size: usize,
    /// Bytes at its end that were never used: they are still zero.
    fresh: usize,
}

impl Ranges {
    pub(super) const fn new() -> Self {
        Ranges { maps: Vec::new(), free: BTreeMap::new() }
    }

    /// Bytes of free parts that were used, and so may take memory.
    pub(super) fn unused(&self) -> usize {
        self.free.values().map(|free| free.size - free.fresh).sum()
    }

    /// A block of `size` bytes, rounded up to whole grains, and how many bytes at its start may be other than zero.
    pub(super) fn take(&mut self, size: usize) -> Option<(NonNull<u8>, usize)> {
        let size = size.checked_next_multiple_of(GRAIN)?;
        let fits = |free: &BTreeMap<(usize, usize), Free>| {
            free.iter().find(|(_, free)| free.size >= size).map(|(place, free)| (*place, *free))
        };
        let ((range, offset), free) = match fits(&self.free) {
            Some(found) => found,
            None => {
                self.grow(size)?;
                fits(&self.free)?
            }
        };
        self.free.remove(&(range, offset));
        if free.size > size {
            let rest = free.size - size;
            self.free.insert((range, offset + size), Free { size: rest, fresh: free.fresh.min(rest) });
        }
        let block = NonNull::new(self.maps[range].as_mut_ptr())?;
        // SAFETY: the part lies in the range.
        Some((unsafe { block.add(offset) }, size.min(free.size - free.fresh)))
    }

    /// Maps one more range that a block of `size` bytes fits into.
    fn grow(&mut self, size: usize) -> Option<()> {
        let total: usize = self.maps.iter().map(MmapRaw::len).sum();
        let wanted = total.clamp(FIRST, LARGEST).max(size);
        // Where address space is short, no more than is needed.
        let map = MmapRaw::from(MmapMut::map_anon(wanted).or_else(|_| MmapMut::map_anon(size)).ok()?);
        let size = map.len();
        self.free.insert((self.maps.len(), 0), Free { size, fresh: size });
        self.maps.push(map);
        Some(())
    }

    /// Takes a block back; false if it is none of these ranges.
    pub(super) fn give_back(&mut self, block: NonNull<u8>, size: usize) -> bool {
        let address = block.addr().get();
        let ranges = self.maps.iter().enumerate();
        let mut ranges = ranges.filter_map(|(i, map)| Some((i, address.checked_sub(map.as_ptr().addr())?, map.len())));
        let Some((range, offset, _)) = ranges.find(|(_, offset, size)| offset < size) else { return false };
        let (mut offset, mut part) = (offset, Free { size: size.next_multiple_of(GRAIN), fresh: 0 });
        if let Some(next) = self.free.remove(&(range, offset + part.size)) {
            part = Free { size: part.size + next.size, fresh: next.fresh };
        }
        if let Some((place, before)) = self.free.range_mut((range, 0)..(range, offset)).next_back() {
            if place.1 + before.size == offset {
                offset = place.1;
                part.size += before.size;
            }
        }
        self.free.insert((range, offset), part);
        true
    }

    /// Gives the memory of free parts back to the system: they are as if they had never been used.
    pub(super) fn release(&mut self) {
        #[cfg(target_os = "linux")]
        for ((range, offset), free) in &mut self.free {
            let (map, used) = (&self.maps[*range], free.size - free.fresh);
            // SAFETY: nobody has a pointer into a free part; on Linux, what is taken again of a map of no file is zeros.
            if unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, *offset, used) }.is_ok() {
                free.fresh = free.size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn what_was_given_back_is_taken_again() {
        let mut ranges = Ranges::new();
        let blocks: Vec<_> = (0..4).map(|_| ranges.take(10 * MIB - 5).unwrap()).collect();
        assert!(blocks.iter().all(|(_, used)| *used == 0) && ranges.maps.len() == 1);
        assert!(ranges.give_back(blocks[2].0, 10 * MIB - 5) && ranges.give_back(blocks[1].0, 10 * MIB - 5));
        // The two are one now: a block of both sizes begins where the first began, and is not clean.
        let (both, used) = ranges.take(20 * MIB).unwrap();
        assert!(both == blocks[1].0 && used == 20 * MIB);
        // Behind the last is what was never used.
        assert!(ranges.give_back(blocks[3].0, 10 * MIB - 5));
        let (last, used) = ranges.take(30 * MIB).unwrap();
        assert!(last == blocks[3].0 && used == 10 * MIB && ranges.maps.len() == 1);
        assert_eq!(ranges.free.len(), 1);
        assert!(!ranges.give_back(NonNull::dangling(), MIB));
    }

    #[test]
    fn ranges_are_added_as_needed() {
        let mut ranges = Ranges::new();
        let large = ranges.take(200 * MIB).unwrap().0;
        assert_eq!((ranges.maps.len(), ranges.maps[0].len()), (1, 200 * MIB));
        ranges.take(MIB).unwrap();
        assert_eq!((ranges.maps.len(), ranges.maps[1].len()), (2, 200 * MIB));
        ranges.give_back(large, 200 * MIB);
        assert_eq!(ranges.take(MIB).unwrap().0, large);
        assert!(ranges.take(usize::MAX).is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_released_is_zero_again() {
        let mut ranges = Ranges::new();
        let [first, second] = [0, 1].map(|_| ranges.take(2 * MIB).unwrap().0);
        for block in [first, second] {
            // SAFETY: the block is as large and nobody else's.
            unsafe { block.write_bytes(7, 2 * MIB) };
        }
        assert!(ranges.give_back(first, 2 * MIB));
        ranges.release();
        let (again, used) = ranges.take(2 * MIB).unwrap();
        // SAFETY: as above.
        let [free, held] = [again, second].map(|block| unsafe { std::slice::from_raw_parts(block.as_ptr(), 2 * MIB) });
        assert!(
            again == first && used == 0 && free.iter().all(|byte| *byte == 0) && held.iter().all(|byte| *byte == 7)
        );
    }
}
