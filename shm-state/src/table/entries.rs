//! The index by place: where an entry is or will be, so that an operation can say it before it stores.

use super::Slot;
use super::index::{ENTRIES, Full, Index, KeyHash, decode, encode};
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of an entry: bucket × 8 + position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(pub u64);

impl Index {
    /// Where a new key would be entered: in the emptier of its buckets.
    ///
    /// # Errors
    /// [`Full`].
    #[inline]
    pub fn vacancy(&self, hash: KeyHash) -> Result<Place, Full> {
        let room = |choice: usize| {
            let bucket = self.bucket(choice);
            let free = bucket.iter().filter(|entry| entry.load(Ordering::Relaxed) == 0).count();
            let at = bucket.iter().position(|entry| entry.load(Ordering::Relaxed) == 0)?;
            Some((free, Place((choice * ENTRIES + at) as u64)))
        };
        match self.choices(hash).map(room) {
            [Some(a), Some(b)] => Ok(if b.0 > a.0 { b.1 } else { a.1 }),
            [a, b] => a.or(b).map(|(_, place)| place).ok_or(Full),
        }
    }

    /// Enters a slot at a vacant place of its key.
    #[inline]
    pub fn publish(&mut self, place: Place, hash: KeyHash, slot: Slot) {
        if let Some(entry) = self.entry(place) {
            // Publishing: whoever sees the entry sees the record behind it.
            entry.store(encode(hash.tag(), slot), Ordering::Release);
        }
    }

    /// The first place that names `slot` under its key's hash; `None` also where the key falls to another shard.
    pub fn place_of(&self, hash: KeyHash, slot: Slot) -> Option<Place> {
        if !self.owns(hash) {
            return None;
        }
        let wanted = encode(hash.tag(), slot);
        self.choices(hash).into_iter().find_map(|choice| {
            let at = self.bucket(choice).iter().position(|entry| entry.load(Ordering::Relaxed) == wanted)?;
            Some(Place((choice * ENTRIES + at) as u64))
        })
    }

    /// The slot that a place names; it need not exist.
    #[inline]
    pub fn named(&self, place: Place) -> Option<Slot> {
        decode(self.entry(place)?.load(Ordering::Relaxed)).map(|(_, slot)| slot)
    }

    /// Withdraws the entry at a place, if it names `slot`.
    #[inline]
    pub fn withdraw(&mut self, place: Place, slot: Slot) {
        if self.named(place) == Some(slot)
            && let Some(entry) = self.entry(place)
        {
            entry.store(0, Ordering::Release);
        }
    }

    /// How many places there are.
    pub fn places(&self) -> u64 {
        (self.buckets() * ENTRIES) as u64
    }

    /// Whether an entry for `slot` under its key's hash may be, and is, at this place.
    pub(crate) fn is_place_of(&self, place: Place, hash: KeyHash, slot: Slot) -> bool {
        let bucket = place.0 as usize / ENTRIES;
        let entry = self.entry(place).map(|entry| entry.load(Ordering::Relaxed));
        self.owns(hash) && self.choices(hash).contains(&bucket) && entry == Some(encode(hash.tag(), slot))
    }

    /// Whether a place holds something else than nothing; a broken entry is no slot and still not empty.
    pub(crate) fn is_vacant(&self, place: Place) -> bool {
        self.entry(place).is_none_or(|entry| entry.load(Ordering::Relaxed) == 0)
    }

    /// Empties a place, whatever it holds.
    pub(crate) fn vacate(&mut self, place: Place) {
        if let Some(entry) = self.entry(place) {
            entry.store(0, Ordering::Release);
        }
    }

    #[inline]
    fn entry(&self, place: Place) -> Option<&AtomicU64> {
        let bucket = usize::try_from(place.0).ok()? / ENTRIES;
        (bucket < self.buckets()).then(|| &self.bucket(bucket)[place.0 as usize % ENTRIES])
    }
}
