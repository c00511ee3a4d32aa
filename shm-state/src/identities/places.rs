//! Byte maps of the identities' segment.

use super::row::{BACKEND_COUNT, FREE, HEADER_WORDS, REST_HEAD, REST_LEN, ROW_HEADER_WORDS};
use crate::places::Place;

/// Header of the body.
pub const HEADER: &[Place] = &[
    Place::word(0, "backends", "rows that follow"),
    Place { offset: 8, bytes: (HEADER_WORDS - 1) * 8, name: "reserved", meaning: "0" },
];

/// Header of a backend's row.
pub const ROW_HEADER: &[Place] = &[
    Place { offset: BACKEND_COUNT * 8, bytes: 4, name: "backend", meaning: "stable id of the backend" },
    Place { offset: BACKEND_COUNT * 8 + 4, bytes: 4, name: "identities", meaning: "how many it has" },
    Place::word(FREE, "free", "identities in the free pool"),
    Place::word(REST_HEAD, "rest_head", "oldest place of the resting queue"),
    Place::word(REST_LEN, "rest_len", "identities that rest"),
    Place { offset: 32, bytes: (ROW_HEADER_WORDS - 4) * 8, name: "reserved", meaning: "0" },
];

/// The arrays behind a row's header, in their order: name, bytes per identity, meaning.
pub const ARRAYS: &[(&str, usize, &str)] = &[
    ("free", 4, "free pool: the first `free` are identities to give out"),
    ("reverse", 4, "by identity: slot of its flow plus one, 0 for none"),
    ("resting", 4, "ring of resting identities"),
    ("released_ns", 8, "by place in the ring: when the identity was released"),
];

const _: () = assert!(REST_LEN == 3 && ROW_HEADER_WORDS == HEADER_WORDS);

#[cfg(test)]
mod tests {
    use super::super::{BYTES_PER_IDENTITY, Identities, RowSpec};
    use super::*;
    use crate::table::Slot;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn the_maps_say_where_the_words_lie() {
        assert_eq!(ARRAYS.iter().map(|(_, bytes, _)| bytes).sum::<usize>(), BYTES_PER_IDENTITY);
        let mut identities = Identities::create([0; 16], &[RowSpec { backend: 7, identities: 6 }]).expect("a segment");
        let taken = identities.take(0, 0, 0, 0).expect("a free one");
        identities.bind(0, taken, Slot(40));
        let other = identities.take(0, 0, 0, 0).expect("another");
        identities.bind(0, other, Slot(41));
        identities.release(0, other, 99);
        let segment = identities.segment();
        let row = HEADER_WORDS * 8;
        let word = |place: &Place| segment.halves(row + place.offset, 1)[0].load(Relaxed);
        let values: Vec<_> = ROW_HEADER.iter().map(word).collect();
        assert_eq!(values, [7, 6, 4, 0, 1, 0]);
        let start = |which: usize| {
            let before: usize = ARRAYS[..which].iter().map(|(_, bytes, _)| bytes * 6).sum();
            row + ROW_HEADER_WORDS * 8 + before
        };
        assert_eq!(segment.halves(start(1), 6)[taken as usize].load(Relaxed), 41);
        assert_eq!(segment.halves(start(2), 6)[0].load(Relaxed), other);
        assert_eq!(segment.words(start(3), 6)[0].load(Relaxed), 99);
    }
}
