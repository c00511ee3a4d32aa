//! Copying a table into another layout while its holder writes.
//!
//! The holder marks what it writes (see [`crate::table::marks`]); a pass takes marks and then copies their slots, so
//! that a write which the copy missed, or saw half, has left its mark for the next pass. The last pass runs while the
//! holder stands still: its copies are whole, and only they may refuse.
//!
//! Marks belong to the one successor that copies: a copy that is given up leaves unmarked slots behind, so whoever
//! comes next begins with [`Copier::first`] again.

use super::converge::{Converge, Remainder, Verdict};
use super::loss::{RowMarks, SlotLosses};
use super::{Loss, Plan, Refusal, RefusalKind, RowOutcome, Runner};
use crate::error::RegionError;
use crate::schema::Schema;
use crate::table::marks::{self, BLOCK_SLOTS, GROUP_BLOCKS, WHOLE_BLOCK};
use crate::table::{Meta, RECORD_LEN_MAX, RecordsView, Slot};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// A table of at most so many slots is copied whole in the last pass: cheaper than to find out what changed, and its
/// holder need not mark.
const WHOLE_SLOTS: usize = 512;
/// Blocks of the first pass between two looks at the clock and two calls of its guest.
const STRETCH_BLOCKS: usize = 2 * GROUP_BLOCKS;
/// Nanoseconds to copy a slot that is in no cache, until it was measured.
const SLOT_NS: f64 = 150.0;

/// What one pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pass {
    /// Slots that were copied.
    pub slots: u64,
    /// Live records among them.
    pub records: u64,
}

/// Why a table could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The plan does not fit the records that are there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The two tables do not fit each other.
    #[error(transparent)]
    Region(#[from] RegionError),
}

/// How the holder of the source marks what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marking {
    /// Slot by slot, with groups.
    Fine,
    /// Whole blocks, no groups: an executable of the first release.
    Coarse,
}

/// Something that is derived from the records and is made anew beside them: told of every slot whose translated record
/// changed, in any pass.
pub trait Follower: Send + std::fmt::Debug {
    /// `slot` had the record `before` and has `after` now; `None` is a free slot.
    fn changed(&mut self, slot: Slot, before: Option<&[u8]>, after: Option<&[u8]>);

    /// Why what was derived cannot be used, if so.
    fn refusal(&self) -> Option<Refusal> {
        None
    }
}

/// Copies one table from its holder's segment into the successor's.
#[derive(Debug)]
pub struct Copier {
    source: RecordsView,
    destination: RecordsView,
    runner: Runner,
    losses: SlotLosses,
    marking: Marking,
    followers: Vec<Box<dyn Follower>>,
    /// Live records in slots that the destination does not have.
    stranded: Stranded,
    /// Nanoseconds that a slot took when slots were copied one here, one there.
    slot_ns: f64,
    copied: u64,
    passes: u32,
}

impl Copier {
    /// Compiles the plan between two tables. `destination` is the caller's own, not yet in use; it may have fewer or more
    /// slots. `marking` is how the source's holder marks: see [`RecordsView::marks_are_fine`].
    ///
    /// # Errors
    /// [`CopyError::Refused`] when the layouts do not fit, by table and field.
    pub fn new(
        source: RecordsView,
        destination: RecordsView,
        schema: &Schema,
        marking: Marking,
    ) -> Result<Self, CopyError> {
        let plan = Plan::compile(source.descriptor(), destination.descriptor())?;
        let runner = plan.bind(schema)?;
        let slots = source.geometry.capacity.min(destination.geometry.capacity);
        let losses = SlotLosses::new(&plan, slots);
        let stranded = Stranded::new(slots, source.geometry.capacity);
        let marking = if source.groups().is_none() { Marking::Coarse } else { marking };
        Ok(Self {
            source,
            destination,
            runner,
            losses,
            marking,
            followers: Vec::new(),
            stranded,
            slot_ns: SLOT_NS,
            copied: 0,
            passes: 0,
        })
    }

    /// Adds a follower, before the first pass.
    pub fn follow(&mut self, follower: Box<dyn Follower>) {
        self.followers.push(follower);
    }

