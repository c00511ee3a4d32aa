//! Every message between supervisor and dataplane.
//!
//! On the wire a message is one JSON object in one packet, `{"v":1,"type":"hello",…}`. Rules for ever:
//! a reader ignores fields it does not know, gives a missing field its default where one is named here, and reports
//! a type it does not know by name instead of failing. `v` is the version of this envelope and stays 1; what may
//! be said inside it is negotiated (see [`crate::negotiate`]).

mod faults;
mod parts;
mod wire;

pub use faults::{Culprit, Fault};
pub use parts::{
    DescriptorEntry, FieldCount, Mode, Reason, Role, SwitchReport, TableAction, TableWork, What, segment_kind,
};
pub use wire::{Decoded, ENVELOPE_VERSION, PACKET_BYTES_MAX, WireError, decode, encode};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A message, in either direction. The comment at each group names the sender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Message {
    // dataplane → supervisor
    /// First message of a new process.
    Hello(Hello),
    /// One batch of descriptors; as many descriptors travel beside it as `batch` has entries, in the same order.
    /// (Also supervisor → new dataplane.)
    Descriptors(Descriptors),
    /// The process holds the owner word and its workers run.
    Serving(Serving),
    /// The process cannot attach, translate or start; it ends after this.
    Refused(Refused),
    /// The old process has noted who may ask it to quiesce.
    Expecting(Expecting),
    /// How far the background work is.
    Progress(Progress),
    /// Everything that can be done beforehand is done.
    Ready(Ready),
    /// The new process won the owner word and serves.
    Activated(Activated),
    /// The new process did not win the owner word; it ends after this.
    Undone(Undone),
    /// The old process withdrew its offer and serves again.
    Resumed(Resumed),
    /// The old process stands aside and can come back.
    Parked(Parked),
    /// The process ends cleanly, as asked.
    Stopping(Stopping),
    /// Something went wrong that ends nothing. (Either direction.)
    Fault(FaultNotice),
    /// The tables of a dead predecessor were looked through.
    Recovered(Recovered),

    // supervisor → dataplane
    /// Answer to `hello`.
    Welcome(Welcome),
    /// Send duplicates of all your descriptors.
    Donate(Donate),
    /// `party` may soon ask you to quiesce.
    Expect(Expect),
    /// The swap is off: forget the party (old process), or end (new process that has not won).
    Abort(Abort),
    /// Begin the switch now.
    Proceed(Proceed),
    /// The swap is final; to the new process.
    Committed(Committed),
    /// End now; to the old process, only after the new one won the owner word.
    Commit(Commit),
    /// End cleanly and close everything.
    Stop(Stop),
}

/// See [`Message::Hello`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest protocol version that this process speaks.
    pub protocol_min: u16,
    /// Newest protocol version that this process speaks.
    pub protocol_max: u16,
    /// Process id as the process sees itself.
    pub pid: u32,
    /// Package version of the binary.
    #[serde(default)]
    pub version: String,
    /// Name of the executable, such as `dataplane-v1`.
    #[serde(default)]
    pub name: String,
}

/// See [`Message::Descriptors`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Descriptors {
    /// What each descriptor is, in the order in which they travel.
    pub batch: Vec<DescriptorEntry>,
    /// True in the last batch of a list.
    pub last: bool,
    /// Why they are sent.
    pub reason: Reason,
}

/// See [`Message::Serving`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Serving {
    /// Generation of the owner word that the process holds.
    pub generation: u64,
    /// Scheduling class of the workers, `other` or `fifo`.
    #[serde(default)]
    pub scheduling: String,
    /// What the host did not permit, in whole sentences.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// See [`Message::Refused`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub error: Fault,
}

/// See [`Message::Expecting`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expecting {
    /// Number of the swap.
    pub swap: u64,
}

/// See [`Message::Progress`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Number of the swap.
    pub swap: u64,
    /// What is being done, such as `attach`, `copy` or `arm`.
    pub phase: String,
    /// Table it is done to; empty for none.
    pub table: String,
    /// Which pass over the table, from 1.
    pub pass: u32,
    /// Records done.
    pub records: u64,
    /// Records in all.
    pub total: u64,
    /// Slots marked dirty when the pass ended.
    pub dirty: u64,
}

/// See [`Message::Ready`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// Number of the swap.
    pub swap: u64,
    /// Expected blackout in nanoseconds.
    pub estimate_ns: u64,
    /// Slots still dirty.
    #[serde(default)]
    pub dirty: u64,
    /// Whether background passes came to little; if not, the old process writes as fast as they copy.
    #[serde(default = "yes")]
    pub converged: bool,
    /// What the background phase did.
    #[serde(default)]
    pub tables: Vec<TableWork>,
    /// Segments of the old process that nobody needs once the swap is final.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<DescriptorEntry>,
}

fn yes() -> bool {
    true
}

/// See [`Message::Activated`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activated {
    /// Number of the swap.
    pub swap: u64,
    /// Timestamps and counts of the switch.
    #[serde(default)]
    pub report: SwitchReport,
}

/// See [`Message::Undone`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    /// Number of the swap.
    pub swap: u64,
    /// Why.
    pub error: Fault,
}

/// See [`Message::Resumed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    /// Number of the swap.
    pub swap: u64,
    /// Why the offer was withdrawn.
    pub error: Fault,
}

/// See [`Message::Parked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    /// Number of the swap.
    pub swap: u64,
    /// Generation that the successor holds.
    #[serde(default)]
    pub generation: u64,
}

/// See [`Message::Stopping`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stopping {}

/// See [`Message::Fault`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultNotice {
    /// What is wrong.
    pub error: Fault,
}

/// See [`Message::Recovered`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recovered {
    /// What was done about the operation that the dead one was in the middle of, such as `nothing` or `finished`.
    pub operation: String,
    /// Flows that stayed.
    pub flows: u64,
    /// Flows that were dropped.
    pub dropped: u64,
    /// What was found, by the name of its kind, and how often; nothing where nothing was wrong.
    pub found: BTreeMap<String, u64>,
    /// How long the scan took beside the packets, in nanoseconds.
    pub elapsed_ns: u64,
}

/// See [`Message::Welcome`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// Protocol version to speak from here on.
    pub protocol: u16,
    /// Party number of this process in the owner word, 1..=254.
    pub party: u8,
    /// Start alone, or take over.
    pub mode: Mode,
    /// Number of the swap; 0 for a cold start.
    #[serde(default)]
    pub swap: u64,
    /// The holder of the region is dead: the supervisor has reaped it, so its word may be claimed.
    #[serde(default)]
    pub predecessor_dead: bool,
}

/// See [`Message::Donate`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Donate {}

/// See [`Message::Expect`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// Number of the swap.
    pub swap: u64,
    /// Party that may ask.
    pub party: u8,
    /// How long to stay quiesced before serving again, in nanoseconds.
    pub quiesce_ns: u64,
}

/// See [`Message::Abort`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Abort {
    /// Number of the swap.
    pub swap: u64,
    /// Why, for the log.
    #[serde(default)]
    pub reason: String,
}

/// See [`Message::Proceed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proceed {
    /// Number of the swap.
    pub swap: u64,
    /// How long the old process stays quiesced, in nanoseconds.
    pub quiesce_ns: u64,
}

/// See [`Message::Committed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Committed {
    /// Number of the swap.
    pub swap: u64,
}

/// See [`Message::Commit`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Number of the swap.
    pub swap: u64,
}

/// See [`Message::Stop`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stop {}
