//! Copying a table into another layout while its holder writes.
//!
//! The holder marks what it writes (see [`crate::table::marks`]); a pass takes marks and then copies their slots, so
//! that a write which the copy missed, or saw half, has left its mark for the next pass. The last pass runs while the
//! holder stands still: its copies are whole, and only they may refuse.
//!
//! Marks belong to the one successor that copies: a copy that is given up leaves unmarked slots behind, so whoever
//! comes next begins with [`Copier::first`] again.

use super::aside::{Keeper, Layer, Restorer};
use super::converge::{Converge, Remainder, Verdict};
use super::loss::SlotLosses;
use super::transfer::{Change, ROWS, Transfer};
use super::{Loss, Plan, Refusal, RefusalKind};
use crate::error::RegionError;
use crate::schema::Schema;
use crate::table::marks::{self, BLOCK_SLOTS, GROUP_BLOCKS, WHOLE_BLOCK};
use crate::table::{Meta, RECORD_LEN_MAX, RecordsView, Slot};
use nix::time::ClockId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use zerocopy::IntoBytes;

/// A table of at most so many slots is copied whole in the last pass: cheaper than to find out what changed, and its
/// holder need not mark.
const WHOLE_SLOTS: usize = 512;
/// Blocks that are copied together where whole ones are.
const BLOCKS: usize = ROWS / BLOCK_SLOTS;
/// Blocks of the first pass between two calls of its guest.
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

