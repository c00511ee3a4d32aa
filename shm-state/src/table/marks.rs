//! Dirty marks: how a holder tells whoever copies its table in the background which slots it wrote.
//!
//! Two levels. A *mark* is a byte for each block of eight slots, a bit for each slot; a *group* is a byte for each line
//! of marks, so that finding a few marks among millions looks at a few lines. The rule, on which all rests:
//!
//! - the holder writes the record, then stores the mark, then stores the group: always, whatever they were before;
//! - the copier takes the group with a swap, then the marks of its line with swaps, then copies the slots.
//!
//! A write that a copy missed, or saw half, has then left its mark and its group for the next pass. Model-checked in
//! `tests/marks_model.rs`, for which the protocol is written over any atomic byte.

use std::sync::atomic::{AtomicU8, Ordering};

/// Slots per mark.
pub const BLOCK_SLOTS: usize = 8;
/// Marks per group: a cache line of them.
pub const GROUP_BLOCKS: usize = 64;

const _: () = assert!(BLOCK_SLOTS == u8::BITS as usize);

/// What the protocol needs of an atomic byte.
pub trait AtomicByte {
    fn load(&self, order: Ordering) -> u8;
    fn store(&self, value: u8, order: Ordering);
    fn swap(&self, value: u8, order: Ordering) -> u8;
}

impl AtomicByte for AtomicU8 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u8 {
        self.load(order)
    }

    #[inline(always)]
    fn store(&self, value: u8, order: Ordering) {
        self.store(value, order);
    }

    #[inline(always)]
    fn swap(&self, value: u8, order: Ordering) -> u8 {
        self.swap(value, order)
    }
}

/// The holder's half, after it wrote slot `bit` of the block: unconditionally, after every write.
///
/// What is loaded decides nothing: a bit that the copier takes meanwhile is set once more, and its slot copied once more.
// PAIR dirty: release here, acquire in take(); what was written before the mark is seen by whoever takes it.
#[inline(always)]
pub fn mark<B: AtomicByte>(mark: &B, group: Option<&B>, bit: u8) {
    mark.store(mark.load(Ordering::Relaxed) | bit, Ordering::Release);
    // PAIR dirty group: release here, acquire in take(); the mark is seen by whoever takes the group.
    if let Some(group) = group {
        group.store(1, Ordering::Release);
    }
}

/// The copier's half, for a mark or a group; what is taken is copied (or, for a group, looked through) afterwards.
///
/// The plain look first costs the holder no cache line where nothing is marked. What it misses is found by the next
/// pass; in the last one the holder stands still.
#[inline(always)]
pub fn take<B: AtomicByte>(byte: &B) -> u8 {
    if byte.load(Ordering::Relaxed) == 0 {
        return 0;
    }
    // PAIR dirty: acquire here, release in mark().
    // PAIR dirty group: the same.
    byte.swap(0, Ordering::AcqRel)
}

/// Every slot of a block.
pub const WHOLE_BLOCK: u8 = u8::MAX;