    /// Copies every slot, marked or not. `rest(done, total)` is called now and then, in slots; it may sleep.
    pub fn first(&mut self, mut rest: impl FnMut(u64, u64)) -> Pass {
        let mut pass = Pass::default();
        let total = self.source.capacity();
        for block in 0..self.source.geometry.blocks() {
            if block.is_multiple_of(GROUP_BLOCKS)
                && let Some(groups) = self.source.groups()
            {
                marks::take(&groups[block / GROUP_BLOCKS]);
            }
            marks::take(&self.source.marks()[block]);
            self.block(block, WHOLE_BLOCK, &mut pass);
            if block.is_multiple_of(STRETCH_BLOCKS) {
                rest((block * BLOCK_SLOTS) as u64, total);
            }
        }
        self.passes += 1;
        pass
    }

    /// Copies the slots that were marked since they were last copied.
    pub fn again(&mut self) -> Pass {
        self.passes += 1;
        let start = Instant::now();
        let pass = self.marked();
        // Few slots say more about the clock than about the copy.
        if pass.slots >= 32 {
            self.slot_ns = start.elapsed().as_nanos() as f64 / pass.slots as f64;
        }
        pass
    }

    /// A short pass right before the switch, not counted: nothing where looking for marks alone would take long, or
    /// where more than `most` is left.
    pub fn top_up(&mut self, most: Duration) {
        if self.marking == Marking::Fine && !self.is_small() && self.remainder().time <= most {
            self.marked();
        }
    }

    /// The last pass, with the holder standing still: copies what is still marked.
    ///
    /// # Errors
    /// The first row that refuses, by field, or the records that the destination has no slot for. The destination must
    /// not be used then.
    pub fn last(&mut self) -> Result<Pass, Refusal> {
        let pass = if self.is_small() { self.whole() } else { self.marked() };
        if let Some(refusal) = self.losses.total().refusal() {
            return Err(refusal);
        }
        self.capacity_refusal().map_or(Ok(pass), Err)
    }

    /// Whether, as of the last pass, there are records that have no place in the copy.
    pub fn capacity_refusal(&self) -> Option<Refusal> {
        match self.stranded.count {
            0 => self.followers.iter().find_map(|follower| follower.refusal()),
            count => Some(self.no_slots_for(count)),
        }
    }

    /// What the next pass would copy, and how long it would take.
    pub fn remainder(&self) -> Remainder {
        let slots = if self.is_small() { self.source.capacity() } else { self.dirty() };
        // Looking for marks: a line of them at a time.
        let looked_at = match self.marking {
            Marking::Fine => self.source.geometry.groups(),
            Marking::Coarse => self.source.geometry.blocks(),
        };
        Remainder { slots, time: Duration::from_nanos((slots as f64 * self.slot_ns) as u64 + looked_at as u64 / 16) }
    }

    /// Passes until `converge` has enough. The steps that it decided are in it then.
    pub fn converge(&mut self, converge: &mut Converge) -> Remainder {
        loop {
            let remainder = self.remainder();
            match converge.next(remainder) {
                Verdict::Again => self.again(),
                Verdict::Enough | Verdict::Hopeless => return remainder,
            };
        }
    }

    /// Slots marked now; all of a block where its holder marks whole blocks.
    pub fn dirty(&self) -> u64 {
        let slots = |mark: u8| if self.marking == Marking::Coarse { BLOCK_SLOTS as u32 } else { mark.count_ones() };
        let mut dirty = 0;
        for blocks in self.marked_lines() {
            for mark in &self.source.marks()[blocks] {
                let mark = mark.load(Ordering::Relaxed);
                if mark != 0 {
                    dirty += u64::from(slots(mark));
                }
            }
        }
        dirty
    }

    /// What did not fit, over the last copies of all slots.
    pub fn loss(&self) -> &Loss {
        self.losses.total()
    }

    /// Records copied in all passes together.
    pub fn copied(&self) -> u64 {
        self.copied
    }

    /// Passes so far.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// The table that is copied from.
    pub fn source(&self) -> &RecordsView {
        &self.source
    }

    /// The table that is copied to.
    pub fn destination(&self) -> &RecordsView {
        &self.destination
    }

    fn is_small(&self) -> bool {
        self.source.geometry.capacity <= WHOLE_SLOTS
    }

