//! The flow table: records, index and free slots moved together.
//!
//! Order of writes, so that a death at any point leaves a table that can be repaired: an operation is planned, told in
//! the intent block, made, and its intent cleared. A new flow's record is whole before the index names it; an ending
//! flow is withdrawn from the index before its slot is given back. See [`shm_state::recover`].

use super::flow::{FlowRecord, FlowStart};
use super::identities::Identities;
use super::key::FlowKey;
use super::{FLOWS, FLOWS_INDEX};
use shm_state::error::RegionError;
use shm_state::identities::Waking;
use shm_state::recover::{Begin, End, Ledger, LinkFields, Operation};
use shm_state::segment::Segment;
use shm_state::table::{FreeSlots, Full, Index, Intent, KeyHash, Records, RecordsView, Slot};

const _: () = assert!(FLOWS != FLOWS_INDEX);

/// The fields that tie a flow to its identity, in every layout.
pub const LINKS: LinkFields = LinkFields { backend: 7, identity: 8 };
/// Corrupt entries that one search for a free slot drops.
const BAD_SLOTS_MAX: usize = 4;

/// Why a flow could not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// No identity is free at the backend.
    Identity,
    /// No slot is free.
    Table,
    /// Both index buckets of the key are full.
    Index,
}

/// Flows of layout `R`.
#[derive(Debug)]
pub struct FlowTable<R> {
    records: Records<R>,
    index: Index,
    free: FreeSlots,
    intent: Intent,
}

