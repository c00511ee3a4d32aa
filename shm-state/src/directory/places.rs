//! Byte maps of the directory.

use super::{HEADER_WORDS, SEGMENT_WORDS, SOCKET_WORDS};
use crate::places::Place;

/// The header.
pub const HEADER: &[Place] = &[
    Place::word(0, "segments", "entries of segments, right behind the header"),
    Place::word(1, "sockets", "entries of sockets, behind those of segments"),
    Place { offset: 16, bytes: (HEADER_WORDS - 2) * 8, name: "reserved", meaning: "0" },
];

/// A segment's entry.
pub const SEGMENT: &[Place] = &[
    Place { offset: 0, bytes: 4, name: "kind", meaning: "kind of the segment" },
    Place { offset: 4, bytes: 4, name: "table", meaning: "stable id of the table, 0 where there is none" },
    Place { offset: 8, bytes: 4, name: "shard", meaning: "shard within the table" },
    Place { offset: 12, bytes: 4, name: "fd", meaning: "descriptor number in the directory's process" },
    Place { offset: 16, bytes: 8, name: "layout_version", meaning: "as in the segment's prelude" },
    Place { offset: 24, bytes: 8, name: "fingerprint", meaning: "as in the segment's prelude" },
];

/// A socket's entry.
pub const SOCKET: &[Place] = &[
    Place { offset: 0, bytes: 4, name: "role", meaning: "1 listener, 2 upstream" },
    Place { offset: 4, bytes: 4, name: "owner_id", meaning: "stable id of the listener; upstream: 4 or 6" },
    Place { offset: 8, bytes: 4, name: "ordinal", meaning: "which of its owner's sockets" },
    Place { offset: 12, bytes: 4, name: "shard", meaning: "shard that it belongs to" },
    Place { offset: 16, bytes: 8, name: "fd", meaning: "descriptor number in the directory's process" },
    Place { offset: 24, bytes: 8, name: "reserved", meaning: "0" },
];

const _: () = assert!(SEGMENT_WORDS * 8 == SEGMENT[SEGMENT.len() - 1].end());
const _: () = assert!(SOCKET_WORDS * 8 == SOCKET[SOCKET.len() - 1].end());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Directory, Role, SegmentEntry, SocketEntry};
    use crate::prelude::{Kind, SegmentId};
    use std::sync::atomic::Ordering;

    #[test]
    fn the_maps_say_where_entries_lie() {
        let segment = SegmentEntry {
            id: SegmentId { kind: Kind::Table, table: 0x11, shard: 0x22 },
            fd: 0x33,
            layout_version: 0x44,
            fingerprint: 0x55,
        };
        let socket = SocketEntry { role: Role::Upstream, owner_id: 0x66, ordinal: 0x77, shard: 0x88, fd: 0x99 };
        let directory = Directory::create([0; 16], &[segment], &[socket]).expect("a directory");
        let read = |start: usize, places: &[Place], name: &str| {
            let place = places.iter().find(|place| place.name == name).expect("a place of this name");
            let bytes = directory.segment().bytes(start + place.offset, place.bytes);
            bytes.iter().rev().fold(0_u64, |all, byte| all << 8 | u64::from(byte.load(Ordering::Relaxed)))
        };
        assert_eq!(["segments", "sockets"].map(|name| read(0, HEADER, name)), [1, 1]);
        let names = ["kind", "table", "shard", "fd", "layout_version", "fingerprint"];
        let start = HEADER_WORDS * 8;
        assert_eq!(names.map(|name| read(start, SEGMENT, name)), [2, 0x11, 0x22, 0x33, 0x44, 0x55]);
        let start = start + SEGMENT_WORDS * 8;
        let names = ["role", "owner_id", "ordinal", "shard", "fd"];
        assert_eq!(names.map(|name| read(start, SOCKET, name)), [2, 0x66, 0x77, 0x88, 0x99]);
    }
}
