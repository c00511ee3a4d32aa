//! The shards of a table: who may find, begin, change and end a record.
//!
//! A key falls to one shard by its hash. Each shard has a segment of its own: the index of its keys, the slots that it
//! may give to new records, and the intent block of whoever works on it. Records stay in one segment, in stable slots,
//! whatever shard they are of: so another number of shards moves no record, and nothing that names a slot ever
//! notices. A slot that a record leaves goes to the shard of that record.

use super::index::{Index, KeyHash, SHARDS_MAX, Share};
use super::{FreeSlots, Intent};
use crate::error::RegionError;
use crate::prelude::{Kind, SegmentId};
use crate::segment::Segment;

/// One shard.
#[derive(Debug, Clone)]
pub struct Shard {
    pub index: Index,
    pub free: FreeSlots,
    pub intent: Intent,
}

impl Shard {
    fn of(index: Index) -> Self {
        let (free, intent) = (FreeSlots::of(&index), Intent::of(&index));
        Self { index, free, intent }
    }
}

/// All shards of one table, in order; at least one.
#[derive(Debug, Clone)]
pub struct Shards {
    list: Vec<Shard>,
}

impl Shards {
    /// Makes the shards of an empty table of `capacity` records, with a new hash key. All slots are free, dealt evenly.
    ///
    /// # Errors
    /// See [`RegionError`].
    ///
    /// # Panics
    /// When `shards` is 0 or above [`SHARDS_MAX`].
    pub fn create(
        region_id: [u8; 16],
        table: u32,
        capacity: usize,
        shards: usize,
        key: [u8; 16],
    ) -> Result<Self, RegionError> {
        assert!((1..=SHARDS_MAX).contains(&shards), "{shards} shards");
        let share = Share { capacity, shards };
        let ids = (0..shards as u32).map(|shard| SegmentId { kind: Kind::Index, table, shard });
        let list = ids.map(|id| Index::create_shard(region_id, id, share, key).map(Shard::of));
        Ok(Self { list: list.collect::<Result<_, _>>()? })
    }

    /// Shards of the same table and hash key, all slots free, for another capacity or number.
    ///
    /// # Errors
    /// See [`RegionError`].
    ///
    /// # Panics
    /// As [`Shards::create`].
    pub fn another(&self, capacity: usize, shards: usize) -> Result<Self, RegionError> {
        let first = &self.list[0].index;
        let prelude = first.segment().prelude();
        Self::create(prelude.region_id, prelude.table, capacity, shards, first.key())
    }

    /// Checks that indexes are all the shards of one table.
    ///
    /// # Errors
    /// [`RegionError::Claim`]: one is missing, there twice, or of another table, size or key.
    ///
    /// # Panics
    /// When there is none.
    pub fn join(mut indexes: Vec<Index>) -> Result<Self, RegionError> {
        indexes.sort_by_key(|index| index.shard());
        let claim = |index: &Index, what, found: usize, expected: String| RegionError::Claim {
            segment: index.segment().id(),
            what,
            found: found as u64,
            expected,
        };
        let first = indexes.first().expect("at least one index").clone();
        for (at, index) in indexes.iter().enumerate() {
            let (shard, count) = index.shard();
            if count != indexes.len() {
                return Err(claim(index, "shards", count, format!("{} as are there", indexes.len())));
            }
            if shard != at {
                return Err(claim(index, "shard", shard, format!("{at}, each once")));
            }
            if index.capacity() != first.capacity() {
                return Err(claim(index, "capacity", index.capacity(), format!("{} as shard 0", first.capacity())));
            }
            if index.key() != first.key() || index.segment().id().table != first.segment().id().table {
                return Err(claim(index, "key", at, "that of shard 0, of the same table".to_owned()));
            }
        }
        Ok(Self { list: indexes.into_iter().map(Shard::of).collect() })
    }

    /// Bytes of shared memory that the shards of a table of `capacity` records take together.
    pub fn bytes(capacity: usize, shards: usize) -> usize {
        Share { capacity, shards }.body_len() * shards
    }

    /// Records that the table can have.
    pub fn capacity(&self) -> usize {
        self.list[0].index.capacity()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Free slots of all of them.
    #[inline]
    pub fn free(&self) -> usize {
        self.list.iter().map(|shard| shard.free.len()).sum()
    }

    /// The hash of a key's canonical bytes, the same in all shards.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        self.list[0].index.hash(key)
    }

    /// Which shard a key falls to.
    #[inline]
    pub fn number(&self, hash: KeyHash) -> usize {
        hash.shard(self.list.len())
    }

    /// The shard that a key falls to.
    #[inline]
    pub fn of(&self, hash: KeyHash) -> &Shard {
        &self.list[self.number(hash)]
    }

    /// All of them, in order.
    #[inline]
    pub fn list(&self) -> &[Shard] {
        &self.list
    }

    /// All of them, to be changed.
    #[inline]
    pub fn list_mut(&mut self) -> &mut [Shard] {
        &mut self.list
    }

