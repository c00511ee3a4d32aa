//! Whether records, index and free slots of a table agree: a pure look at a copy of them, which changes nothing.
//!
//! In a table that its holder is at work on, a record and its entry are of different moments: what is found there
//! counts only if it is found again.

use super::index::{HEADER_WORDS, Index, decode};
use super::{RecordsView, Slot};
use crate::descriptor::Descriptor;
use std::sync::atomic::Ordering;

/// Header word of the depth of the free stack.
const DEPTH: usize = 4;

/// Something that does not agree. Slots carry their incarnation, so that the same problem of another flow is another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Disagreement {
    /// Records and index have different numbers of slots.
    #[error("the index is for {index} slots, the table has {table}")]
    Capacity {
        /// Slots of the index.
        index: u64,
        /// Slots of the table.
        table: u64,
    },
    /// An entry names no slot of the table.
    #[error("bucket {bucket} names slot {slot}, which the table does not have")]
    NoSuchSlot {
        /// The bucket.
        bucket: usize,
        /// The slot.
        slot: u32,
    },
    /// An entry names a slot without a record.
    #[error("bucket {bucket} names slot {slot}, which is free (incarnation {incarnation})")]
    Phantom {
        /// The bucket.
        bucket: usize,
        /// The slot.
        slot: u32,
        /// Its incarnation.
        incarnation: u32,
    },
    /// An entry is where nobody looks for the record's key, or carries another key's tag.
    #[error("bucket {bucket} names slot {slot} (incarnation {incarnation}), but not by its key")]
    WrongKey {
        /// The bucket.
        bucket: usize,
        /// The slot.
        slot: u32,
        /// Its incarnation.
        incarnation: u32,
    },
    /// Two entries name one slot.
    #[error("slot {slot} (incarnation {incarnation}) has more than one entry in the index")]
    NamedTwice {
        /// The slot.
        slot: u32,
        /// Its incarnation.
        incarnation: u32,
    },
    /// A record that no entry names.
    #[error("slot {slot} (incarnation {incarnation}) is live, but not in the index")]
    Unnamed {
        /// The slot.
        slot: u32,
        /// Its incarnation.
        incarnation: u32,
    },
    /// The stack of free slots claims to be deeper than the table.
    #[error("{depth} slots are said to be free, of {capacity}")]
    FreeDepth {
        /// The claim.
        depth: u64,
        /// Slots of the table.
        capacity: u64,
    },
    /// The stack names a slot that is not there, or not free.
    #[error("slot {slot} (incarnation {incarnation}) is among the free ones, but is {is}")]
    NotFree {
        /// The slot.
        slot: u32,
        /// Its incarnation; 0 where there is no such slot.
        incarnation: u32,
        /// What it is instead.
        is: &'static str,
    },
    /// A slot that is neither live nor to be had.
    #[error("slot {slot} (incarnation {incarnation}) is neither live nor among the free ones: leaked")]
    Leaked {
        /// The slot.
        slot: u32,
        /// Its incarnation.
        incarnation: u32,
    },
}

impl Descriptor {
    /// The canonical bytes of a record's key, which the index hashes: its key fields in order of their ids.
    pub fn key_bytes(&self, record: &[u8], key: &mut Vec<u8>) {
        key.clear();
        for field in self.fields_by_id().filter(|field| field.is_key()) {
            key.extend_from_slice(field.bytes(record).unwrap_or_default());
        }
    }
}

/// Tells `found` all that does not agree.
pub fn disagreements(records: &RecordsView, index: &Index, mut found: impl FnMut(Disagreement)) {
    let capacity = records.capacity();
    if index.capacity() as u64 != capacity {
        return found(Disagreement::Capacity { index: index.capacity() as u64, table: capacity });
    }
    let slots = capacity as usize;
    let mut record = vec![0; records.descriptor().record_len()];
    let mut key = Vec::new();
    let mut named = vec![false; slots];
    for bucket in 0..index.buckets() {
        for entry in index.bucket(bucket) {
            let Some((tag, slot)) = decode(entry.load(Ordering::Acquire)) else { continue };
            if slot.at() >= slots {
                found(Disagreement::NoSuchSlot { bucket, slot: slot.0 });
                continue;
            }
            let meta = records.meta(slot);
            let (slot, incarnation) = (slot.0, meta.incarnation);
            if std::mem::replace(&mut named[slot as usize], true) {
                found(Disagreement::NamedTwice { slot, incarnation });
            }
            if !meta.live {
                found(Disagreement::Phantom { bucket, slot, incarnation });
                continue;
            }
            records.read(Slot(slot), &mut record);
            records.descriptor().key_bytes(&record, &mut key);
            let hash = index.hash(&key);
            if hash.tag() != tag || !index.choices(hash).contains(&bucket) {
                found(Disagreement::WrongKey { bucket, slot, incarnation });
            }
        }
    }
    let listed = free_slots(records, index, &mut found);
    for slot in (0..slots as u32).map(Slot) {
        let meta = records.meta(slot);
        let (slot, at, incarnation) = (slot.0, slot.at(), meta.incarnation);
        if meta.live && !named[at] {
            found(Disagreement::Unnamed { slot, incarnation });
        }
        if !meta.live && !listed[at] {
            found(Disagreement::Leaked { slot, incarnation });
        }
    }
}

