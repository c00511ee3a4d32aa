//! Records from one table into another, many at a time, with the meta words of their slots.
//!
//! Straight from slot to slot as long as nobody has to see or change a record before it is stored; otherwise by way of
//! private memory. Either way a word that another process may be writing is read once, and what was read is checked.

use super::aside::{Keeper, Restorer};
use super::loss::RowMarks;
use super::memory::{Bytes, Slots};
use super::run::Runner;
use crate::table::{Meta, RecordsView, SlotWords};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use zerocopy::IntoBytes;
use zeroize::Zeroize;

/// Slots that are moved together.
pub(super) const ROWS: usize = 64;
/// Those of them that are moved in one go: their records on both sides fit the first-level cache with ease.
const WINDOW: usize = 64;
/// When fewer slots than one in so many are live, each of them is moved by itself.
const SPARSE: usize = 4;

/// Moves records by one plan, with the memory that it needs.
#[derive(Debug)]
pub(super) struct Transfer {
    runner: Runner,
    /// Keeps what the destination cannot hold.
    keeper: Option<Keeper>,
    /// Brings back what earlier ones could not.
    restorer: Option<Restorer>,
    metas: [Meta; ROWS],
    marks: [RowMarks; ROWS],
    /// Source records that do not go straight, and what becomes of them.
    from: Vec<u64>,
    to: Vec<u64>,
}

/// A slot right before its copy is in use.
#[derive(Debug)]
pub(super) struct Moved<'a> {
    pub(super) slot: usize,
    /// What the record lost; where it was rejected they know why.
    pub(super) marks: RowMarks,
    /// What the destination had and gets, if that was asked for.
    pub(super) change: Option<Change<'a>>,
}

/// What a slot of the destination had and gets.
#[derive(Debug)]
pub(super) struct Change<'a> {
    /// The slot as it was: its meta word, then its record.
    pub(super) before: &'a [AtomicU64],
    /// The translated record, if the slot is live and the record was not rejected.
    pub(super) after: Option<&'a [u64]>,
}

impl Transfer {
    pub(super) fn new(runner: &Runner, keeper: Option<Keeper>, restorer: Option<Restorer>) -> Self {
        // A slot is a meta word and a record.
        let [from, to] = runner.strides().map(|stride| vec![0; ROWS * (stride - 1)]);
        let (metas, marks) = ([Meta::decode(0); ROWS], [RowMarks::NONE; ROWS]);
        Self { runner: runner.clone(), keeper, restorer, metas, marks, from, to }
    }

