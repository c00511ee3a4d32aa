//! The intent block of a table: what its holder is in the middle of.
//!
//! It lies in the last eight words of the index segment's header, which executables of the first release leave alone.
//! An operation of several stores is told here first: its details, then its number. When it is done, the number is
//! cleared. A successor of a holder that died finds the number and has all that it needs to finish the operation or to
//! take it back, without looking at anything else; see [`crate::recover`].
//!
//! What a death leaves behind is the stores before one instruction of the program, and none after it: a killed thread
//! stops between two instructions, and what it stored reaches memory. So the processor needs no barrier here. The
//! compiler must keep the order, though: hence the fences, which emit no instruction.

use super::Slot;
use super::index::{HEADER_WORDS, Index};
use crate::segment::Segment;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// Header word: number of the operation under way, 0 for none.
const OPERATION: usize = 8;
/// Header word: low half of the writer's generation, and the slot plus one whose record it wrote last in place.
const WRITER: usize = 9;
/// Header words that hold an operation's details.
const DETAILS: usize = 10;
/// How many they are.
pub const DETAIL_WORDS: usize = 5;
/// Header word: not 0 while a full scan is owed.
const OWED: usize = 15;
const _: () = assert!(DETAILS + DETAIL_WORDS == OWED && OWED + 1 == HEADER_WORDS);

/// The intent block.
#[derive(Debug, Clone)]
pub struct Intent {
    segment: Segment,
    /// The generation as which this process writes, in the high half.
    stamp: u64,
}

/// Who wrote to a table last, as far as it keeps intents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// Low half of its generation.
    pub generation: u32,
    /// The record that it wrote last in place; its dirty mark may be missing.
    pub under_way: Option<Slot>,
}

impl Writer {
    /// Whether the holder of `generation` keeps intents; an executable of the first release does not.
    pub fn is(self, generation: u64) -> bool {
        self.generation == generation as u32
    }
}

impl Intent {
    /// The intent block of `index`'s table.
    pub fn of(index: &Index) -> Self {
        Self { segment: index.segment().clone(), stamp: 0 }
    }

    /// The calling process writes as `generation` from now on. Before its first write.
    ///
    /// Where the one that served before keeps no intents, or left one that nobody has taken up, the table may have been
    /// left inconsistent at any time: a scan is owed then.
    pub fn hold(&mut self, generation: u64) {
        let before = self.writer();
        let kept = before.is(generation) || before.is(generation.wrapping_sub(1));
        if self.word(OPERATION).load(Ordering::Relaxed) != 0 || !kept {
            self.owe_scan();
        }
        self.close();
        self.stamp = generation << 32;
        self.word(WRITER).store(self.stamp, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
    }

    /// An operation begins: none of its stores is made before this.
    // PAIR intent: release here and in close(), acquire in read(); who sees the number sees the details.
    #[inline]
    pub fn open(&self, number: u8, details: [u64; DETAIL_WORDS]) {
        let words = self.segment.words(DETAILS * 8, DETAIL_WORDS);
        for (word, detail) in words.iter().zip(details) {
            word.store(detail, Ordering::Relaxed);
        }
        compiler_fence(Ordering::SeqCst);
        self.word(OPERATION).store(number.into(), Ordering::Release);
        // A release alone would let later stores go before it.
        compiler_fence(Ordering::SeqCst);
    }

    /// The operation is done: all of its stores were made before this.
    #[inline]
    pub fn close(&self) {
        compiler_fence(Ordering::SeqCst);
        self.word(OPERATION).store(0, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
    }

    /// The operation under way: number and details.
    // PAIR intent: acquire here, release in open() and close().
    pub fn read(&self) -> Option<(u64, [u64; DETAIL_WORDS])> {
        let number = self.word(OPERATION).load(Ordering::Acquire);
        let words = self.segment.words(DETAILS * 8, DETAIL_WORDS);
        (number != 0).then(|| (number, std::array::from_fn(|at| words[at].load(Ordering::Relaxed))))
    }

    /// A record is about to be written in place. Never cleared: after a death it is the one whose mark may be missing.
    #[inline]
    pub fn under_way(&self, slot: Slot) {
        self.word(WRITER).store(self.stamp | (u64::from(slot.0) + 1), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// Who wrote last, and what.
    pub fn writer(&self) -> Writer {
        let word = self.word(WRITER).load(Ordering::Acquire);
        Writer { generation: (word >> 32) as u32, under_way: (word as u32).checked_sub(1).map(Slot) }
    }

    /// A full scan is owed: said before anything that only a scan can put right may have been left.
    pub fn owe_scan(&self) {
        self.word(OWED).store(1, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
    }

    /// Whether a full scan is owed, by this holder or one before.
    pub fn scan_owed(&self) -> bool {
        self.word(OWED).load(Ordering::Acquire) != 0
    }

    /// A full scan was made.
    pub fn scanned(&self) {
        compiler_fence(Ordering::SeqCst);
        self.word(OWED).store(0, Ordering::Release);
    }

    #[inline]
    fn word(&self, at: usize) -> &AtomicU64 {
        &self.segment.words(at * 8, 1)[0]
    }
}
