//! A table with all that belongs to it, seen without its record type.

use super::facts::{Facts, Key, LinkFields};
use super::operation::{End, Operation};
use crate::error::RegionError;
use crate::identities::Identities;
use crate::table::{FreeSlots, Index, Intent, KeyHash, RECORD_LEN_MAX, RecordsView, Slot};

/// Records, index, free slots, identities and intents of one table.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(super) records: RecordsView,
    pub(super) index: Index,
    pub(super) free: FreeSlots,
    pub(super) identities: Identities,
    pub(super) intent: Intent,
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
        index: Index,
        identities: Identities,
        fields: LinkFields,
    ) -> Result<Self, RegionError> {
        if index.capacity() as u64 != records.capacity() {
            return Err(RegionError::Claim {
                segment: index.segment().id(),
                what: "capacity",
                found: index.capacity() as u64,
                expected: format!("{} as the table", records.capacity()),
            });
        }
        let facts = Facts::new(records.descriptor(), fields, records.segment())?;
        let mut rows: Vec<_> = (0..identities.rows()).map(|row| (identities.spec(row).backend, row)).collect();
        rows.sort_unstable();
        let (free, intent) = (FreeSlots::of(&index), Intent::of(&index));
        Ok(Self { records, index, free, identities, intent, facts, rows })
    }

    /// How many records there can be.
    pub fn capacity(&self) -> usize {
        self.index.capacity()
    }

    /// The intent block.
    pub fn intent(&self) -> &Intent {
        &self.intent
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
        Entry { key, hash: self.index.hash(key.bytes()), row, identity: self.facts.identity(record) }
    }

    /// The slot that a look-up of `entry`'s key finds.
    pub(super) fn find(&self, entry: &Entry) -> Option<Slot> {
        self.index.find(entry.hash, |slot| self.is_live(slot) && self.has_key(slot, &entry.key))
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
        End {
            resting: bound.and_then(|row| self.identities.to_rest(row, entry.identity, now_ns)),
            slot,
            depth: self.free.len() as u32,
            place: self.index.place_of(entry.hash, slot),
        }
    }

    /// Ends the record in `slot` as planned.
    pub(super) fn end(&mut self, end: &End) {
        Operation::End(*end).open(&self.intent);
        self.finish_end(end);
        self.intent.close();
    }

    /// All that an end stores; the same again changes nothing.
    pub(super) fn finish_end(&mut self, end: &End) {
        let Self { records, index, free, identities, .. } = self;
        end.finish(index, |slot| records.clear(slot), free, identities);
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
