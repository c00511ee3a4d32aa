//! Free slots of a table, or of one of its shards: a stack behind the index, in the same segment.
//!
//! Last in, first out, so that the slots in use stay close together. Single owner. Each change is one entry and then
//! the depth: what lies above the depth is nobody's.

use super::Slot;
use super::index::Index;
use crate::segment::Segment;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Header word that holds the depth.
const DEPTH: usize = 4;

/// The stack.
#[derive(Debug, Clone)]
pub struct FreeSlots {
    segment: Segment,
    off: usize,
    /// Slots of the table.
    capacity: usize,
    /// Most that the stack holds.
    room: usize,
}

impl FreeSlots {
    /// The free slots of `index`'s table or shard.
    pub fn of(index: &Index) -> Self {
        let share = index.share();
        Self { segment: index.segment().clone(), off: share.free_off(), capacity: share.capacity, room: share.room() }
    }

    /// Puts every slot that is dealt to the index's shard on the stack.
    pub(super) fn format(index: &Index) {
        let (free, share, (shard, _)) = (Self::of(index), index.share(), index.shard());
        // The lowest slot on top.
        let mut depth = 0;
        for (slot, entry) in share.dealt(shard).zip(free.entries()) {
            entry.store(slot as u32, Ordering::Relaxed);
            depth += 1;
        }
        free.depth().store(depth, Ordering::Release);
    }

    /// Puts another slot at a place of the stack.
    pub(crate) fn put(&self, place: u32, slot: Slot) {
        if let Some(entry) = self.entries().get(place as usize) {
            entry.store(slot.0, Ordering::Relaxed);
        }
    }

    /// Free slots now; at most what there is room for, whatever the segment says.
    #[inline]
    pub fn len(&self) -> usize {
        (self.depth().load(Ordering::Relaxed) as usize).min(self.room)
    }

    /// True when there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slot at a position, 0 being the lowest; `None` above the depth or for an entry that names no slot.
    #[inline]
    pub fn get(&self, at: usize) -> Option<Slot> {
        let slot = self.entries()[..self.len()].get(at)?.load(Ordering::Relaxed);
        ((slot as usize) < self.capacity).then_some(Slot(slot))
    }

    /// Takes a slot.
    #[inline]
    pub fn pop(&mut self) -> Option<Slot> {
        let depth = self.len().checked_sub(1)?;
        let slot = self.get(depth);
        self.set_len(depth);
        // A corrupt entry must not become a slot; it is lost, not followed.
        slot
    }

    /// Gives a slot back.
    #[inline]
    pub fn push(&mut self, slot: Slot) {
        self.push_at(self.len(), slot);
    }

    /// Gives a slot back onto a stack of `depth`: the same again changes nothing.
    #[inline]
    pub fn push_at(&mut self, depth: usize, slot: Slot) {
        if depth < self.room {
            self.entries()[depth].store(slot.0, Ordering::Relaxed);
            self.set_len(depth + 1);
        }
    }

    /// Sets the depth: takes what is above it, or gives back what was taken since and still lies there.
    #[inline]
    pub fn set_len(&mut self, depth: usize) {
        self.depth().store(depth.min(self.room) as u64, Ordering::Release);
    }

    /// Removes the entry at a position; the topmost takes its place.
    pub fn swap_remove(&mut self, at: usize) {
        let Some(top) = self.len().checked_sub(1) else { return };
        self.set_len(top);
        let last = self.entries()[top].load(Ordering::Relaxed);
        self.entries()[at].store(last, Ordering::Release);
    }

    #[inline]
    fn depth(&self) -> &AtomicU64 {
        &self.segment.words(DEPTH * 8, 1)[0]
    }

    #[inline]
    fn entries(&self) -> &[AtomicU32] {
        self.segment.halves(self.off, self.room)
    }
}