/// What is known of the source beside its segment.
#[derive(Debug, Clone)]
pub struct Origin {
    /// See [`RecordsView::marks_are_fine`].
    pub marking: Marking,
    /// Its holder's.
    pub generation: u64,
    /// What earlier translations have kept aside.
    pub layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layers {
    carried: Vec<Layer>,
    made: Option<Layer>,
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
    transfer: Transfer,
    /// The layer that is made, and which of the old ones are spent and which carried along.
    layers: Layers,
    /// Slots whose marks were taken and that wait to be copied together.
    taken: Vec<u32>,
    losses: SlotLosses,
    marking: Marking,
    followers: Vec<Box<dyn Follower>>,
    /// Live records in slots that the destination does not have.
    stranded: Stranded,
    /// See [`Plan::rekeys`].
    rekeys: bool,
    /// Nanoseconds that a slot took when slots were copied one here, one there.
    slot_ns: f64,
    copied: u64,
    passes: u32,
}

impl Copier {
    /// Compiles the plan between two tables. `destination` is the caller's own, not yet in use; it may have fewer or more
    /// slots. `layers` are those of the source.
    ///
    /// # Errors
    /// [`CopyError::Refused`] when the layouts do not fit, by table and field; [`CopyError::Region`] when there is no
    /// memory for what is kept aside.
    pub fn new(
        source: RecordsView,
        destination: RecordsView,
        schema: &Schema,
        Origin { marking, generation, layers }: Origin,
    ) -> Result<Self, CopyError> {
        let migrations: Vec<_> = schema.migration_facts().cloned().collect();
        let plan = Plan::compile_with(source.descriptor(), destination.descriptor(), &migrations)?;
        let runner = plan.bind(schema)?;
        let (keeper, restorer, layers) = aside(&plan, (&source, &destination), generation, layers)?;
        let transfer = Transfer::new(&runner, keeper, restorer);
        let slots = source.geometry.capacity.min(destination.geometry.capacity);
        let losses = SlotLosses::new(&plan, slots);
        let stranded = Stranded::new(slots, source.geometry.capacity);
        let marking = if source.groups().is_none() { Marking::Coarse } else { marking };
        Ok(Self {
            source,
            destination,
            transfer,
            layers,
            taken: Vec::with_capacity(ROWS),
            losses,
            marking,
            followers: Vec::new(),
            stranded,
            rekeys: plan.rekeys(),
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
        let blocks = self.source.geometry.blocks();
        for block in (0..blocks).step_by(BLOCKS) {
            let some = block..blocks.min(block + BLOCKS);
            if block.is_multiple_of(GROUP_BLOCKS)
                && let Some(groups) = self.source.groups()
            {
                marks::take(&groups[block / GROUP_BLOCKS]);
            }
            for mark in &self.source.marks()[some.clone()] {
                marks::take(mark);
            }
            self.blocks(some, &mut pass);
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
        let start = worked();
        let pass = self.marked();
        let spent = worked().saturating_sub(start);
        // Few slots say more about the clock than about the copy, and no time at all says that there is no clock.
        if pass.slots >= 32 && !spent.is_zero() {
            self.slot_ns = spent.as_nanos() as f64 / pass.slots as f64;
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

    /// Layers of the table once the copy is in use: those that are carried along, then the one that was made.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.carried.iter().chain(&self.layers.made)
    }

    /// Whether keys change on the way, so that an index over the records has to be made anew beside them.
    pub fn rekeys(&self) -> bool {
        self.rekeys
    }

    /// The layer that holds what the destination cannot.
    pub fn made_layer(&self) -> Option<&Layer> {
        self.layers.made.as_ref()
    }

    /// The copy is in use: what followed it has its own memory back.
    pub fn unfollow(&mut self) {
        self.followers = Vec::new();
    }

    /// The copy is in use for good, and nobody goes back to the source: secrets are overwritten there.
    pub fn retire(self) {
        if self.source.segment().prelude().is_secret() {
            self.source.segment().wipe();
        }
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
        let blocks = self.source.geometry.blocks();
        (0..blocks).step_by(BLOCKS).for_each(|block| self.blocks(block..blocks.min(block + BLOCKS), &mut pass));
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
                    mark if self.marking == Marking::Fine => self.gather(block, mark, &mut pass),
                    _ => self.gather(block, WHOLE_BLOCK, &mut pass),
                }
            }
        }
        self.copy_taken(&mut pass);
        pass
    }

    /// Puts the slots of a block whose bits are set with those that wait to be copied.
    fn gather(&mut self, block: usize, mut bits: u8, pass: &mut Pass) {
        if self.taken.len() + BLOCK_SLOTS > ROWS {
            self.copy_taken(pass);
        }
        while bits != 0 {
            self.taken.push((block * BLOCK_SLOTS) as u32 + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }

    fn copy_taken(&mut self, pass: &mut Pass) {
        let taken = std::mem::take(&mut self.taken);
        self.slots(taken.iter().map(|&slot| slot as usize), pass);
        self.taken = taken;
        self.taken.clear();
    }

    fn blocks(&mut self, blocks: std::ops::Range<usize>, pass: &mut Pass) {
        self.slots(blocks.start * BLOCK_SLOTS..blocks.end * BLOCK_SLOTS, pass);
    }

    /// Copies at most [`ROWS`] slots whose marks were taken. Those beyond the end of the source do not exist; of those
    /// beyond the destination's it is noted that they are live.
    fn slots(&mut self, slots: impl Iterator<Item = usize> + Clone, pass: &mut Pass) {
        let Self { source, destination, transfer, losses, followers, stranded, copied, .. } = self;
        let (most, room) = (source.geometry.capacity, destination.geometry.capacity);
        let there = slots.filter(|&slot| slot < most);
        if room < most {
            there.clone().filter(|&slot| slot >= room).for_each(|slot| {
                stranded.note(slot, source.meta(Slot(slot as u32)).live);
                pass.slots += 1;
            });
        }
        let watched = !followers.is_empty();
        let live = transfer.some(source, destination, there.filter(|&slot| slot < room), watched, |moved| {
            pass.slots += 1;
            losses.note(moved.slot, moved.marks);
            if let Some(change) = moved.change {
                tell(followers, moved.slot, &change);
            }
        });
        pass.records += live;
        *copied += live;
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

/// How long this thread has worked, without the time for which it had no processor: background passes may have hardly
/// any, and the last one, for which they foretell, has one of its own.
fn worked() -> Duration {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

/// Makes the layer that the plan needs, and plans what of the old ones comes back.
fn aside(
    plan: &Plan,
    (source, destination): (&RecordsView, &RecordsView),
    generation: u64,
    old: Vec<Layer>,
) -> Result<(Option<Keeper>, Option<Restorer>, Layers), CopyError> {
    let restorer = Restorer::new(old, plan)?;
    let id = destination.segment().id();
    let fields = Keeper::fields(plan).map_err(|source| RegionError::Descriptor { segment: id, source })?;
    let region_id = destination.segment().prelude().region_id;
    let secret = [source, destination].iter().any(|table| table.segment().prelude().is_secret());
    let make = |fields| Layer::create(region_id, &fields, destination.geometry.capacity, generation, secret);
    let made = fields.map(make).transpose()?;
    let keeper = made.clone().map(|layer| Keeper::new(plan.source(), layer, ROWS));
    let layers = Layers { carried: restorer.carried().cloned().collect(), made };
    Ok((keeper, Some(restorer).filter(|restorer| !restorer.is_idle()), layers))
}

/// Tells the followers, before the destination forgets what it had.
fn tell(followers: &mut [Box<dyn Follower>], slot: usize, change: &Change<'_>) {
    let (word, record) = change.before.split_first().expect("a slot begins with its meta word");
    let mut buffer = [0; RECORD_LEN_MAX / 8];
    let before = Meta::decode(word.load(Ordering::Relaxed)).live.then(|| {
        let words = &mut buffer[..record.len()];
        words.iter_mut().zip(record).for_each(|(to, from): (&mut u64, &AtomicU64)| *to = from.load(Ordering::Relaxed));
        words.as_bytes()
    });
    for follower in followers {
        follower.changed(Slot(slot as u32), before, change.after.map(IntoBytes::as_bytes));
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
