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
    /// The stack of free slots claims to be deeper than it can be.
    #[error("{depth} slots are said to be free, where there is room for {room}")]
    FreeDepth {
        /// The claim.
        depth: u64,
        /// Most that it can hold.
        room: u64,
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

/// Tells `found` all that does not agree, with the position of the index that it is about: `indexes` are those of all
/// shards, and what no shard has is told of the first.
pub fn disagreements(records: &RecordsView, indexes: &[Index], mut found: impl FnMut(usize, Disagreement)) {
    let capacity = records.capacity();
    if let Some((at, index)) = indexes.iter().enumerate().find(|(_, index)| index.capacity() as u64 != capacity) {
        return found(at, Disagreement::Capacity { index: index.capacity() as u64, table: capacity });
    }
    let slots = capacity as usize;
    let (mut named, mut listed) = (vec![false; slots], vec![false; slots]);
    for (at, index) in indexes.iter().enumerate() {
        entries(records, index, &mut named, |disagreement| found(at, disagreement));
        free_slots(records, index, &mut listed, |disagreement| found(at, disagreement));
    }
    for slot in (0..slots as u32).map(Slot) {
        let meta = records.meta(slot);
        let (slot, at, incarnation) = (slot.0, slot.at(), meta.incarnation);
        if meta.live && !named[at] {
            found(0, Disagreement::Unnamed { slot, incarnation });
        }
        if !meta.live && !listed[at] {
            found(0, Disagreement::Leaked { slot, incarnation });
        }
    }
}

/// Checks the entries of an index; adds which slots they name.
fn entries(records: &RecordsView, index: &Index, named: &mut [bool], mut found: impl FnMut(Disagreement)) {
    let mut record = vec![0; records.descriptor().record_len()];
    let mut key = Vec::new();
    for bucket in 0..index.buckets() {
        for entry in index.bucket(bucket) {
            let Some((tag, slot)) = decode(entry.load(Ordering::Acquire)) else { continue };
            let Some(named) = named.get_mut(slot.at()) else {
                found(Disagreement::NoSuchSlot { bucket, slot: slot.0 });
                continue;
            };
            let meta = records.meta(slot);
            let (slot, incarnation) = (slot.0, meta.incarnation);
            if std::mem::replace(named, true) {
                found(Disagreement::NamedTwice { slot, incarnation });
            }
            if !meta.live {
                found(Disagreement::Phantom { bucket, slot, incarnation });
                continue;
            }
            records.read(Slot(slot), &mut record);
            records.descriptor().key_bytes(&record, &mut key);
            let hash = index.hash(&key);
            if hash.tag() != tag || !index.owns(hash) || !index.choices(hash).contains(&bucket) {
                found(Disagreement::WrongKey { bucket, slot, incarnation });
            }
        }
    }
}

/// Checks the stack of free slots of an index; adds which slots are in it.
fn free_slots(records: &RecordsView, index: &Index, listed: &mut [bool], mut found: impl FnMut(Disagreement)) {
    let share = index.share();
    let room = share.room() as u64;
    let depth = index.segment().words(0, HEADER_WORDS)[DEPTH].load(Ordering::Acquire);
    if depth > room {
        found(Disagreement::FreeDepth { depth, room });
    }
    let entries = index.segment().halves(share.free_off(), share.room());
    for entry in &entries[..depth.min(room) as usize] {
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
mod tests;