/// Checks the stack of free slots; gives which slots are in it.
fn free_slots(records: &RecordsView, index: &Index, found: &mut impl FnMut(Disagreement)) -> Vec<bool> {
    let capacity = records.capacity();
    let mut listed = vec![false; capacity as usize];
    let depth = index.segment().words(0, HEADER_WORDS)[DEPTH].load(Ordering::Acquire);
    if depth > capacity {
        found(Disagreement::FreeDepth { depth, capacity });
    }
    let entries = index.segment().halves(Index::free_off(index.capacity()), index.capacity());
    for entry in &entries[..depth.min(capacity) as usize] {
        let slot = entry.load(Ordering::Relaxed);
        let before = listed.get_mut(slot as usize).map(|listed| std::mem::replace(listed, true));
        let meta = before.map(|_| records.meta(Slot(slot)));
        let is = match before {
            None => Some("none of the table"),
            Some(true) => Some("there twice"),
            Some(false) => meta.filter(|meta| meta.live).map(|_| "live"),
        };
        if let Some(is) = is {
            found(Disagreement::NotFree { slot, incarnation: meta.map_or(0, |meta| meta.incarnation), is });
        }
    }
    listed
}

/// How full the buckets of an index are: how many of them have 0, 1, … 8 entries.
pub fn occupancy(index: &Index) -> Vec<u64> {
    let mut counts = vec![0; super::places::BUCKET_ENTRIES + 1];
    for bucket in 0..index.buckets() {
        let used = index.bucket(bucket).iter().filter(|entry| entry.load(Ordering::Relaxed) != 0).count();
        counts[used] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{FieldDesc, FieldType};
    use crate::table::{FreeSlots, Meta};

    const SLOTS: u64 = 20;

    struct Table {
        records: RecordsView,
        index: Index,
        free: FreeSlots,
    }

    impl Table {
        fn new() -> Self {
            let fields = [
                FieldDesc::new(2, "b", FieldType::Port, 0, 2).key(),
                FieldDesc::new(1, "a", FieldType::Unsigned, 4, 4).key(),
            ];
            let layout = Descriptor::from_fields(9, 1, "pairs", 8, &fields).expect("valid");
            let records = RecordsView::create(&layout, [0; 16], SLOTS, 0).expect("a table");
            let index = Index::create([0; 16], 10, SLOTS as usize, [3; 16]).expect("an index");
            let free = FreeSlots::of(&index);
            let mut table = Self { records, index, free };
            for a in 0..12 {
                table.add(a);
            }
            table
        }

        fn record(a: u8) -> [u8; 8] {
            [7, 0, 0, 0, a, 0, 0, 0]
        }

        fn key(a: u8) -> [u8; 6] {
            [a, 0, 0, 0, 7, 0]
        }

        fn add(&mut self, a: u8) {
            let slot = self.free.pop().expect("room");
            self.records.put(slot, Meta { incarnation: 1, live: true }, &Self::record(a));
            self.index.insert(self.index.hash(&Self::key(a)), slot).expect("room");
        }

        fn found(&self) -> Vec<Disagreement> {
            let mut all = Vec::new();
            disagreements(&self.records, &self.index, |found| all.push(found));
            all
        }
    }

    #[test]
    fn a_whole_table_agrees_with_itself() {
        let table = Table::new();
        assert_eq!(table.found(), []);
        let occupancy = occupancy(&table.index);
        let entries: u64 = (0..).zip(&occupancy).map(|(used, buckets)| used * buckets).sum();
        assert_eq!((entries, occupancy.iter().sum::<u64>()), (12, table.index.buckets() as u64));
    }

    #[test]
    fn each_way_to_disagree_is_found() {
        let live = |live| Meta { incarnation: 1, live };
        let mut table = Table::new();
        let slot = table.free.pop().expect("room");
        assert_eq!(table.found(), [Disagreement::Leaked { slot: slot.0, incarnation: 0 }]);

        let mut table = Table::new();
        table.records.put(Slot(3), live(false), &Table::record(3));
        let found = table.found();
        assert!(matches!(found[..], [Disagreement::Phantom { slot: 3, .. }, Disagreement::Leaked { slot: 3, .. }]));
        table.free.push(Slot(3));
        table.free.push(Slot(4));
        assert!(table.found().contains(&Disagreement::NotFree { slot: 4, incarnation: 1, is: "live" }));
        table.free.push(Slot(3));
        assert!(table.found().contains(&Disagreement::NotFree { slot: 3, incarnation: 1, is: "there twice" }));

        let mut table = Table::new();
        table.index.remove(table.index.hash(&Table::key(5)), Slot(5));
        assert_eq!(table.found(), [Disagreement::Unnamed { slot: 5, incarnation: 1 }]);
        table.index.insert(table.index.hash(&Table::key(99)), Slot(5)).expect("room");
        assert!(matches!(table.found()[..], [Disagreement::WrongKey { slot: 5, .. }]));
        table.index.insert(table.index.hash(&Table::key(5)), Slot(5)).expect("room");
        assert!(table.found().contains(&Disagreement::NamedTwice { slot: 5, incarnation: 1 }));
        table.index.insert(table.index.hash(&Table::key(8)), Slot(500)).expect("room");
        assert!(table.found().iter().any(|found| matches!(found, Disagreement::NoSuchSlot { slot: 500, .. })));

        let table = Table::new();
        table.index.segment().words(0, HEADER_WORDS)[DEPTH].store(1 << 40, Ordering::Relaxed);
        assert!(table.found().contains(&Disagreement::FreeDepth { depth: 1 << 40, capacity: SLOTS }));

        let table = Table::new();
        let other = Index::create([0; 16], 10, 5, [3; 16]).expect("an index");
        let mut all = Vec::new();
        disagreements(&table.records, &other, |found| all.push(found));
        assert_eq!(all, [Disagreement::Capacity { index: 5, table: SLOTS }]);
    }
}