    /// Ranges of blocks that may have marks: all of them, or the lines whose group is set.
    fn marked_lines(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let blocks = self.source.geometry.blocks();
        let groups = self.source.groups().filter(|_| self.marking == Marking::Fine);
        (0..self.source.geometry.groups())
            .filter(move |&group| groups.is_none_or(|groups| groups[group].load(Ordering::Relaxed) != 0))
            .map(move |group| group * GROUP_BLOCKS..((group + 1) * GROUP_BLOCKS).min(blocks))
    }

    fn whole(&mut self) -> Pass {
        let mut pass = Pass::default();
        for block in 0..self.source.geometry.blocks() {
            self.block(block, WHOLE_BLOCK, &mut pass);
        }
        pass
    }

    fn marked(&mut self) -> Pass {
        let mut pass = Pass::default();
        let blocks = self.source.geometry.blocks();
        for group in 0..self.source.geometry.groups() {
            if self.marking == Marking::Fine
                && let Some(groups) = self.source.groups()
                && marks::take(&groups[group]) == 0
            {
                continue;
            }
            for block in group * GROUP_BLOCKS..((group + 1) * GROUP_BLOCKS).min(blocks) {
                match marks::take(&self.source.marks()[block]) {
                    0 => {}
                    mark if self.marking == Marking::Fine => self.block(block, mark, &mut pass),
                    _ => self.block(block, WHOLE_BLOCK, &mut pass),
                }
            }
        }
        pass
    }

    /// Copies the slots of a block whose bits are set.
    fn block(&mut self, block: usize, mut bits: u8, pass: &mut Pass) {
        while bits != 0 {
            let at = block * BLOCK_SLOTS + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            if at < self.source.geometry.capacity {
                pass.slots += 1;
                pass.records += u64::from(self.slot(at));
            }
        }
    }

    /// Copies one slot; true when it is live.
    fn slot(&mut self, at: usize) -> bool {
        let slot = Slot(at as u32);
        let meta = self.source.meta(slot);
        if at >= self.destination.geometry.capacity {
            self.stranded.note(at, meta.live);
            return meta.live;
        }
        let mut from = [0; RECORD_LEN_MAX / 8];
        let mut to = [0u64; RECORD_LEN_MAX / 8];
        let words = self.destination.geometry.record_len / 8;
        let (mut copied, mut marks) = (meta, RowMarks::NONE);
        if meta.live {
            let outcome;
            (outcome, marks) = self.runner.run_marked(self.source.copy(slot, &mut from), to[..words].as_mut_bytes());
            // Where it is not done the losses know why; a refusal undoes the swap after the last pass.
            copied.live = outcome == RowOutcome::Done;
        }
        self.tell(slot, copied.live.then_some(&to[..words]));
        if copied.live {
            self.destination.store(slot, &to[..words]);
        }
        self.destination.store_meta(slot, copied);
        self.losses.note(at, marks);
        self.copied += u64::from(copied.live);
        copied.live
    }

    /// Tells the followers, before the destination forgets what it had.
    fn tell(&mut self, slot: Slot, after: Option<&[u64]>) {
        if self.followers.is_empty() {
            return;
        }
        let mut buffer = [0; RECORD_LEN_MAX / 8];
        let Meta { live, .. } = self.destination.meta(slot);
        let before = live.then(|| self.destination.copy(slot, &mut buffer));
        for follower in &mut self.followers {
            follower.changed(slot, before, after.map(IntoBytes::as_bytes));
        }
    }

    fn no_slots_for(&self, count: u64) -> Refusal {
        let (table, room) = (self.destination.descriptor().name(), self.destination.capacity());
        Refusal {
            kind: RefusalKind::Capacity,
            table: table.to_owned(),
            field: None,
            why: format!("{count} live records lie in slots beyond the new capacity of {room}"),
            remedy: "keep the capacity, or wait until those records end".into(),
        }
    }
}

/// Which slots beyond the destination's capacity are live.
#[derive(Debug)]
struct Stranded {
    from: usize,
    live: Vec<bool>,
    count: u64,
}

impl Stranded {
    fn new(from: usize, capacity: usize) -> Self {
        Self { from, live: vec![false; capacity - from], count: 0 }
    }

    fn note(&mut self, slot: usize, live: bool) {
        let before = std::mem::replace(&mut self.live[slot - self.from], live);
        self.count = self.count + u64::from(live) - u64::from(before);
    }
}
