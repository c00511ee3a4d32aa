//! What controlctl says of a swap and of the service: the fields that measurements use. Fields that are not
//! there read as zero, so that a figure that is missing shows as a bound that does not hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Party {
    pub pid: u32,
    pub binary: String,
    pub version: String,
    pub layouts: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct TableWork {
    pub table: String,
    pub action: String,
    pub from_version: u32,
    pub to_version: u32,
    pub records: u64,
    pub passes: u32,
    /// Of the segment that it was translated into.
    pub bytes: u64,
    /// In all passes.
    pub elapsed_ns: u64,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Phase {
    pub name: String,
    /// CLOCK_MONOTONIC.
    pub start_ns: u64,
    pub elapsed_ns: u64,
}

/// Times of the switch, CLOCK_MONOTONIC ns.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Stamps {
    pub requested_ns: u64,
    pub last_return_ns: u64,
    pub quiesced_ns: u64,
    pub offered_ns: u64,
    pub foreground_start_ns: u64,
    pub won_ns: u64,
    pub entered_ns: u64,
    pub first_packet_ns: u64,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct KernelDrops {
    pub before: u64,
    pub after: u64,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct SwapReport {
    pub id: u64,
    pub outcome: String,
    pub error: serde_json::Value,
    pub from: Party,
    pub to: Party,
    pub layout_changed: bool,
    pub phases: Vec<Phase>,
    pub tables: Vec<TableWork>,
    pub records_translated: u64,
    pub background_passes: u32,
    pub foreground_records: u64,
    pub estimate_ns: u64,
    pub blackout_ns: u64,
    pub stamps: Stamps,
    pub kernel_drops: KernelDrops,
    pub probation_ms: f64,
    pub old_gone_ms: f64,
}

impl SwapReport {
    pub fn committed(&self) -> bool {
        self.outcome == "committed"
    }

    /// Records of the flow table that were translated.
    pub fn flow_records(&self) -> u64 {
        self.translated().filter(|work| work.table == "flows").map(|work| work.records).sum()
    }

    /// The tables that were translated.
    pub fn translated(&self) -> impl Iterator<Item = &TableWork> {
        self.tables.iter().filter(|work| work.action == "translated")
    }

    /// When the background phase began and ended, CLOCK_MONOTONIC ns.
    pub fn background_ns(&self) -> Option<(u64, u64)> {
        let phase = self.phases.iter().find(|phase| phase.name == "background")?;
        Some((phase.start_ns, phase.start_ns + phase.elapsed_ns))
    }
}
