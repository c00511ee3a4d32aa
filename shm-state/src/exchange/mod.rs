//! The wire form of rows: what tables hold, without any layout, in few bytes.
//!
//! For dumps, and for a peer that may run another version. A stream is [`MAGIC`] and frames. A frame is its kind (8
//! bits), the length of its payload (32) and a CRC-32 of kind, length and payload (32), then the payload; little
//! endian. In payloads, integers are varints of 7 bits, the lowest first; signed ones in zigzag.
//!
//! | kind | payload |
//! |---|---|
//! | 1 table | [`WIRE_VERSION`], table id, shard, layout version of the source, slots, region id (16 bytes), name, number of fields, fields |
//! | 2 rows | table id, shard, rows up to the payload's end |
//! | 3 end of table | table id, shard, live rows, free rows |
//! | 4 end | number of tables |
//! | from 128 | later additions: readers skip what they do not know |
//!
//! A name is its length and its bytes. A field is its length in bytes and then id, meaning, form (0 varint, 1 length and
//! bytes), unit, flags (1: part of the key, 2: facts), name, and its facts if there are any: elements of each list (0 where
//! that is not said), number of cases, and number and name of each case. A row is its length in bytes and then slot, incarnation, flags
//! (1: live) and, if it is live, one bit per field of the table that says whether the row has it (lowest first), and the
//! values of those that it has, in the table's order. What follows in a payload, a field or a row is a later addition,
//! skipped. A field whose meaning is not known is skipped by its form.
//!
//! Values are those of the intermediate schema: times in nanoseconds, addresses of 4 or 16 bytes, a slot link is the
//! slot plus one or 0, a truth is 0 or 1. A list, whose meaning is that of its elements plus 64, is its length in bytes and
//! its elements. A free row tells the incarnation of a slot that is not in use.

mod error;
mod fit;
mod header;
mod reader;
mod value;
mod varint;
mod writer;

pub use error::{RowsError, Wrong};
pub use fit::{Fit, FitCounts, Fitted};
pub use header::{FieldHeader, TableHeader};
pub use reader::{Item, Reader};
pub use writer::Writer;

use crate::row::Row;

/// First bytes of a stream.
pub const MAGIC: [u8; 8] = *b"HLROWS\0\0";
/// Version of the wire form that this code writes, and the newest that it reads.
pub const WIRE_VERSION: u32 = 1;
/// Longest payload of a frame that is believed, in bytes.
pub const FRAME_LEN_MAX: usize = 1 << 20;
/// Most slots of one table.
pub const SLOTS_MAX: u64 = u32::MAX as u64;

/// Most tables of one stream.
pub const TABLES_MAX: usize = 4096;

const KIND_TABLE: u8 = 1;
const KIND_ROWS: u8 = 2;
const KIND_END_OF_TABLE: u8 = 3;
const KIND_END: u8 = 4;
/// Frames of this kind and above may be skipped.
const KIND_SKIPPABLE: u8 = 128;
/// Bytes in front of a payload.
const FRAME_HEAD: usize = 9;
const FLAG_KEY: u8 = 1;
const FLAG_FACTS: u8 = 2;
const FLAG_LIVE: u8 = 1;

/// A slot as the wire form tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRow {
    /// Number of the slot.
    pub slot: u64,
    /// How often it was filled.
    pub incarnation: u32,
    /// Its record; nothing if the slot is free.
    pub row: Option<Row>,
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(&(payload.len() as u32).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}
