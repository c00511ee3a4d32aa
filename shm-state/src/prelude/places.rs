//! The prelude's byte map.

use super::Prelude;
use crate::places::{Place, places};

/// The prelude's words, from the start of the segment.
pub const PLACES: &[Place] = places!(Prelude {
    magic: "`HITLESS` and a zero byte",
    version: "version of the prelude",
    kind: "what the segment is for",
    segment_len: "bytes of the whole segment; equal to the length of its file",
    region_id: "random; the same in all segments of a region",
    table: "stable id of the table, 0 where there is none",
    shard: "shard within the table",
    layout_version: "version of the layout or of the body",
    flags: "bit 0: secrets, to be kept off every disk; others are ignored",
    fingerprint: "fingerprint of the descriptor, 0 where there is none",
    descriptor_off: "start of the descriptor, from the segment's start; 0 where there is none",
    descriptor_len: "bytes of the descriptor",
    body_off: "start of the body, from the segment's start; a multiple of 64",
    body_len: "bytes of the body",
    reserved: "0",
    checksum: "first 8 bytes of the SHA-256 of the 120 bytes before",
});
