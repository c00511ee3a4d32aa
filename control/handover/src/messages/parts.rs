//! The parts that messages are made of.

use serde::{Deserialize, Serialize};

/// Kinds of segment, as in the prelude of each.
pub mod segment_kind {
    /// Owner word, handover words, swap counter.
    pub const MANIFEST: u32 = 1;
    /// Self-describing records.
    pub const TABLE: u32 = 2;
    /// Index over a table.
    pub const INDEX: u32 = 3;
    /// List of one process's segments and sockets.
    pub const DIRECTORY: u32 = 4;
    /// Rings and buffers of one process.
    pub const IO: u32 = 5;
    /// Pool of upstream identities.
    pub const IDENTITIES: u32 = 6;
    /// Fields of a table that are kept aside for a layout that knows them. Kinds from here on are unknown to the first
    /// release, whose dataplanes drop them: the supervisor carries them along.
    pub const SIDE: u32 = 7;
}

/// How a new process begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Make a new region and open the sockets.
    Cold,
    /// Take over the region and the sockets that follow.
    Takeover,
}

/// Why descriptors are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// After a cold start: everything, for the supervisor's duplicates.
    Serving,
    /// Answer to `donate`: everything, for the successor.
    Donate,
    /// What a successor made itself: its directory and its new segments.
    Own,
    /// A reason that a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A memfd of the region.
    Segment,
    /// A network socket.
    Socket,
    /// Something that a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Clients write to it.
    Listener,
    /// Backends are reached through it.
    Upstream,
    /// A role that a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// One descriptor of a batch. Fields that do not apply are 0 or absent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DescriptorEntry {
    /// Segment or socket.
    pub what: What,
    /// Segments: one of [`segment_kind`].
    #[serde(default)]
    pub kind: u32,
    /// Segments: table id.
    #[serde(default)]
    pub table: u32,
    /// Shard that it belongs to.
    #[serde(default)]
    pub shard: u32,
    /// Sockets: what for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Sockets: stable id of the listener, or 0.
    #[serde(default)]
    pub owner_id: u32,
    /// Sockets: position among those of the same role and owner.
    #[serde(default)]
    pub ordinal: u32,
}

impl DescriptorEntry {
    /// A segment.
    pub fn segment(kind: u32, table: u32, shard: u32) -> Self {
        Self { what: What::Segment, kind, table, shard, role: None, owner_id: 0, ordinal: 0 }
    }

    /// A socket.
    pub fn socket(role: Role, owner_id: u32, ordinal: u32, shard: u32) -> Self {
        Self { what: What::Socket, kind: 0, table: 0, shard, role: Some(role), owner_id, ordinal }
    }
}

/// What happens to a table in a swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableAction {
    /// Same layout: the segment is used as it is.
    #[default]
    Shared,
    /// Records are translated into a new segment.
    Translated,
    /// Made anew from the records.
    Rebuilt,
    /// What the new layout cannot hold, kept for one that can.
    KeptAside,
    /// An action that a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// What a swap did to one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableWork {
    /// Name of the table.
    pub table: String,
    /// Shared or translated.
    pub action: TableAction,
    /// Layout version of the old process.
    pub from_version: u32,
    /// Layout version of the new process.
    pub to_version: u32,
    /// Live records translated (0 where shared).
    pub records: u64,
    /// Bytes of the new segment (0 where shared).
    pub bytes: u64,
    /// Background passes.
    pub passes: u32,
    /// Time spent, in nanoseconds.
    pub elapsed_ns: u64,
    /// What happened to each field, in words; may be empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// How often something happened to one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldCount {
    /// Name of the table.
    pub table: String,
    /// Name of the field.
    pub field: String,
    /// How many records.
    pub count: u64,
}

/// The switch in numbers. All times are CLOCK_MONOTONIC nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwitchReport {
    /// The new process asked the old one to quiesce.
    pub requested_ns: u64,
    /// First worker of the old process: last return from its ring.
    pub last_return_ns: u64,
    /// All workers of the old process stand still.
    pub quiesced_ns: u64,
    /// The owner word was offered.
    pub offered_ns: u64,
    /// The new process began the foreground work.
    pub foreground_start_ns: u64,
    /// The new process won the owner word.
    pub won_ns: u64,
    /// Last worker of the new process: return from its first enter with all receives armed.
    pub entered_ns: u64,
    /// The new process served its first packet; 0 if none had come when this was sent.
    pub first_packet_ns: u64,
    /// `entered_ns - last_return_ns`.
    pub blackout_ns: u64,
    /// Records translated while nobody served.
    pub foreground_records: u64,
    /// What was done to each table, background and foreground together.
    pub tables: Vec<TableWork>,
    /// Values that did not fit and were clamped.
    pub clamped: Vec<FieldCount>,
    /// Rows that were dropped because a value did not fit.
    pub dropped_rows: u64,
    /// Fields that were given their default.
    pub defaulted: Vec<FieldCount>,
}
