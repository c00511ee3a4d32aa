//! The JSON of one run with swaps. The first keys are a contract with scripts: add to it, never change it.

use serde::Serialize;

use super::stats::Blackouts;
use crate::check::verdict::Verdict;
use crate::load::latency::{FeltReport, Quantiles};
use crate::load::live::Period;
use crate::scenario::definition::Scenario;
use crate::scenario::host::Host;
use crate::scenario::observed::Observed;
use crate::scenario::swapping::SwapRun;
use crate::sys::clock::{MILLI, SECOND};
use crate::world::report::Stamps;

/// Enough to see whether what is missing was one flow or one moment.
const UNANSWERED_SHOWN: usize = 20;

#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub misrouted: u64,
    pub backend_changed: u64,
    pub source_changed: u64,
    /// Swaps committed.
    pub swaps: usize,
    /// Of these, with a table translated.
    pub layout_changed: usize,
    pub blackout_us: Blackouts,
    pub old_gone_ms_max: f64,
    pub pps: Pps,
    pub kernel_drops: u64,
    /// Requests that the schedule called for, that the kernel took, and that were answered.
    pub offered: u64,
    pub sent: u64,
    pub received: u64,
    /// All flows of the run.
    pub flows: usize,
    pub in_flight_max: u64,
    pub records_translated: u64,
    pub probation_ms: f64,
    pub generator_drops: u64,

    /// Whether the run holds, and if not, why.
    pub holds: bool,
    pub failures: Vec<String>,
    /// The first requests without an answer: (flow, place in the flow).
    pub unanswered: Vec<(usize, u32)>,
    pub wrong_source: u64,
    pub foreign: u64,
    pub scenario: Scenario,
    pub host: Host,
    /// Scheduling class of the packet thread and of the load.
    pub scheduling: String,
    pub load_scheduling: String,
    /// The clients' view with swaps going on, and of the same load before, without.
    pub swapping: FeltReport,
    pub control: FeltReport,
    /// Packets per second of the emptiest 10 ms.
    pub lowest_pps: LowestPps,
    /// How late the load sent its requests, and how much longer than asked its backends held replies, µs.
    pub generator_lateness_us: Quantiles,
    pub backend_lateness_us: Vec<Quantiles>,
    /// Rises of the host's UDP error counts during the run.
    pub udp_errors: Vec<(String, u64)>,
    pub counters: serde_json::Value,
    pub swap_list: Vec<SwapRow>,
}

/// Datagrams per second that the dataplane forwarded, both directions, counted where they arrive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pps {
    pub before: Option<f64>,
    /// While a swap was under way, from controlctl's start to its end.
    pub during: Option<f64>,
    pub after: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LowestPps {
    pub before: Option<f64>,
    pub during: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct SwapRow {
    pub number: u32,
    pub from: &'static str,
    pub to: &'static str,
    pub outcome: String,
    /// Seconds from the start of the load.
    pub at_s: f64,
    pub asked_s: f64,
    pub took_ms: f64,
    pub blackout_us: f64,
    /// What the blackout consists of.
    pub blackout_parts_us: BlackoutParts,
    pub estimate_us: f64,
    pub records_translated: u64,
    pub flows_live: u64,
    pub background_passes: u32,
    /// The whole background phase, and within it all passes over the translated tables.
    pub background_ms: f64,
    pub copy_ms: f64,
    /// Of the segments that tables were translated into.
    pub bytes: u64,
    pub foreground_records: u64,
    pub probation_ms: f64,
    pub old_gone_ms: f64,
}

/// The blackout from stamp to stamp, µs.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BlackoutParts {
    /// The old process finishes what it has received.
    pub quiesce: f64,
    /// It offers the owner word, and the new process notices.
    pub offer: f64,
    /// The new process translates what is still dirty and takes the owner word.
    pub foreground: f64,
    /// It enters its ring.
    pub enter: f64,
}

impl BlackoutParts {
    fn of(stamps: &Stamps) -> Self {
        let us = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e3;
        Self {
            quiesce: us(stamps.last_return_ns, stamps.quiesced_ns),
            offer: us(stamps.quiesced_ns, stamps.foreground_start_ns),
            foreground: us(stamps.foreground_start_ns, stamps.won_ns),
            enter: us(stamps.won_ns, stamps.entered_ns),
        }
    }
}

