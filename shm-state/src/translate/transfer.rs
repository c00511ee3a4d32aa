//! Records from one table into another, many at a time: out of memory that another process may be writing, by atomic
//! words, into a private block; there they are translated and checked; then into this process's own table.

use super::aside::{Keeper, Restorer};
use super::block::Block;
use super::loss::RowMarks;
use super::run::Runner;
use crate::table::{Meta, RecordsView};
use std::sync::atomic::{AtomicU64, Ordering};

/// Slots that are moved together. Their records on both sides fit the first-level cache.
pub(super) const ROWS: usize = 64;

/// The memory that moving records needs.
#[derive(Debug)]
pub(super) struct Transfer {
    block: Block,
    metas: [Meta; ROWS],
    /// Keeps what the destination cannot hold.
    keeper: Option<Keeper>,
    /// Brings back what earlier ones could not.
    restorer: Option<Restorer>,
}

/// A slot right before its copy is stored.
#[derive(Debug)]
pub(super) struct Moved<'a> {
    pub(super) slot: usize,
    /// The destination's slot as it was: its meta word, then its record.
    pub(super) before: &'a [AtomicU64],
    /// The translated record, if the slot is live and the record was not rejected.
    pub(super) after: Option<&'a [u64]>,
    /// What the record lost; where it was rejected they know why.
    pub(super) marks: RowMarks,
}

impl Transfer {
    pub(super) fn new(runner: &Runner, keeper: Option<Keeper>, restorer: Option<Restorer>) -> Self {
        Self { block: runner.block(ROWS), metas: [Meta::decode(0); ROWS], keeper, restorer }
    }

    /// Copies up to [`ROWS`] slots, with what they say of their use and reuse. `tell` hears of each. Returns how many live
    /// records were stored; one that is rejected leaves a free slot.
    ///
    /// # Panics
    /// When either table lacks one of the slots, or there are too many.
    pub(super) fn some(
        &mut self,
        source: &RecordsView,
        destination: &RecordsView,
        slots: impl Iterator<Item = usize> + Clone,
        mut tell: impl FnMut(Moved<'_>),
    ) -> u64 {
        self.block.clear();
        if self.restorer.is_some() {
            self.block.refill();
        }
        let from = source.slots();
        let mut count = 0;
        for slot in slots.clone() {
            let (word, record) = from.slot(slot);
            let meta = Meta::decode(word.load(Ordering::Acquire));
            self.metas[count] = meta;
            count += 1;
            if meta.live {
                load(record, self.block.push());
            }
        }
        self.block.run();
        self.aside(slots.clone());
        let to = destination.slots();
        let (mut row, mut stored) = (0, 0);
        for (slot, meta) in slots.zip(&self.metas[..count]) {
            let (mut after, mut marks) = (None, RowMarks::NONE);
            if meta.live {
                (after, marks) = (self.block.translated(row), self.block.marks(row));
                row += 1;
            }
            tell(Moved { slot, before: to.words(slot), after, marks });
            let (word, record) = to.slot(slot);
            if let Some(after) = after {
                store(record, after);
                stored += 1;
            }
            word.store(Meta { live: after.is_some(), ..*meta }.encode(), Ordering::Release);
        }
        stored
    }

    /// Brings back what layers hold, and keeps what the destination cannot.
    fn aside(&mut self, slots: impl Iterator<Item = usize> + Clone) {
        let Self { block, metas, keeper, restorer } = self;
        let slots = slots.zip(metas.iter().copied());
        if let Some(restorer) = restorer {
            for (row, (slot, meta)) in slots.clone().filter(|(_, meta)| meta.live).enumerate() {
                let (source, destination) = block.row(row);
                restorer.restore(slot, meta, source, destination);
            }
        }
        if let Some(keeper) = keeper {
            keeper.keep(block.sources(), slots);
        }
    }
}

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
