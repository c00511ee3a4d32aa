//! The flow table: records, index and free slots moved together.
//!
//! Order of writes, so that a death at any point leaves a table that can be repaired: a new flow's record is whole
//! before the index names it; an ending flow is withdrawn from the index before its slot is given back.

use super::flow::{FlowRecord, FlowStart};
use super::key::FlowKey;
use super::{FLOWS, FLOWS_INDEX};
use shm_state::error::RegionError;
use shm_state::segment::Segment;
use shm_state::table::{FreeSlots, Index, KeyHash, Records, Slot};

const _: () = assert!(FLOWS != FLOWS_INDEX);

/// Why a flow could not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
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
        let free = FreeSlots::of(&index);
        Ok(Self { records, index, free })
    }

    /// The calling process writes as `generation` from now on.
    pub fn hold(&self, generation: u64) {
        self.records.hold(generation);
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

    /// First stage of a look-up: hashes the key and asks for its buckets.
    #[inline]
    pub fn hash(&self, key: &FlowKey) -> KeyHash {
        let hash = self.index.hash(&key.bytes());
        self.index.prefetch(hash);
        hash
    }

    /// Second stage: asks for the record that the buckets point to.
    #[inline]
    pub fn prefetch(&self, hash: KeyHash) {
        if let Some(slot) = self.index.find(hash, |_| true) {
            self.records.prefetch(slot);
        }
    }

    /// Asks for a record by its slot.
    #[inline]
    pub fn prefetch_slot(&self, slot: Slot) {
        self.records.prefetch(slot);
    }

    /// Third stage: the flow of this key.
    #[inline]
    pub fn find(&self, hash: KeyHash, key: &FlowKey) -> Option<Slot> {
        self.index.find(hash, |slot| self.records.meta(slot).live && self.records.get(slot).is(key))
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
        change(self.records.get_mut(slot));
        self.records.touch(slot);
    }

    /// Enters a flow that is not there yet.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing has changed.
    pub fn insert(&mut self, hash: KeyHash, start: FlowStart) -> Result<Slot, NoRoom> {
        let slot = self.free.pop().ok_or(NoRoom::Table)?;
        self.records.fill(slot, R::new(start));
        if self.index.insert(hash, slot).is_err() {
            self.records.clear(slot);
            self.free.push(slot);
            return Err(NoRoom::Index);
        }
        Ok(slot)
    }

    /// Ends a flow and gives its slot back.
    pub fn remove(&mut self, slot: Slot) {
        let hash = self.index.hash(&self.records.get(slot).key().bytes());
        self.index.remove(hash, slot);
        self.records.clear(slot);
        self.free.push(slot);
    }
}