impl SwapRow {
    fn of(observed: &Observed, origin_ns: u64) -> Self {
        let report = observed.report();
        Self {
            number: observed.number,
            from: observed.direction.0,
            to: observed.direction.1,
            outcome: report.outcome.clone(),
            at_s: seconds(switched_at(observed).saturating_sub(origin_ns)),
            asked_s: seconds(observed.swap.asked_ns.saturating_sub(origin_ns)),
            took_ms: (observed.swap.returned_ns - observed.swap.asked_ns) as f64 / MILLI as f64,
            blackout_us: report.blackout_ns as f64 / 1e3,
            blackout_parts_us: BlackoutParts::of(&report.stamps),
            estimate_us: report.estimate_ns as f64 / 1e3,
            records_translated: report.records_translated,
            flows_live: observed.flows_live,
            background_passes: report.background_passes,
            background_ms: report.background_ns().map_or(0.0, |(from, to)| (to - from) as f64 / MILLI as f64),
            copy_ms: report.translated().map(|work| work.elapsed_ns).sum::<u64>() as f64 / MILLI as f64,
            bytes: report.translated().map(|work| work.bytes).sum(),
            foreground_records: report.foreground_records,
            probation_ms: report.probation_ms,
            old_gone_ms: report.old_gone_ms,
        }
    }
}

/// The moment of the switch; of a swap that never switched, when it was asked for.
fn switched_at(observed: &Observed) -> u64 {
    match observed.report().stamps.entered_ns {
        0 => observed.swap.asked_ns,
        entered => entered,
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / SECOND as f64
}

impl Summary {
    pub fn of(scenario: &Scenario, host: &Host, run: &SwapRun) -> Self {
        let Verdict {
            offered,
            sent,
            received,
            lost,
            duplicated,
            reordered,
            misrouted,
            wrong_source,
            backend_changed,
            source_changed,
            foreign,
            generator_drops,
        } = run.outcome.verdict;
        let committed = || run.swaps.iter().filter(|swap| swap.report().committed());
        let max = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let spans: Vec<(u64, u64)> = run.swaps.iter().map(|s| (s.swap.asked_ns, s.swap.returned_ns)).collect();
        let packets = &run.outcome.packets;
        let failures = run.failures();
        let felt = |period: Period| run.outcome.generator.felt[period as usize].report();
        let blackouts: Vec<f64> = committed().map(|swap| swap.report().blackout_ns as f64 / 1e3).collect();
        Self {
            lost,
            duplicated,
            reordered,
            misrouted,
            backend_changed,
            source_changed,
            swaps: committed().count(),
            layout_changed: committed().filter(|swap| swap.report().layout_changed).count(),
            blackout_us: Blackouts::of(&blackouts),
            old_gone_ms_max: max(&mut committed().map(|swap| swap.report().old_gone_ms)),
            pps: Pps {
                before: packets.mean_rate(&[run.spans.before]),
                during: packets.mean_rate(&spans),
                after: packets.mean_rate(&[run.spans.after]),
            },
            kernel_drops: run.swaps.iter().map(|swap| swap.report().kernel_drops.after).max().unwrap_or(0),
            offered,
            sent,
            received,
            flows: run.outcome.generator.oracle.flows().len(),
            in_flight_max: run.outcome.in_flight_max,
            records_translated: committed().map(|swap| swap.report().records_translated).sum(),
            probation_ms: max(&mut committed().map(|swap| swap.report().probation_ms)),
            generator_drops,
            holds: failures.is_empty(),
            failures,
            unanswered: run.outcome.generator.oracle.unanswered(UNANSWERED_SHOWN),
            wrong_source,
            foreign,
            scenario: scenario.clone(),
            host: host.clone(),
            scheduling: run.scheduling.clone(),
            load_scheduling: run.outcome.generator.scheduling.to_owned(),
            swapping: felt(Period::Swapping),
            control: felt(Period::Control),
            lowest_pps: LowestPps {
                before: packets.lowest_rate(&[run.spans.before]),
                during: packets.lowest_rate(&spans),
            },
            generator_lateness_us: run.outcome.generator.lateness.quantiles(),
            backend_lateness_us: run.outcome.backends.iter().map(|b| b.overheld.quantiles()).collect(),
            udp_errors: run.udp_errors.clone(),
            counters: run.counters.clone(),
            swap_list: run.swaps.iter().map(|swap| SwapRow::of(swap, run.spans.origin_ns)).collect(),
        }
    }
}