    /// Copies up to [`ROWS`] slots, with what they say of their use and reuse. `tell` hears of each, and of what changes
    /// in it if `watched`. Returns how many live records were stored; one that is rejected leaves a free slot.
    ///
    /// # Panics
    /// When either table lacks one of the slots, or there are too many.
    pub(super) fn some(
        &mut self,
        source: &RecordsView,
        destination: &RecordsView,
        slots: impl Iterator<Item = usize> + Clone,
        watched: bool,
        mut tell: impl FnMut(Moved<'_>),
    ) -> u64 {
        let (from, to) = (source.slots(), destination.slots());
        if watched || self.restorer.is_some() {
            return self.by_way_of_here(from, to, slots, watched, tell);
        }
        let mut stored = 0;
        let mut run = 0..0;
        for slot in slots {
            if slot != run.end || run.len() == WINDOW {
                stored += self.straight(from, to, run, &mut tell);
                run = slot..slot;
            }
            run.end += 1;
        }
        stored + self.straight(from, to, run, &mut tell)
    }

    /// For at most [`WINDOW`] slots.
    fn straight(
        &mut self,
        from: SlotWords<'_>,
        to: SlotWords<'_>,
        slots: Range<usize>,
        tell: &mut impl FnMut(Moved<'_>),
    ) -> u64 {
        let rows = slots.len();
        let [from_stride, to_stride] = self.runner.strides();
        let [from, to] = [from, to].map(|table| table.range(slots.clone()));
        let (metas, marks) = (&mut self.metas[..rows], &mut self.marks[..rows]);
        let mut live = 0;
        for ((meta, marks), slot) in metas.iter_mut().zip(&mut *marks).zip(from.chunks_exact(from_stride)) {
            *meta = Meta::decode(slot[0].load(Ordering::Acquire));
            *marks = marks_of(*meta);
            live += usize::from(meta.live);
        }
        if live * SPARSE > rows {
            self.runner.run_slots(from, to, marks);
        } else if live > 0 {
            let pairs = from.chunks_exact(from_stride).zip(to.chunks_exact(to_stride));
            for (marks, (from, to)) in marks.iter_mut().zip(pairs).filter(|(marks, _)| marks.is_done()) {
                self.runner.run_slots(from, to, std::slice::from_mut(marks));
            }
        }
        if let Some(keeper) = &mut self.keeper {
            let from = Slots { words: from, stride: from_stride, rows };
            keeper.keep(from, slots.clone().zip(metas.iter().copied()));
        }
        let mut stored = 0;
        for (((slot, meta), &marks), to) in slots.zip(metas).zip(&*marks).zip(to.chunks_exact(to_stride)) {
            let live = marks.is_done();
            stored += u64::from(live);
            to[0].store(Meta { live, ..*meta }.encode(), Ordering::Release);
            tell(Moved { slot, marks, change: None });
        }
        stored
    }

    fn by_way_of_here(
        &mut self,
        from: SlotWords<'_>,
        to: SlotWords<'_>,
        slots: impl Iterator<Item = usize> + Clone,
        watched: bool,
        mut tell: impl FnMut(Moved<'_>),
    ) -> u64 {
        let [from_words, to_words] = self.runner.strides().map(|stride| stride - 1);
        let mut rows = 0;
        for slot in slots.clone() {
            let (word, record) = from.slot(slot);
            let meta = Meta::decode(word.load(Ordering::Acquire));
            (self.metas[rows], self.marks[rows]) = (meta, marks_of(meta));
            if meta.live {
                let room = &mut self.from[rows * from_words..(rows + 1) * from_words];
                room.iter_mut().zip(record).for_each(|(to, from)| *to = from.load(Ordering::Relaxed));
            }
            rows += 1;
        }
        let Self { runner, keeper, restorer, metas, marks, from, to: translated } = self;
        let (metas, marks) = (&metas[..rows], &mut marks[..rows]);
        let (from, translated) = (&from[..rows * from_words], &mut translated[..rows * to_words]);
        runner.run_many(from.as_bytes(), translated.as_mut_bytes(), marks);
        if let Some(restorer) = restorer {
            let records = from.chunks_exact(from_words).zip(translated.chunks_exact_mut(to_words));
            for ((slot, &meta), (from, to)) in slots.clone().zip(metas).zip(records).filter(|((_, meta), _)| meta.live)
            {
                restorer.restore(slot, meta, from.as_bytes(), to.as_mut_bytes());
            }
        }
        if let Some(keeper) = keeper {
            let from = Bytes { bytes: from.as_bytes(), len: from_words * 8, rows };
            keeper.keep(from, slots.clone().zip(metas.iter().copied()));
        }
        let mut stored = 0;
        let rows = metas.iter().zip(&*marks).zip(translated.chunks_exact(to_words));
        for (slot, ((meta, &marks), translated)) in slots.zip(rows) {
            let after = marks.is_done().then_some(translated);
            let change = watched.then(|| Change { before: to.words(slot), after });
            tell(Moved { slot, marks, change });
            let (word, record) = to.slot(slot);
            if let Some(after) = after {
                record.iter().zip(after).for_each(|(to, from)| to.store(*from, Ordering::Relaxed));
                stored += 1;
            }
            word.store(Meta { live: after.is_some(), ..*meta }.encode(), Ordering::Release);
        }
        stored
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // The table may have been one of secrets.
        self.from.zeroize();
        self.to.zeroize();
    }
}

/// What is known of a row before it is translated.
fn marks_of(meta: Meta) -> RowMarks {
    if meta.live { RowMarks::DONE } else { RowMarks::NONE }
}
