//! The index of a table made anew beside the records that it names, with all its shards: for another capacity, another
//! number of shards, or keys that a translation changes.
//!
//! Single owner. The old index goes on serving; this one is told of every record that is copied, so that it is complete
//! the moment the records are.

use super::{Follower, Refusal, RefusalKind};
use crate::table::{SHARDS_MAX, Shards, Slot};
use std::fmt;

/// Bytes of private memory that an [`IndexBuilder`] takes for each slot, until the copy is in use.
pub const INDEX_BUILDER_SLOT_BYTES: u64 = (size_of::<u32>() + size_of::<u8>()) as u64;

/// See the module. `F` gives a record's key in its canonical bytes.
pub struct IndexBuilder<F> {
    shards: Shards,
    /// Where each free slot lies, so that any of them can be taken out: the place in the stack of a shard, and which one.
    places: Vec<u32>,
    holders: Vec<u8>,
    key: F,
    /// Records that found both their buckets full.
    homeless: u64,
}

const _: () = assert!(SHARDS_MAX <= 1 << u8::BITS);

impl<F> fmt::Debug for IndexBuilder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexBuilder").field("shards", &self.shards).field("homeless", &self.homeless).finish()
    }
}

impl<K: AsRef<[u8]>, F: Fn(&[u8]) -> K> IndexBuilder<F> {
    /// Fills `shards`, which are empty and have all slots free.
    pub fn new(shards: Shards, key: F) -> Self {
        let (mut places, mut holders) = (vec![0; shards.capacity()], vec![0; shards.capacity()]);
        for (number, shard) in (0..).zip(shards.list()) {
            for place in 0..shard.free.len() as u32 {
                if let Some(slot) = shard.free.get(place as usize) {
                    (places[slot.at()], holders[slot.at()]) = (place, number);
                }
            }
        }
        Self { shards, places, holders, key, homeless: 0 }
    }

    fn enter(&mut self, slot: Slot, record: &[u8]) {
        let hash = self.shards.hash((self.key)(record).as_ref());
        let shard = self.shards.number(hash);
        if self.shards.list_mut()[shard].index.insert(hash, slot).is_err() {
            self.homeless += 1;
        }
    }

    /// Takes a record out of the index; the shard that it was of.
    fn withdraw(&mut self, slot: Slot, record: &[u8]) -> usize {
        let hash = self.shards.hash((self.key)(record).as_ref());
        let shard = self.shards.number(hash);
        if !self.shards.list_mut()[shard].index.remove(hash, slot) {
            self.homeless = self.homeless.saturating_sub(1);
        }
        shard
    }

    /// Takes a slot out of its stack, wherever it lies: the top takes its place.
    fn take(&mut self, slot: Slot) {
        let (shard, place) = (self.holders[slot.at()], self.places[slot.at()]);
        let free = &mut self.shards.list_mut()[usize::from(shard)].free;
        let Some(top) = free.pop() else { return };
        if top != slot {
            free.put(place, top);
            self.places[top.at()] = place;
        }
    }

    fn give_back(&mut self, slot: Slot, shard: usize) {
        let free = &mut self.shards.list_mut()[shard].free;
        (self.places[slot.at()], self.holders[slot.at()]) = (free.len() as u32, shard as u8);
        free.push(slot);
    }
}

impl<K: AsRef<[u8]>, F: Fn(&[u8]) -> K + Send> Follower for IndexBuilder<F> {
    fn changed(&mut self, slot: Slot, before: Option<&[u8]>, after: Option<&[u8]>) {
        match (before, after) {
            (None, Some(after)) => {
                self.take(slot);
                self.enter(slot, after);
            }
            (Some(before), None) => {
                let shard = self.withdraw(slot, before);
                self.give_back(slot, shard);
            }
            // Most records change without their key.
            (Some(before), Some(after)) if (self.key)(before).as_ref() != (self.key)(after).as_ref() => {
                self.withdraw(slot, before);
                self.enter(slot, after);
            }
            _ => {}
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        (self.homeless > 0).then(|| Refusal {
            kind: RefusalKind::Capacity,
            table: self.shards.list()[0].index.segment().id().to_string(),
            field: None,
            why: format!("{} records found both their buckets full", self.homeless),
            remedy: "ask for more capacity".into(),
        })
    }
}
