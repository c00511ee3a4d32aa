//! The index of a table: from the keyed hash of a key to a slot.
//!
//! A bucket is one cache line of eight entries; a key has two buckets to be in, so that a look-up touches at
//! most two lines. An entry is one word, tag and slot together: one store publishes a record, one withdraws it.
//! Nothing is ever displaced, so a key's entry never moves. The hash key lies in the segment: the index stays
//! valid across processes and layouts, and a client cannot choose its buckets.

use super::Slot;
use super::marks::BLOCK_SLOTS;
use crate::error::RegionError;
use crate::map;
use crate::prelude::{Kind, SegmentId};
use crate::segment::{Segment, Spec};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};

/// Version of the index: its hash, its buckets, its free slots.
pub const INDEX_VERSION: u32 = 1;
pub(super) const HEADER_WORDS: usize = 16;
pub(super) const ENTRIES: usize = 8;
const LINE: usize = 64;
/// Header word: how many shards the index is one of, less one.
const OTHER_SHARDS: usize = 5;
/// Shards of one table at most.
pub const SHARDS_MAX: usize = 16;
/// Neighbouring slots that are dealt to one shard together: as many as one byte of [`super::marks`] groups stands for. A
/// mark has one writer: with a worker for each shard, a block of slots that two shards have records in would need atomic
/// marks.
const STRETCH: usize = super::marks::GROUP_BLOCKS * super::marks::BLOCK_SLOTS;

/// Both bucket choices and the tag of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash {
    low: u64,
    high: u64,
}

impl KeyHash {
    /// The hash as one number, for choices that must not be guessed.
    pub fn number(self) -> u64 {
        self.low
    }

    #[inline]
    pub(super) fn tag(self) -> u32 {
        self.high as u32
    }

    /// Which of `shards` the key falls to: by bits that choose no bucket in tables of up to 65,536 buckets, and are mixed
    /// with others in larger ones.
    #[inline]
    pub fn shard(self, shards: usize) -> usize {
        ((self.low >> 48) as usize * shards) >> 16
    }
}

/// Both buckets of the key are full; the record cannot be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("both buckets are full")]
pub struct Full;

/// How large an index is: that of a whole table, or of one of its shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// Slots of the whole table.
    pub(super) capacity: usize,
    /// How many share them.
    pub(super) shards: usize,
}

impl Share {
    /// Slots that fall to one, evenly.
    fn even(self) -> usize {
        self.capacity.div_ceil(self.shards)
    }

    /// Buckets: half full at most, so that two full buckets are beyond bad luck.
    fn buckets(self) -> usize {
        (self.even() * 2).div_ceil(ENTRIES).next_power_of_two().max(2)
    }

    /// Free slots that there is room for. Slots come to a shard with the keys that fall to it, so it may have more than
    /// its even share; twice as many, and as many as a small table has, are beyond bad luck.
    pub(super) fn room(self) -> usize {
        if self.shards == 1 { self.capacity } else { (self.even() * 2 + 2 * STRETCH).min(self.capacity) }
    }

    pub(super) fn free_off(self) -> usize {
        Index::buckets_off() + self.buckets() * LINE
    }

    pub(super) fn body_len(self) -> usize {
        self.free_off() + self.room() * 4
    }

    /// Slots that a shard has of those that no record has had yet, from the highest down: stretches in turn, whole blocks
    /// of marks.
    pub(super) fn dealt(self, shard: usize) -> impl Iterator<Item = usize> {
        let Self { capacity, shards } = self;
        let stretch = if shards == 1 { capacity } else { (capacity / (shards * 4)).clamp(1, STRETCH) };
        let stretch = stretch.next_multiple_of(BLOCK_SLOTS).min(STRETCH.max(stretch));
        let starts = (shard * stretch..capacity).step_by(stretch * shards);
        let last = starts.len();
        (0..last).rev().flat_map(move |at| {
            let start = shard * stretch + at * stretch * shards;
            (start..capacity.min(start + stretch)).rev()
        })
    }
}

/// The index and, behind it in the same segment, the free slots (see [`super::FreeSlots`]): of a whole table, or of one of
/// its shards (see [`super::Shards`]).
#[derive(Debug, Clone)]
pub struct Index {
    segment: Segment,
    buckets_off: usize,
    mask: usize,
    share: Share,
    key: [u8; 16],
}