    /// The segments that hold them, in order.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.list.iter().map(|shard| shard.index.segment())
    }

    /// A full scan of the table is owed: said before anything that only a scan can put right may have been left.
    pub fn owe_scan(&self) {
        self.list.iter().for_each(|shard| shard.intent.owe_scan());
    }

    /// Whether a full scan is owed, to any of them.
    pub fn scan_owed(&self) -> bool {
        self.list.iter().any(|shard| shard.intent.scan_owed())
    }

    /// A full scan was made.
    pub fn scanned(&self) {
        self.list.iter().for_each(|shard| shard.intent.scanned());
    }

    /// The shard with the fewest free slots.
    pub(crate) fn scarcest(&self) -> usize {
        (0..self.list.len()).min_by_key(|&shard| self.list[shard].free.len()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Slot;
    use std::collections::HashSet;

    const REGION: [u8; 16] = [1; 16];

    fn shards(capacity: usize, count: usize) -> Shards {
        Shards::create(REGION, 2, capacity, count, [3; 16]).expect("shards")
    }

    fn indexes(shards: &Shards) -> Vec<Index> {
        shards.list().iter().map(|shard| Index::attach(shard.index.segment().clone()).expect("an index")).collect()
    }

    #[test]
    fn every_slot_is_dealt_once_and_evenly_the_lowest_on_top() {
        for (capacity, count) in [(1, 1), (64, 1), (1024, 16), (100, 3), (70_001, 1), (70_001, 7), (262_144, 16)] {
            let shards = shards(capacity, count);
            let mut seen = HashSet::new();
            for shard in shards.list() {
                let slots: Vec<Slot> = (0..shard.free.len()).filter_map(|at| shard.free.get(at)).collect();
                assert!(slots.is_sorted_by(|a, b| a > b), "of {capacity} in {count}");
                let (even, stretch) = (capacity / count, (capacity / count / 4).clamp(8, 512));
                assert!(slots.len().abs_diff(even) <= stretch + 8, "{} of {capacity} in {count}", slots.len());
                seen.extend(slots);
            }
            assert_eq!((seen.len(), shards.free()), (capacity, capacity));
        }
    }

    #[test]
    fn keys_fall_to_all_shards_alike_and_the_same_key_to_the_same() {
        let (first, other) = (shards(1000, 5), shards(1000, 5).another(64, 5).expect("smaller ones"));
        let mut counts = [0_u32; 5];
        for key in 0..10_000_u64 {
            let hash = first.hash(&key.to_le_bytes());
            assert_eq!(hash, other.hash(&key.to_le_bytes()));
            counts[first.number(hash)] += 1;
        }
        assert!(counts.iter().all(|count| (1800..2200).contains(count)), "{counts:?}");
    }

    #[test]
    fn only_all_shards_of_one_table_join() {
        let three = shards(1000, 3);
        let mut mixed = indexes(&three);
        mixed.rotate_left(1);
        let joined = Shards::join(mixed.clone()).expect("in whatever order");
        assert_eq!((joined.count(), joined.capacity()), (3, 1000));
        let refused = |indexes: Vec<Index>| match Shards::join(indexes) {
            Err(RegionError::Claim { what, .. }) => what,
            other => panic!("{other:?}"),
        };
        let of = |shards: Shards, at: usize| indexes(&shards)[at].clone();
        assert_eq!(refused(mixed[..2].to_vec()), "shards");
        assert_eq!(refused(mixed[..1].to_vec()), "shards");
        assert_eq!(refused([&mixed[..], &mixed[..1]].concat()), "shards");
        assert_eq!(refused([&mixed[..2], &mixed[..1]].concat()), "shard");
        assert_eq!(refused(vec![of(shards(1000, 2), 0), of(three.clone(), 1)]), "shards");
        assert_eq!(refused(vec![of(shards(999, 2), 0), of(shards(1000, 2), 1)]), "capacity");
        let other = Shards::create(REGION, 2, 1000, 2, [4; 16]).expect("shards");
        assert_eq!(refused(vec![of(shards(1000, 2), 0), of(other, 1)]), "key");
        let elsewhere = Shards::create(REGION, 5, 1000, 2, [3; 16]).expect("shards");
        assert_eq!(refused(vec![of(shards(1000, 2), 0), of(elsewhere, 1)]), "key");
    }

    #[test]
    fn a_shard_is_not_believed_to_be_one_of_fewer_or_of_too_many() {
        let shard = shards(1000, 3).list()[2].index.segment().clone();
        for others in [0, 1, SHARDS_MAX as u64, u64::MAX] {
            shard.words(5 * 8, 1)[0].store(others, std::sync::atomic::Ordering::Relaxed);
            let claim = Index::attach(shard.clone()).expect_err("refused");
            assert!(matches!(claim, RegionError::Claim { what: "other shards", .. }), "{claim}");
        }
    }

    #[test]
    fn a_key_of_another_shard_is_found_at_no_place() {
        let mut shards = shards(1000, 2);
        let hash = shards.hash(b"a key");
        let (own, other) = (shards.number(hash), 1 - shards.number(hash));
        for shard in shards.list_mut() {
            shard.index.insert(hash, Slot(1)).expect("room");
        }
        assert!(shards.list()[own].index.place_of(hash, Slot(1)).is_some());
        assert_eq!(shards.list()[other].index.place_of(hash, Slot(1)), None);
    }
}
