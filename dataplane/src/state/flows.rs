//! The flow table: records and shards (index, free slots and intents of the flows that fall to each) moved together.
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
use shm_state::table::{Full, Index, Intent, KeyHash, Records, RecordsView, Shard, Shards, Slot};

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
    /// No slot of the flow's shard is free.
    Table,
    /// Both index buckets of the key are full.
    Index,
}

/// Flows of layout `R`.
#[derive(Debug)]
pub struct FlowTable<R> {
    records: Records<R>,
    shards: Shards,
}

impl<R: FlowRecord> FlowTable<R> {
    /// Makes an empty table of one shard for `capacity` flows; `key` keys its index.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn create(region_id: [u8; 16], capacity: usize, key: [u8; 16]) -> Result<Self, RegionError> {
        Self::create_sharded(region_id, capacity, 1, key)
    }

    /// Makes an empty table of `shards` shards for `capacity` flows in all; `key` keys their indexes.
    ///
    /// # Errors
    /// See [`RegionError`].
    ///
    /// # Panics
    /// See [`Shards::create`].
    pub fn create_sharded(
        region_id: [u8; 16],
        capacity: usize,
        shards: usize,
        key: [u8; 16],
    ) -> Result<Self, RegionError> {
        let records = Records::create(region_id, capacity)?;
        Self::join(records, Shards::create(region_id, FLOWS_INDEX, capacity, shards, key)?)
    }

    /// Joins records with the shards that name their slots.
    ///
    /// # Errors
    /// [`RegionError::Claim`] when the two are of different capacity or the shards are of another table.
    pub fn join(records: Records<R>, shards: Shards) -> Result<Self, RegionError> {
        let first = shards.list()[0].index.segment();
        first.expect(Index::id(FLOWS_INDEX))?;
        if shards.capacity() != records.capacity() {
            return Err(RegionError::Claim {
                segment: first.id(),
                what: "capacity",
                found: shards.capacity() as u64,
                expected: format!("{} as the flow table", records.capacity()),
            });
        }
        Ok(Self { records, shards })
    }

    /// The calling process writes as `generation` from now on. Before its first write.
    pub fn hold(&mut self, generation: u64) {
        self.shards.list_mut().iter_mut().for_each(|shard| shard.intent.hold(generation));
        self.records.hold(generation);
    }

    /// The table as recovery sees it.
    ///
    /// # Errors
    /// [`RegionError::Claim`] when `identities` are not of this table.
    pub fn ledger(&self, identities: &Identities) -> Result<Ledger, RegionError> {
        let view = RecordsView::attach(self.records.segment().clone())?;
        Ledger::new(view, self.shards.clone(), identities.clone(), LINKS)
    }

    /// How many flows there can be.
    pub fn capacity(&self) -> usize {
        self.records.capacity()
    }

    /// How many flows there are.
    #[inline]
    pub fn live(&self) -> usize {
        // What lies in shared memory may be anything.
        self.records.capacity().saturating_sub(self.shards.free())
    }

    /// The segments that hold the table: records, then one per shard.
    pub fn segments(&self) -> Vec<&Segment> {
        std::iter::once(self.records.segment()).chain(self.shards.segments()).collect()
    }

    /// The shards.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// First stage of a look-up: hashes the key.
    #[inline]
    pub fn hash(&self, key: &FlowKey) -> KeyHash {
        self.shards.hash(&key.bytes())
    }

    /// Second stage: asks for the key's buckets.
    #[inline]
    pub fn prefetch_buckets(&self, hash: KeyHash) {
        self.shards.of(hash).index.prefetch(hash);
    }

    /// Third stage: asks for the record that the buckets point to, which is nearly always the right one.
    #[inline]
    pub fn prefetch(&self, hash: KeyHash) -> Option<Slot> {
        let candidate = self.shards.of(hash).index.candidate(hash)?;
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
        candidate.filter(|&slot| is_it(slot)).or_else(|| self.shards.of(hash).index.find(hash, is_it))
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
        self.intent().under_way(slot);
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
        let shard = self.shards.number(hash);
        let (slot, depth) = self.vacant(shard).ok_or(NoRoom::Table)?;
        let Self { records, shards } = self;
        let Shard { index, free, intent } = &mut shards.list_mut()[shard];
        let place = index.vacancy(hash).map_err(|Full| NoRoom::Index)?;
        let begin = Begin { shard, taking, slot, depth, place };
        Operation::Begin(begin).open(intent);
        identities.take_planned(&taking);
        free.set_len(depth as usize - 1);
        records.fill(slot, R::new(start(taking.identity)));
        // The flow has begun with this store, and with no other.
        index.publish(place, hash, slot);
        identities.bind(row, taking.identity, slot);
        intent.close();
        Ok(begin)
    }

    /// Ends a flow: its slot is free, its identity at backend `row` rests from now on.
    pub fn end(&mut self, identities: &mut Identities, slot: Slot, row: Option<usize>, now_ns: u64) -> End {
        let record = self.records.get(slot);
        let (hash, identity) = (self.shards.hash(&record.key().bytes()), record.identity());
        let shard = self.shards.number(hash);
        let Shard { index, free, .. } = &self.shards.list()[shard];
        // An identity that leads to another flow is that flow's.
        let own = row.filter(|&row| identities.slot(row, identity) == Some(slot));
        let end = End {
            shard,
            resting: own.and_then(|row| identities.to_rest(row, identity, now_ns)),
            slot,
            depth: free.len() as u32,
            place: index.place_of(hash, slot),
        };
        let Self { records, shards } = self;
        Operation::End(end).open(&shards.list()[shard].intent);
        end.finish(shards, |slot| records.clear(slot), identities);
        shards.list()[shard].intent.close();
        end
    }

    /// Frees identities of backend `row` that have rested long enough, a few at a time.
    #[inline]
    pub fn wake(&self, identities: &mut Identities, row: usize, now_ns: u64, reuse_delay_ns: u64) -> Option<Waking> {
        let waking = identities.to_wake(row, now_ns, reuse_delay_ns)?;
        Operation::Wake(waking).open(self.intent());
        identities.wake(&waking);
        self.intent().close();
        Some(waking)
    }

    /// Enters a flow whose identity is the caller's business: for a table that nobody could take over.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing has changed.
    pub fn insert(&mut self, hash: KeyHash, start: FlowStart) -> Result<Slot, NoRoom> {
        let shard = self.shards.number(hash);
        let (slot, depth) = self.vacant(shard).ok_or(NoRoom::Table)?;
        let Self { records, shards } = self;
        let Shard { index, free, .. } = &mut shards.list_mut()[shard];
        let place = index.vacancy(hash).map_err(|Full| NoRoom::Index)?;
        free.set_len(depth as usize - 1);
        records.fill(slot, R::new(start));
        index.publish(place, hash, slot);
        Ok(slot)
    }

    /// The intent block for what is of no shard: identities, and the record written in place.
    #[inline]
    fn intent(&self) -> &Intent {
        &self.shards.list()[0].intent
    }

    /// The topmost free slot of a shard, and how many it has.
    #[inline]
    fn vacant(&mut self, shard: usize) -> Option<(Slot, u32)> {
        let Shard { free, intent, .. } = &mut self.shards.list_mut()[shard];
        for _ in 0..BAD_SLOTS_MAX {
            let depth = free.len();
            match free.get(depth.checked_sub(1)?) {
                Some(slot) if !self.records.is_live(slot) => return Some((slot, depth as u32)),
                // A corrupt entry must not become a flow's slot; it is lost until a scan finds it.
                _ => {
                    intent.owe_scan();
                    free.set_len(depth - 1);
                }
            }
        }
        None
    }
}
