//! Records from one table into another, many at a time: out of memory that another process may be writing, by atomic
//! words, into a private block; there they are translated and checked; then into this process's own table.

use super::block::Block;
use super::loss::RowMarks;
use super::run::Runner;
use crate::table::{Meta, RecordsView};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slots that are moved together. Their records on both sides fit the first-level cache.
pub(super) const ROWS: usize = 64;

/// The memory that moving records needs.
#[derive(Debug)]
pub(super) struct Transfer {
    block: Block,
    metas: [Meta; ROWS],
}

impl Transfer {
    pub(super) fn new(runner: &Runner) -> Self {
        Self { block: runner.block(ROWS), metas: [Meta::decode(0); ROWS] }
    }

    /// Copies `slots`, with what the slots say of their use and reuse. `note` is told what each slot's record lost.
    /// Returns how many live records were stored; one that is rejected leaves a free slot, and its marks know why.
    ///
    /// # Panics
    /// When either table lacks one of the slots.
    pub(super) fn slots(
        &mut self,
        source: &RecordsView,
        destination: &RecordsView,
        slots: Range<usize>,
        mut note: impl FnMut(usize, RowMarks),
    ) -> u64 {
        slots
            .clone()
            .step_by(ROWS)
            .map(|at| self.some(source, destination, at..slots.end.min(at + ROWS), &mut note))
            .sum()
    }

    /// As [`Transfer::slots`], for as many as fit the block.
    fn some(
        &mut self,
        source: &RecordsView,
        destination: &RecordsView,
        slots: Range<usize>,
        note: &mut impl FnMut(usize, RowMarks),
    ) -> u64 {
        self.block.clear();
        for (meta, slot) in self.metas.iter_mut().zip(source.slots(slots.clone())) {
            let (word, record) = slot.split_first().expect("a slot begins with its meta word");
            *meta = Meta::decode(word.load(Ordering::Acquire));
            if meta.live {
                load(record, self.block.push());
            }
        }
        self.block.run();
        let (mut row, mut stored) = (0, 0);
        for ((at, meta), slot) in slots.clone().zip(&self.metas).zip(destination.slots(slots)) {
            let (word, record) = slot.split_first().expect("a slot begins with its meta word");
            let (mut live, mut marks) = (false, RowMarks::NONE);
            if meta.live {
                if let Some(translated) = self.block.translated(row) {
                    store(record, translated);
                    live = true;
                    stored += 1;
                }
                marks = self.block.marks(row);
                row += 1;
            }
            word.store(Meta { live, ..*meta }.encode(), Ordering::Release);
            note(at, marks);
        }
        stored
    }
}

/// Words that may change meanwhile. Each is read once.
#[inline(always)]
fn load(from: &[AtomicU64], to: &mut [u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.load(Ordering::Relaxed);
    }
}

#[inline(always)]
fn store(to: &[AtomicU64], from: &[u64]) {
    for (to, from) in to.iter().zip(from) {
        to.store(*from, Ordering::Relaxed);
    }
}
