//! A table with all that belongs to it, seen without its record type.

use super::facts::{Facts, Key, LinkFields};
use super::operation::{End, Operation};
use crate::error::RegionError;
use crate::identities::Identities;
use crate::table::{KeyHash, RECORD_LEN_MAX, RecordsView, Shard, Shards, Slot};

/// Records, shards (index, free slots and intents each) and identities of one table.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(super) records: RecordsView,
    pub(super) shards: Shards,
    pub(super) identities: Identities,
    facts: Facts,
    /// Backends and their rows, by backend.
    rows: Vec<(u32, usize)>,
}

/// What a live record says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) hash: KeyHash,
    /// Row of its backend; `None` for a backend that has none.
    pub(super) row: Option<usize>,
    pub(super) identity: u32,
}

impl Ledger {
    /// Joins what belongs together; `fields` say which of the record's fields tie it to its identity.
    ///
    /// # Errors
    /// [`RegionError::Claim`] when the parts do not fit each other, or the records have no such fields.
    pub fn new(
        records: RecordsView,
        shards: Shards,
        identities: Identities,
        fields: LinkFields,
    ) -> Result<Self, RegionError> {
        if shards.capacity() as u64 != records.capacity() {
            return Err(RegionError::Claim {
                segment: shards.list()[0].index.segment().id(),
                what: "capacity",
                found: shards.capacity() as u64,
                expected: format!("{} as the table", records.capacity()),
            });
        }
        let facts = Facts::new(records.descriptor(), fields, records.segment())?;
        let mut rows: Vec<_> = (0..identities.rows()).map(|row| (identities.spec(row).backend, row)).collect();
        rows.sort_unstable();
        Ok(Self { records, shards, identities, facts, rows })
    }

    /// How many records there can be.
    pub fn capacity(&self) -> usize {
        self.shards.capacity()
    }

    /// Whether its holder is, or was when it died, in the middle of an operation.
    pub fn under_way(&self) -> bool {
        self.shards.list().iter().any(|shard| shard.intent.read().is_some())
    }

    /// The table's shards.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    pub(super) fn is_live(&self, slot: Slot) -> bool {
        slot.at() < self.capacity() && self.records.meta(slot).live
    }

    /// What the record in `slot` says. Panics when there is no such slot.
    pub(super) fn entry(&self, slot: Slot) -> Entry {
        let mut buffer = [0; RECORD_LEN_MAX / 8];
        let record = self.records.copy(slot, &mut buffer);
        let key = self.facts.key(record);
        let row = self.row(self.facts.backend(record));
        Entry { key, hash: self.shards.hash(key.bytes()), row, identity: self.facts.identity(record) }
    }

    /// The slot that a look-up of `entry`'s key finds.
    pub(super) fn find(&self, entry: &Entry) -> Option<Slot> {
        self.shards.of(entry.hash).index.find(entry.hash, |slot| self.is_live(slot) && self.has_key(slot, &entry.key))
    }

    /// Whether the live record in `slot` has this identity.
    pub(super) fn has_identity(&self, slot: Slot, row: usize, identity: u32) -> bool {
        if !self.is_live(slot) {
            return false;
        }
        let mut buffer = [0; RECORD_LEN_MAX / 8];
        let record = self.records.copy(slot, &mut buffer);
        self.facts.identity(record) == identity && self.row(self.facts.backend(record)) == Some(row)
    }

    /// Plans the end of the record in `slot`. Its identity goes to rest if it leads here.
    pub(super) fn to_end(&self, slot: Slot, entry: &Entry, now_ns: u64) -> End {
        let bound = entry.row.filter(|&row| self.identities.slot(row, entry.identity) == Some(slot));
        let shard = self.shards.number(entry.hash);
        let Shard { index, free, .. } = &self.shards.list()[shard];
        End {
            shard,
            resting: bound.and_then(|row| self.identities.to_rest(row, entry.identity, now_ns)),
            slot,
            depth: free.len() as u32,
            place: index.place_of(entry.hash, slot),
        }
    }

    /// Ends the record in `slot` as planned.
    pub(super) fn end(&mut self, end: &End) {
        Operation::End(*end).open(&self.shards.list()[end.shard].intent);
        self.finish_end(end);
        self.shards.list()[end.shard].intent.close();
    }

    /// All that an end stores; the same again changes nothing.
    pub(super) fn finish_end(&mut self, end: &End) {
        let Self { records, shards, identities, .. } = self;
        end.finish(shards, |slot| records.clear(slot), identities);
    }

    fn row(&self, backend: u32) -> Option<usize> {
        let at = self.rows.partition_point(|(known, _)| *known < backend);
        self.rows.get(at).filter(|(known, _)| *known == backend).map(|(_, row)| *row)
    }

    fn has_key(&self, slot: Slot, key: &Key) -> bool {
        let mut buffer = [0; RECORD_LEN_MAX / 8];
        self.facts.key(self.records.copy(slot, &mut buffer)) == *key
    }
}
