//! A paced load through the real service, and swaps while it runs.

use super::definition::Scenario;
use super::host::Host;
use super::observed::Observed;
use super::stage::{Stage, stand_aside};
use crate::error::Result;
use crate::load::live::Glance;
use crate::load::session::SessionOutcome;
use crate::world::binaries::Binaries;

/// Told about a run while it goes on.
pub trait Watch {
    fn stage(&mut self, what: &str);
    fn glance(&mut self, glance: Glance);
    fn swapped(&mut self, swap: &Observed, of: u32);
}

/// The parts of a run on the common clock, ns: (from, to).
#[derive(Debug, Clone, Default)]
pub struct Spans {
    pub origin_ns: u64,
    pub before: (u64, u64),
    pub after: (u64, u64),
}

#[derive(Debug)]
pub struct SwapRun {
    pub outcome: SessionOutcome,
    pub swaps: Vec<Observed>,
    pub spans: Spans,
    pub scheduling: String,
    /// Counters of the service at the end.
    pub counters: serde_json::Value,
    /// What the host's UDP error counts rose by.
    pub udp_errors: Vec<(String, u64)>,
    /// What controld and its dataplanes wrote.
    pub log: String,
    /// What went wrong while it ran, beyond counts.
    pub faults: Vec<String>,
}

impl SwapRun {
    /// Everything that fails the run; empty if it holds.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = self.outcome.verdict.failures();
        failures.extend(self.swaps.iter().filter_map(Observed::fault));
        failures.extend(self.faults.iter().cloned());
        failures
    }
}

/// Runs `scenario` from start to verdict.
pub fn run(scenario: &Scenario, binaries: &Binaries, host: &Host, watch: &mut dyn Watch) -> Result<SwapRun> {
    let place = stand_aside(host);
    let mut stage = Stage::start(scenario, binaries, host, place, watch)?;
    stage.warm_up(watch)?;
    stage.without(watch)?;
    stage.swap(scenario.swaps.as_ref().map_or(0, |swaps| swaps.count), watch)?;
    stage.after(watch)?;
    stage.finish(watch)
}