impl Index {
    /// Which segment the index of `table` is, or that of its first shard.
    pub const fn id(table: u32) -> SegmentId {
        SegmentId::new(Kind::Index, table)
    }

    pub(super) fn buckets_off() -> usize {
        (HEADER_WORDS * 8).next_multiple_of(LINE)
    }

    /// Bytes of shared memory that the index of a table of `capacity` records takes.
    pub fn bytes(capacity: usize) -> usize {
        Share { capacity, shards: 1 }.body_len()
    }

    /// Makes an empty index with a new hash key for a table of `capacity` records, all of whose slots are free.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn create(region_id: [u8; 16], table: u32, capacity: usize, key: [u8; 16]) -> Result<Self, RegionError> {
        Self::create_shard(region_id, Self::id(table), Share { capacity, shards: 1 }, key)
    }

    pub(super) fn create_shard(
        region_id: [u8; 16],
        id: SegmentId,
        share: Share,
        key: [u8; 16],
    ) -> Result<Self, RegionError> {
        let segment = Segment::create(Spec {
            id,
            region_id,
            layout_version: INDEX_VERSION,
            descriptor: None,
            body_len: (share.body_len().next_multiple_of(8)) as u64,
        })?;
        let header = segment.words(0, HEADER_WORDS);
        let (low, high) = key.split_at(8);
        let halves = [low, high].map(|half| u64::from_le_bytes(half.try_into().expect("8 bytes")));
        header[0].store(share.capacity as u64, Ordering::Relaxed);
        header[1].store(share.buckets() as u64, Ordering::Relaxed);
        header[2].store(halves[0], Ordering::Relaxed);
        header[3].store(halves[1], Ordering::Relaxed);
        header[OTHER_SHARDS].store(share.shards as u64 - 1, Ordering::Relaxed);
        let index = Self::attach(segment)?;
        super::FreeSlots::format(&index);
        Ok(index)
    }

    /// Checks a segment that is said to be an index.
    ///
    /// # Errors
    /// The claim that does not hold, by name.
    pub fn attach(segment: Segment) -> Result<Self, RegionError> {
        let SegmentId { table, shard, .. } = segment.id();
        segment.expect(SegmentId { kind: Kind::Index, table, shard })?;
        let claim = |what, found, expected| RegionError::Claim { segment: segment.id(), what, found, expected };
        let version = segment.prelude().layout_version;
        if version != INDEX_VERSION {
            return Err(claim("index version", version.into(), INDEX_VERSION.to_string()));
        }
        if segment.body_len() < HEADER_WORDS * 8 {
            return Err(claim("body length", segment.body_len() as u64, "room for a header".into()));
        }
        let header: [u64; HEADER_WORDS] = {
            let words = segment.words(0, HEADER_WORDS);
            std::array::from_fn(|i| words[i].load(Ordering::Relaxed))
        };
        let (capacity, others) = (header[0], header[OTHER_SHARDS]);
        if capacity == 0 || capacity > u64::from(u32::MAX) {
            return Err(claim("capacity", capacity, "1..=4294967295".into()));
        }
        if others >= SHARDS_MAX as u64 || others < u64::from(shard) {
            let expected = format!("{shard}..{SHARDS_MAX}, of which this is one");
            return Err(claim("other shards", others, expected));
        }
        let share = Share { capacity: capacity as usize, shards: others as usize + 1 };
        if header[1] != share.buckets() as u64 {
            return Err(claim("buckets", header[1], share.buckets().to_string()));
        }
        if share.body_len() > segment.body_len() {
            let room = format!("what {} bytes have room for", segment.body_len());
            return Err(claim("capacity", capacity, room));
        }
        let mut key = [0; 16];
        key[..8].copy_from_slice(&header[2].to_le_bytes());
        key[8..].copy_from_slice(&header[3].to_le_bytes());
        Ok(Self { segment, buckets_off: Self::buckets_off(), mask: share.buckets() - 1, share, key })
    }

    /// Which shard of its table the index is, and of how many.
    pub fn shard(&self) -> (usize, usize) {
        (self.segment.id().shard as usize, self.share.shards)
    }

    pub(super) fn share(&self) -> Share {
        self.share
    }

    pub(super) fn key(&self) -> [u8; 16] {
        self.key
    }

    /// Whether a key falls to this shard.
    pub(super) fn owns(&self, hash: KeyHash) -> bool {
        self.share.shards == 1 || hash.shard(self.share.shards) == self.segment.id().shard as usize
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Records that the table can have, in all its shards.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.share.capacity
    }

    /// SipHash-1-3, 128 bits, of a key's canonical bytes under the region's key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(key);
        let hash = hasher.finish128();
        KeyHash { low: hash.h1, high: hash.h2 }
    }

    /// Asks for the key's two buckets ahead of the look-up.
    #[inline]
    pub fn prefetch(&self, hash: KeyHash) {
        let [first, second] = self.choices(hash);
        map::prefetch(&self.bucket(first)[0]);
        map::prefetch(&self.bucket(second)[0]);
    }

    /// The slot that carries the key's tag and that `is_it` confirms.
    #[inline]
    pub fn find(&self, hash: KeyHash, mut is_it: impl FnMut(Slot) -> bool) -> Option<Slot> {
        let buckets = self.choices(hash).map(|choice| self.bucket(choice));
        // Both at once and without a branch for each entry: where the tag will be nobody can predict.
        let mut tagged = tagged(buckets[0], hash.tag()) | tagged(buckets[1], hash.tag()) << ENTRIES;
        while tagged != 0 {
            let at = tagged.trailing_zeros() as usize;
            tagged &= tagged - 1;
            if let Some((_, slot)) = decode(buckets[at / ENTRIES][at % ENTRIES].load(Ordering::Relaxed))
                && slot.at() < self.share.capacity
                && is_it(slot)
            {
                return Some(slot);
            }
        }
        None
    }

    /// A slot that carries the key's tag: nearly always the key's own, if there is one.
    #[inline]
    pub fn candidate(&self, hash: KeyHash) -> Option<Slot> {
        self.find(hash, |_| true)
    }

    /// Enters a slot under a key that is not there yet, in the emptier of its buckets.
    ///
    /// # Errors
    /// [`Full`]; nothing has changed.
    pub fn insert(&mut self, hash: KeyHash, slot: Slot) -> Result<(), Full> {
        let place = self.vacancy(hash)?;
        self.publish(place, hash, slot);
        Ok(())
    }

    /// Withdraws a slot's entry; false when there was none.
    pub fn remove(&mut self, hash: KeyHash, slot: Slot) -> bool {
        let place = self.place_of(hash, slot);
        place.map(|place| self.withdraw(place, slot)).is_some()
    }

    /// Entries in use, counted now.
    pub fn len(&self) -> usize {
        (0..self.buckets())
            .map(|choice| self.bucket(choice).iter().filter(|entry| entry.load(Ordering::Relaxed) != 0).count())
            .sum()
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many buckets there are.
    #[inline]
    pub fn buckets(&self) -> usize {
        self.mask + 1
    }

    #[inline]
    pub(super) fn choices(&self, hash: KeyHash) -> [usize; 2] {
        let first = hash.low as usize & self.mask;
        let second = (hash.low >> 32 ^ hash.high >> 32) as usize & self.mask;
        // Two equal choices would halve the room; the neighbour is as good as any.
        [first, if second == first { first ^ 1 } else { second }]
    }

    #[inline]
    pub(super) fn bucket(&self, choice: usize) -> &[AtomicU64; ENTRIES] {
        let words = self.segment.words(self.buckets_off + choice * LINE, ENTRIES);
        words.first_chunk().expect("as many words as asked for")
    }
}

/// Entries that carry the tag, a bit each; perhaps empty ones too.
#[inline]
fn tagged(bucket: &[AtomicU64; ENTRIES], tag: u32) -> u32 {
    let carries = |entry: &AtomicU64| u32::from((entry.load(Ordering::Relaxed) >> 32) as u32 == tag);
    bucket.iter().enumerate().fold(0, |bits, (at, entry)| bits | carries(entry) << at)
}

/// Slots are stored plus one, so that an entry of zero is an empty one.
#[inline]
pub(super) fn encode(tag: u32, slot: Slot) -> u64 {
    u64::from(tag) << 32 | (u64::from(slot.0) + 1)
}

#[inline]
pub(super) fn decode(entry: u64) -> Option<(u32, Slot)> {
    (entry as u32).checked_sub(1).map(|slot| ((entry >> 32) as u32, Slot(slot)))
}
