//! Free slots of a table: a stack behind the index, in the same segment.
//!
//! Last in, first out, so that the slots in use stay close together. Single owner; the depth is stored after
//! the entry on a push and before the slot's use on a pop, so that a death in between leaks a slot at worst.

use super::Slot;
use super::index::{HEADER_WORDS, Index};
use crate::segment::Segment;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Header word that holds the depth.
const DEPTH: usize = 4;

/// The stack.
#[derive(Debug)]
pub struct FreeSlots {
    segment: Segment,
    off: usize,
    capacity: usize,
}

impl FreeSlots {
    /// The free slots of `index`'s table.
    pub fn of(index: &Index) -> Self {
        Self { segment: index.segment().clone(), off: Index::free_off(index.capacity()), capacity: index.capacity() }
    }

    pub(super) fn format(segment: &Segment, capacity: usize) {
        let entries = segment.halves(Index::free_off(capacity), capacity);
        for (at, entry) in entries.iter().enumerate() {
            // The lowest slot on top.
            entry.store((capacity - 1 - at) as u32, Ordering::Relaxed);
        }
        segment.words(0, HEADER_WORDS)[DEPTH].store(capacity as u64, Ordering::Release);
    }

    /// The slot at a place of the stack, 0 at its bottom.
    pub(crate) fn at(&self, place: u32) -> Option<Slot> {
        let slot = self.entries().get(place as usize)?.load(Ordering::Relaxed);
        ((slot as usize) < self.capacity).then_some(Slot(slot))
    }

    /// Puts another slot at a place of the stack.
    pub(crate) fn put(&self, place: u32, slot: Slot) {
        if let Some(entry) = self.entries().get(place as usize) {
            entry.store(slot.0, Ordering::Relaxed);
        }
    }

    /// Free slots now; at most the capacity, whatever the segment says.
    #[inline]
    pub fn len(&self) -> usize {
        (self.depth().load(Ordering::Relaxed) as usize).min(self.capacity)
    }

    /// True when the table is full.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a slot.
    #[inline]
    pub fn pop(&mut self) -> Option<Slot> {
        let depth = self.len().checked_sub(1)?;
        let slot = self.entries()[depth].load(Ordering::Relaxed);
        self.depth().store(depth as u64, Ordering::Release);
        // A corrupt entry must not become a slot; it is lost, not followed.
        ((slot as usize) < self.capacity).then_some(Slot(slot))
    }

    /// Gives a slot back.
    #[inline]
    pub fn push(&mut self, slot: Slot) {
        let depth = self.len();
        if depth < self.capacity {
            self.entries()[depth].store(slot.0, Ordering::Relaxed);
            self.depth().store(depth as u64 + 1, Ordering::Release);
        }
    }

    #[inline]
    fn depth(&self) -> &AtomicU64 {
        &self.segment.words(DEPTH * 8, 1)[0]
    }

    #[inline]
    fn entries(&self) -> &[AtomicU32] {
        self.segment.halves(self.off, self.capacity)
    }
}
