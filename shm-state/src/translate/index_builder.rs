//! An index made anew beside the records that it names: for another capacity, or for keys that a translation changes.
//!
//! Single owner. The old index goes on serving; this one is told of every record that is copied, so that it is complete
//! the moment the records are.

use super::{Follower, Refusal, RefusalKind};
use crate::table::{FreeSlots, Index, KeyHash, Slot};
use std::fmt;

/// See the module. `F` gives a record's key in its canonical bytes.
pub struct IndexBuilder<F> {
    index: Index,
    free: FreeSlots,
    /// Where each free slot lies in the stack of free slots, so that any of them can be taken out.
    places: Vec<u32>,
    key: F,
    /// Records that found both their buckets full.
    homeless: u64,
}

impl<F> fmt::Debug for IndexBuilder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexBuilder").field("index", &self.index).field("homeless", &self.homeless).finish()
    }
}

impl<K: AsRef<[u8]>, F: Fn(&[u8]) -> K> IndexBuilder<F> {
    /// Fills `index`, which is empty and whose slots are all free.
    pub fn new(index: Index, key: F) -> Self {
        let free = FreeSlots::of(&index);
        let mut places = vec![0; index.capacity()];
        for place in 0..free.len() as u32 {
            if let Some(slot) = free.get(place as usize) {
                places[slot.at()] = place;
            }
        }
        Self { index, free, places, key, homeless: 0 }
    }

    fn hash(&self, record: &[u8]) -> KeyHash {
        self.index.hash((self.key)(record).as_ref())
    }

    fn enter(&mut self, slot: Slot, record: &[u8]) {
        let hash = self.hash(record);
        if self.index.insert(hash, slot).is_err() {
            self.homeless += 1;
        }
    }

    fn withdraw(&mut self, slot: Slot, record: &[u8]) {
        let hash = self.hash(record);
        if !self.index.remove(hash, slot) {
            self.homeless = self.homeless.saturating_sub(1);
        }
    }

    /// Takes a slot out of the stack, wherever it lies: the top takes its place.
    fn take(&mut self, slot: Slot) {
        let Some(top) = self.free.pop() else { return };
        if top != slot {
            let place = self.places[slot.at()];
            self.free.put(place, top);
            self.places[top.at()] = place;
        }
    }

    fn give_back(&mut self, slot: Slot) {
        self.places[slot.at()] = self.free.len() as u32;
        self.free.push(slot);
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
                self.withdraw(slot, before);
                self.give_back(slot);
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
            table: self.index.segment().id().to_string(),
            field: None,
            why: format!("{} records found both their buckets full", self.homeless),
            remedy: "ask for more capacity".into(),
        })
    }
}