impl<R: FlowRecord> FlowTable<R> {
    /// Makes an empty table for `capacity` flows; `key` keys its index.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn create(region_id: [u8; 16], capacity: usize, key: [u8; 16]) -> Result<Self, RegionError> {
        let records = Records::create(region_id, capacity)?;
        let index = Index::create(region_id, FLOWS_INDEX, capacity, key)?;
        Self::join(records, index)
    }

    /// Joins records with the index that names their slots.
    ///
    /// # Errors
    /// [`RegionError::Claim`] when the two are of different capacity or the index is of another table.
    pub fn join(records: Records<R>, index: Index) -> Result<Self, RegionError> {
        index.segment().expect(Index::id(FLOWS_INDEX))?;
        if index.capacity() != records.capacity() {
            return Err(RegionError::Claim {
                segment: index.segment().id(),
                what: "capacity",
                found: index.capacity() as u64,
                expected: format!("{} as the flow table", records.capacity()),
            });
        }
        let (free, intent) = (FreeSlots::of(&index), Intent::of(&index));
        Ok(Self { records, index, free, intent })
    }

    /// The calling process writes as `generation` from now on. Before its first write.
    pub fn hold(&mut self, generation: u64) {
        self.intent.hold(generation);
        self.records.hold(generation);
    }

    /// The table as recovery sees it.
    ///
    /// # Errors
    /// [`RegionError::Claim`] when `identities` are not of this table.
    pub fn ledger(&self, identities: &Identities) -> Result<Ledger, RegionError> {
        let view = RecordsView::attach(self.records.segment().clone())?;
        Ledger::new(view, self.index.clone(), identities.clone(), LINKS)
    }

    /// How many flows there can be.
    pub fn capacity(&self) -> usize {
        self.records.capacity()
    }

    /// How many flows there are.
    #[inline]
    pub fn live(&self) -> usize {
        self.records.capacity() - self.free.len()
    }

    /// The segments that hold the table: records, index.
    pub fn segments(&self) -> [&Segment; 2] {
        [self.records.segment(), self.index.segment()]
    }

    /// First stage of a look-up: hashes the key.
    #[inline]
    pub fn hash(&self, key: &FlowKey) -> KeyHash {
        self.index.hash(&key.bytes())
    }

    /// Second stage: asks for the key's buckets.
    #[inline]
    pub fn prefetch_buckets(&self, hash: KeyHash) {
        self.index.prefetch(hash);
    }

    /// Third stage: asks for the record that the buckets point to, which is nearly always the right one.
    #[inline]
    pub fn prefetch(&self, hash: KeyHash) -> Option<Slot> {
        let candidate = self.index.candidate(hash)?;
        self.records.prefetch(candidate);
        Some(candidate)
    }

    /// Asks for a record by its slot.
    #[inline]
    pub fn prefetch_slot(&self, slot: Slot) {
        self.records.prefetch(slot);
    }

    /// Last stage: the flow of this key, which may be the candidate of the stage before.
    #[inline]
    pub fn find(&self, hash: KeyHash, key: &FlowKey, candidate: Option<Slot>) -> Option<Slot> {
        let is_it = |slot: Slot| self.records.is_live(slot) && self.records.get(slot).is(key);
        candidate.filter(|&slot| is_it(slot)).or_else(|| self.index.find(hash, is_it))
    }

    /// A live flow's record; `None` for a slot number that names none.
    #[inline]
    pub fn live_record(&self, slot: Slot) -> Option<&R> {
        self.records.is_live(slot).then(|| self.records.get(slot))
    }

    /// The record in `slot`. Panics when there is no such slot.
    #[inline]
    pub fn get(&self, slot: Slot) -> &R {
        self.records.get(slot)
    }

    /// Changes the record in `slot` and marks it as changed.
    #[inline]
    pub fn update(&mut self, slot: Slot, change: impl FnOnce(&mut R)) {
        self.intent.under_way(slot);
        change(self.records.get_mut(slot));
        self.records.touch(slot);
    }

    /// Begins a flow that is not there yet, with an identity of backend `row`; `random` picks which.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing has changed.
    pub fn begin(
        &mut self,
        identities: &mut Identities,
        hash: KeyHash,
        row: usize,
        random: u64,
        start: impl FnOnce(u32) -> FlowStart,
    ) -> Result<Begin, NoRoom> {
        let taking = identities.to_take(row, random).ok_or(NoRoom::Identity)?;
        let (slot, depth) = self.vacant().ok_or(NoRoom::Table)?;
        let place = self.index.vacancy(hash).map_err(|Full| NoRoom::Index)?;
        let begin = Begin { taking, slot, depth, place };
        Operation::Begin(begin).open(&self.intent);
        identities.take_planned(&taking);
        self.free.set_len(depth as usize - 1);
        self.records.fill(slot, R::new(start(taking.identity)));
        // The flow has begun with this store, and with no other.
        self.index.publish(place, hash, slot);
        identities.bind(row, taking.identity, slot);
        self.intent.close();
        Ok(begin)
    }

    /// Ends a flow: its slot is free, its identity at backend `row` rests from now on.
    pub fn end(&mut self, identities: &mut Identities, slot: Slot, row: Option<usize>, now_ns: u64) -> End {
        let record = self.records.get(slot);
        let (hash, identity) = (self.index.hash(&record.key().bytes()), record.identity());
        // An identity that leads to another flow is that flow's.
        let own = row.filter(|&row| identities.slot(row, identity) == Some(slot));
        let end = End {
            resting: own.and_then(|row| identities.to_rest(row, identity, now_ns)),
            slot,
            depth: self.free.len() as u32,
            place: self.index.place_of(hash, slot),
        };
        Operation::End(end).open(&self.intent);
        let Self { records, index, free, .. } = self;
        end.finish(index, |slot| records.clear(slot), free, identities);
        self.intent.close();
        end
    }

    /// Frees identities of backend `row` that have rested long enough, a few at a time.
    #[inline]
    pub fn wake(&self, identities: &mut Identities, row: usize, now_ns: u64, reuse_delay_ns: u64) -> Option<Waking> {
        let waking = identities.to_wake(row, now_ns, reuse_delay_ns)?;
        Operation::Wake(waking).open(&self.intent);
        identities.wake(&waking);
        self.intent.close();
        Some(waking)
    }

    /// Enters a flow whose identity is the caller's business: for a table that nobody could take over.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing has changed.
    pub fn insert(&mut self, hash: KeyHash, start: FlowStart) -> Result<Slot, NoRoom> {
        let (slot, depth) = self.vacant().ok_or(NoRoom::Table)?;
        let place = self.index.vacancy(hash).map_err(|Full| NoRoom::Index)?;
        self.free.set_len(depth as usize - 1);
        self.records.fill(slot, R::new(start));
        self.index.publish(place, hash, slot);
        Ok(slot)
    }

    /// The topmost free slot, and how many there are.
    #[inline]
    fn vacant(&mut self) -> Option<(Slot, u32)> {
        for _ in 0..BAD_SLOTS_MAX {
            let depth = self.free.len();
            match self.free.get(depth.checked_sub(1)?) {
                Some(slot) if !self.records.is_live(slot) => return Some((slot, depth as u32)),
                // A corrupt entry must not become a flow's slot; it is lost until a scan finds it.
                _ => {
                    self.intent.owe_scan();
                    self.free.set_len(depth - 1);
                }
            }
        }
        None
    }
}
