//! The report of one swap.

use std::collections::BTreeMap;

use handover::messages::{Fault, FieldCount, SwitchReport, TableWork};
use serde::{Deserialize, Serialize};

/// One of the two processes of a swap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Party {
    /// Process id; 0 if it was never started.
    pub pid: u32,
    /// Path of its binary.
    pub binary: String,
    /// Package version that it said.
    pub version: String,
    /// SHA-256 of the binary, in hexadecimal.
    pub sha256: String,
    /// Layout version of each table.
    pub layouts: BTreeMap<String, u32>,
}

/// A phase and how long it took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// CLOCK_MONOTONIC nanoseconds.
    pub start_ns: u64,
    /// Nanoseconds.
    pub elapsed_ns: u64,
}

/// Packets that the kernel dropped at the sockets, since the sockets were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KernelDrops {
    /// When the swap began.
    pub before: u64,
    /// When it ended.
    pub after: u64,
}

/// All there is to say about one swap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwapReport {
    /// Number of the swap; rises over restarts of the supervisor.
    pub id: u64,
    /// `committed`, `undone` or `refused`.
    pub outcome: String,
    /// Why, if it did not go through.
    pub error: Option<Fault>,
    /// The descriptors were taken, not asked for.
    pub steal: bool,
    /// The process before.
    pub from: Party,
    /// The process after.
    pub to: Party,
    /// At least one table was translated.
    pub layout_changed: bool,
    /// When it began, milliseconds of the Unix epoch.
    pub started_unix_ms: u64,
    /// The phases that were gone through.
    pub phases: Vec<Phase>,
    /// What was done to each table.
    pub tables: Vec<TableWork>,
    /// Records translated in all tables.
    pub records_translated: u64,
    /// Most background passes over one table.
    pub background_passes: u32,
    /// Records translated while nobody served.
    pub foreground_records: u64,
    /// Values that did not fit and were clamped.
    pub clamped: Vec<FieldCount>,
    /// Rows that were dropped because a value did not fit.
    pub dropped_rows: u64,
    /// Expected blackout; 0 if the new process never became ready.
    pub estimate_ns: u64,
    /// Measured blackout; 0 if nothing was switched.
    pub blackout_ns: u64,
    /// The switch in detail.
    pub stamps: SwitchReport,
    /// See [`KernelDrops`].
    pub kernel_drops: KernelDrops,
    /// Time between switch and commit.
    pub probation_ms: f64,
    /// Time from commit until the old process was gone.
    pub old_gone_ms: f64,
}
