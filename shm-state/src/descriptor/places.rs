//! Byte maps of a descriptor.

use super::{Case, DescHeader, FactHead, FactsHeader, FieldDesc};
use crate::places::{Place, places};

/// The head.
pub const HEADER: &[Place] = places!(DescHeader {
    magic: "`HLDESC` and two zero bytes",
    total_len: "bytes of the whole descriptor",
    header_len: "bytes of this head with the facts; at least 64, readers skip what they do not know",
    entry_len: "bytes of one field's entry; at least 96, likewise",
    field_count: "entries that follow the head",
    encoding: "1, or 2 if there are arrays; a meaning that an old reader must not miss takes a new number",
    table_id: "stable id of the table, from 1",
    layout_version: "version of the layout, from 1",
    record_len: "bytes of one record; a multiple of 8",
    name: "name of the table, padded with zeros",
});

/// A field's entry; entries are in order of their offsets.
pub const ENTRY: &[Place] = places!(FieldDesc {
    id: "stable id of the field, from 1",
    ty: "number of its type",
    unit: "number of its unit",
    narrow: "number of its policy for values that do not fit",
    flags: "1 part of the key, 2 has a default",
    offset: "start of the field, from the record's start",
    len: "bytes of the field",
    default: "value for records of layouts that lack it (of a longer field the first 16 bytes)",
    name: "name, padded with zeros",
    compute: "name of the function that computes it for such records; empty for none",
});

/// In front of the facts, which lie in a head of more than 64 bytes.
pub const FACTS: &[Place] =
    places!(FactsHeader { magic: "`HLFACTS` and a zero byte", len: "bytes of the facts behind this", reserved: "0" });

/// In front of each fact.
pub const FACT: &[Place] = places!(FactHead {
    field: "id of the field",
    kind: "1 elements, 2 range, 3 cases; readers skip what they do not know",
    len: "bytes of the value behind this; a multiple of 4",
});

/// One case of an enum.
pub const CASE: &[Place] = places!(Case { number: "stable number", name: "name, padded with zeros" });
