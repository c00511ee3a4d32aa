//! Byte maps of a table's body and of its index's body.

use super::geometry::{Geometry, RECORD_LEN_MAX};
use super::index::{ENTRIES, HEADER_WORDS, Index, Share};
use super::marks::BLOCK_SLOTS;
use crate::places::Place;

/// Header of a table's body.
pub const TABLE_HEADER: &[Place] = &[
    Place::word(0, "capacity", "slots"),
    Place::word(1, "record_len", "bytes of one record; a multiple of 8"),
    Place::word(2, "stride", "bytes from slot to slot"),
    Place::word(3, "block_slots", "slots per dirty mark"),
    Place::word(4, "marks_off", "start of the dirty marks, from the body's start"),
    Place::word(5, "slots_off", "start of the slots, from the body's start"),
    Place::word(6, "groups_off", "start of the groups of marks; 0 in tables of the first release, which have none"),
    Place::word(7, "generation", "whose holder marks slot by slot; in a layer, that of the holder the values are from"),
];

/// A slot, for records of `record_len` bytes.
pub const fn slot(record_len: usize) -> [Place; 3] {
    [
        Place { offset: 0, bytes: 4, name: "state", meaning: "0 free, 1 live" },
        Place { offset: 4, bytes: 4, name: "incarnation", meaning: "how often the slot was filled; wraps" },
        Place { offset: 8, bytes: record_len, name: "record", meaning: "as the descriptor says" },
    ]
}

/// Header of an index's body.
pub const INDEX_HEADER: &[Place] = &[
    Place::word(0, "capacity", "slots of the table"),
    Place::word(1, "buckets", "buckets; a power of two"),
    Place { offset: 16, bytes: 16, name: "key", meaning: "key of SipHash-1-3-128" },
    Place::word(4, "free", "depth of the stack of free slots"),
    Place::word(5, "other_shards", "how many other shards the table has, each with an index of its own"),
    Place { offset: 48, bytes: 16, name: "reserved", meaning: "0" },
    Place::word(
        8,
        "operation",
        "number of the operation under way; 0 for none, and by executables of the first release",
    ),
    Place { offset: 72, bytes: 4, name: "under_way", meaning: "slot plus one of the record last written in place" },
    Place { offset: 76, bytes: 4, name: "writer", meaning: "low half of the generation that writes intents" },
    Place { offset: 80, bytes: 40, name: "details", meaning: "what the operation needs to be finished or taken back" },
    Place::word(15, "scan_owed", "not 0 until a full scan came to its end"),
];

const _: () = assert!(HEADER_WORDS == 16);

/// An entry of a bucket.
pub const INDEX_ENTRY: &[Place] = &[
    Place { offset: 0, bytes: 4, name: "slot", meaning: "slot plus one; 0 with tag 0 is an empty entry" },
    Place { offset: 4, bytes: 4, name: "tag", meaning: "low half of the hash's high word" },
];

/// Entries of one bucket; a bucket is one cache line.
pub const BUCKET_ENTRIES: usize = ENTRIES;

/// Bytes of a table's body: start of the marks, of the slots, of the groups of marks, end.
///
/// # Panics
/// When there can be no such table; see [`RECORD_LEN_MAX`].
pub fn table_body(capacity: usize, record_len: usize) -> [usize; 4] {
    let geometry = Geometry::new(capacity, record_len);
    const { assert!(BLOCK_SLOTS == 8 && RECORD_LEN_MAX.is_multiple_of(8)) };
    let groups_off = geometry.groups_off.expect("a new table has groups");
    [geometry.marks_off, geometry.slots_off, groups_off, geometry.body_len()]
}

/// Bytes of an index's body, in a table of one shard: start of the buckets, start of the free slots, end.
pub fn index_body(capacity: usize) -> [usize; 3] {
    let share = Share { capacity, shards: 1 };
    [Index::buckets_off(), share.free_off(), share.body_len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Segment;
    use crate::table::{Meta, Slot};
    use std::sync::atomic::Ordering;

    fn word(segment: &Segment, places: &[Place], name: &str) -> u64 {
        let place = places.iter().find(|place| place.name == name).expect("a place of this name");
        segment.words(place.offset, 1)[0].load(Ordering::Relaxed)
    }

    #[test]
    fn the_maps_say_where_a_table_keeps_its_words() {
        let [marks_off, slots_off, groups_off, body_len] = table_body(100, 24);
        let geometry = Geometry::new(100, 24);
        let segment = Segment::create(crate::segment::Spec {
            id: crate::prelude::SegmentId::new(crate::prelude::Kind::Table, 9),
            region_id: [0; 16],
            layout_version: 1,
            descriptor: None,
            body_len: body_len as u64,
        })
        .expect("a segment");
        geometry.write(&segment);
        let names = ["capacity", "record_len", "stride", "block_slots", "marks_off", "slots_off", "groups_off"];
        let expected =
            [100, 24, slot(24)[2].end(), BLOCK_SLOTS, marks_off, slots_off, groups_off].map(|value| value as u64);
        assert_eq!(names.map(|name| word(&segment, TABLE_HEADER, name)), expected);
        assert_eq!(Meta { incarnation: 7, live: true }.encode(), 7 << (slot(24)[1].offset * 8) | 1);
        assert_eq!(TABLE_HEADER.last().map(Place::end), Some(marks_off), "the marks follow the header");
    }

    #[test]
    fn the_maps_say_where_an_index_keeps_its_words() {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let mut index = Index::create([0; 16], 2, 100, key).expect("an index");
        let segment = index.segment().clone();
        let [buckets_off, free_off, _] = index_body(100);
        let buckets = ((free_off - buckets_off) / (BUCKET_ENTRIES * 8)) as u64;
        let names = ["capacity", "buckets", "key", "free"];
        let expected = [100, buckets, u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]), 100];
        assert_eq!(names.map(|name| word(&segment, INDEX_HEADER, name)), expected);
        assert_eq!(INDEX_HEADER.last().map(Place::end), Some(buckets_off), "the buckets follow the header");
        index.insert(index.hash(b"key"), Slot(41)).expect("room");
        let entries = segment.words(buckets_off, buckets as usize * BUCKET_ENTRIES);
        let entry = entries.iter().map(|word| word.load(Ordering::Relaxed)).find(|&word| word != 0);
        assert_eq!(entry.map(|word| word as u32), Some(42), "the slot plus one in the low half");
    }
}
