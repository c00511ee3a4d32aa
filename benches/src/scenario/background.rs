//! What the background phase of a swap takes from the packet path: the dataplane as busy as it can be on a core of its
//! own, and its packets per second while a successor copies a large table beside those just before.
//!
//! The load runs on another core, where the copier runs too. It would be no measurement of the dataplane if the copier
//! took from the load what the load needs to keep the dataplane busy; so the load sends trains (see
//! [`crate::load::flood`]), which cost it less than the dataplane, and has precedence over the copier. That the dataplane
//! and not the load was the bottleneck stands in the report: the share of its core that the dataplane used.

use std::net::SocketAddrV4;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::definition::{Background, Scenario};
use super::host::Host;
use super::rows::{Bound, Row, write_json};
use super::stage::stand_aside;
use super::swapping::Watch;
use crate::check::verdict::Verdict;
use crate::error::{Error, Result};
use crate::load::flood::{self, FloodOutcome, FloodPlan, FloodSockets};
use crate::load::live::Live;
use crate::out::stats::Spread;
use crate::scenario::observed::Observed;
use crate::sys::clock::{MILLI, now, process_cpu};
use crate::sys::interrupt::interrupted;
use crate::world::World;
use crate::world::binaries::Binaries;
use crate::world::config::{self, Config, Setting};

const BACKENDS: usize = 2;
/// How long the flows may take to be set up.
const WARM_UP: Duration = Duration::from_secs(60);
/// How often the old process's CPU time is looked at.
const SAMPLE: Duration = Duration::from_millis(2);

/// One swap.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    pub from: &'static str,
    pub to: &'static str,
    pub packets_per_s_before: f64,
    pub packets_per_s_background: f64,
    /// Of the old process, which serves in both windows.
    pub packets_per_cpu_s_before: f64,
    pub packets_per_cpu_s_background: f64,
    /// Share of its core that it used before.
    pub busy_before: f64,
    pub background_ms: f64,
    pub copy_ms: f64,
    pub passes: u32,
    pub blackout_us: f64,
    pub old_gone_ms: f64,
}

/// What came of a run.
#[derive(Debug, Serialize)]
pub struct BackgroundRun {
    pub scenario: Scenario,
    pub host: Host,
    /// Swaps that went through.
    pub committed: usize,
    /// Those of them whose phases were long enough to be measured.
    pub samples: Vec<Sample>,
    pub verdict: Verdict,
    pub failures: Vec<String>,
    #[serde(skip)]
    log: String,
}

/// A swap, the window before it, and the old process's CPU time as it ran: (when, ns).
struct Watched {
    observed: Observed,
    before: (u64, u64),
    cpu: Vec<(u64, u64)>,
}

/// Runs the scenario from start to verdict.
pub fn run(
    scenario: &Scenario,
    spec: &Background,
    binaries: &Binaries,
    host: &Host,
    watch: &mut dyn Watch,
) -> Result<BackgroundRun> {
    let place = stand_aside(host);
    if place.cores < 2 {
        return Err(Error::World("needs two cores: one for the dataplane, one for the load".to_owned()));
    }
    let sockets = FloodSockets::bind(BACKENDS, spec.payload_bytes)?;
    let port = config::free_port()?;
    let backends = sockets.backend_addresses()?;
    watch.stage("starting controld and dataplane v1");
    let world = World::start(binaries, |dir| {
        let setting = Setting {
            name: &scenario.name,
            dir,
            dataplane: &binaries.dataplane_v1,
            port,
            backends: &backends,
            cpu: place.dut,
            background_cpu: place.background,
            scheduling: &scenario.dataplane.scheduling,
            probation: spec.probation,
        };
        Config::of(&scenario.dataplane, &setting)
    })?;
    let plan = FloodPlan {
        flows: spec.flows,
        payload: spec.payload_bytes,
        window: spec.window,
        train: spec.train,
        service: SocketAddrV4::new(scenario.dataplane.addresses[0], port),
        origin_ns: now(),
        cpu: place.generator,
        realtime: host.realtime_permitted,
    };
    let live = Arc::new(Live::default());
    let (outcome, swaps, mut faults) = std::thread::scope(|scope| {
        let load = scope.spawn(|| flood::run(plan, &sockets, &live));
        let mut faults = Vec::new();
        let swaps = conduct(spec, binaries, &world, &live, watch, &mut faults);
        watch.stage("waiting for what is in flight");
        live.stop();
        let outcome = load.join().unwrap_or_else(|_| Err(Error::World("the load panicked".to_owned())));
        (outcome, swaps, faults)
    });
    let (outcome, swaps) = (outcome?, swaps?);
    let log = world.log();
    if let Err(error) = world.end() {
        faults.push(error.to_string());
    }
    let mut failures = outcome.verdict.failures();
    failures.extend(swaps.iter().filter_map(|swap| swap.observed.fault()));
    failures.append(&mut faults);
    let samples = swaps.iter().filter_map(|swap| swap.sample(&outcome)).collect();
    let committed = swaps.iter().filter(|swap| swap.observed.report().committed()).count();
    let (scenario, host, verdict) = (scenario.clone(), host.clone(), outcome.verdict);
    Ok(BackgroundRun { scenario, host, committed, samples, verdict, failures, log })
}

fn conduct(
    spec: &Background,
    binaries: &Binaries,
    world: &World,
    live: &Live,
    watch: &mut dyn Watch,
    faults: &mut Vec<String>,
) -> Result<Vec<Watched>> {
    let wait = |time: Duration, watch: &mut dyn Watch| {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if interrupted() {
                return Err(Error::Interrupted);
            }
            watch.glance(live.glance());
            std::thread::sleep(Duration::from_millis(20).min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    };
    watch.stage(&format!("setting up {} flows", spec.flows));
    let deadline = Instant::now() + WARM_UP;
    while live.glance().flows_live < spec.flows as u64 {
        if Instant::now() > deadline {
            let set_up = live.glance().flows_live;
            let log = world.log_tail();
            return Err(Error::World(format!("only {set_up} of {} flows got a reply; {log}", spec.flows)));
        }
        wait(Duration::from_millis(20), watch)?;
    }
    let mut swaps = Vec::new();
    let mut pid = world.status()?.dataplane.map_or(0, |dataplane| dataplane.pid);
    for number in 1..=spec.swaps {
        let (direction, binary) = match number % 2 {
            1 => (("v1", "v2"), &binaries.dataplane),
            _ => (("v2", "v1"), &binaries.dataplane_v1),
        };
        watch.stage(&format!("swap {number}/{} {}→{}", spec.swaps, direction.0, direction.1));
        let done = AtomicBool::new(false);
        let (waited, swap, cpu, before) = std::thread::scope(|scope| {
            let sampler = scope.spawn(|| sample_cpu(pid, &done));
            let from = now();
            let waited = wait(spec.before, watch);
            let before = (from, now());
            let swap = waited.is_ok().then(|| world.swap(binary));
            done.store(true, Relaxed);
            (waited, swap, sampler.join().unwrap_or_default(), before)
        });
        waited?;
        let swap = match swap.expect("asked for, since the wait was not interrupted") {
            Ok(swap) => swap,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                faults.push(format!("swap {number}: {error}"));
                break;
            }
        };
        pid = swap.report.to.pid;
        let observed = Observed { number, direction, swap, flows_live: live.glance().flows_live };
        watch.swapped(&observed, spec.swaps);
        swaps.push(Watched { observed, before, cpu });
    }
    Ok(swaps)
}

/// The CPU time of a process from now on until it is gone or enough was seen.
fn sample_cpu(pid: u32, done: &AtomicBool) -> Vec<(u64, u64)> {
    let mut samples = Vec::new();
    while !done.load(Relaxed) {
        let Ok(cpu) = process_cpu(pid) else { break };
        samples.push((now(), cpu));
        std::thread::sleep(SAMPLE);
    }
    samples
}

/// CPU time between the samples next to both ends of a window, and the time between them, ns.
fn cpu_within(samples: &[(u64, u64)], (from, to): (u64, u64)) -> Option<(u64, u64)> {
    let first = samples.iter().find(|sample| sample.0 >= from)?;
    let last = samples.iter().rev().find(|sample| sample.0 <= to)?;
    (last.0 > first.0).then(|| (last.1 - first.1, last.0 - first.0))
}

impl Watched {
    fn sample(&self, outcome: &FloodOutcome) -> Option<Sample> {
        let report = self.observed.report();
        let window = report.background_ns()?;
        let rate = |window| outcome.packets.mean_rate(&[window]);
        let busy = |window| cpu_within(&self.cpu, window).map_or(f64::NAN, |(cpu, wall)| cpu as f64 / wall as f64);
        let (before, during) = (rate(self.before)?, rate(window)?);
        Some(Sample {
            from: self.observed.direction.0,
            to: self.observed.direction.1,
            packets_per_s_before: before,
            packets_per_s_background: during,
            packets_per_cpu_s_before: before / busy(self.before),
            packets_per_cpu_s_background: during / busy(window),
            busy_before: busy(self.before),
            background_ms: (window.1 - window.0) as f64 / MILLI as f64,
            copy_ms: report.translated().map(|work| work.elapsed_ns).sum::<u64>() as f64 / MILLI as f64,
            passes: report.background_passes,
            blackout_us: report.blackout_ns as f64 / 1e3,
            old_gone_ms: report.old_gone_ms,
        })
    }
}

impl BackgroundRun {
    /// Writes all of it, raw samples included.
    pub fn write(&self, dir: &Path) -> Result<()> {
        write_json(&dir.join("report.json"), self)?;
        let log = dir.join("controld.log");
        std::fs::write(&log, &self.log)
            .map_err(|source| Error::Io { what: format!("writing {}", log.display()), source })
    }

    /// The figures; ratios are of each swap, medians over all.
    pub fn rows(&self) -> Vec<Row> {
        let (name, host) = (&self.scenario.name, &self.host);
        let median = |figure: fn(&Sample) -> f64| {
            let values: Vec<f64> = self.samples.iter().map(figure).collect();
            Spread::of(&values).unwrap_or(Spread { median: f64::NAN, min: f64::NAN, max: f64::NAN })
        };
        let compared = |metric: &str, ours: fn(&Sample) -> f64, before: fn(&Sample) -> f64, bound: Bound| {
            let ratios: Vec<f64> = self.samples.iter().map(|sample| ours(sample) / before(sample)).collect();
            let row = Row::compared(name, metric, (median(ours).median, median(before).median), bound, host);
            match Spread::of(&ratios) {
                Some(Spread { median, min, max }) => {
                    Row { ratio: Some(median), spread: Some([min, max]), holds: Some(bound.holds(median)), ..row }
                }
                None => row,
            }
        };
        let figure = |metric: &str, of: fn(&Sample) -> f64, bound: Bound| {
            let Spread { median, min, max } = median(of);
            Row { spread: Some([min, max]), ..Row::figure(name, metric, median, bound, host) }
        };
        let limit = |key: &str, bound: fn(f64) -> Bound| self.scenario.bound(key).map_or(Bound::None, bound);
        let swaps = self.scenario.background.as_ref().map_or(0, |spec| spec.swaps);
        vec![
            compared(
                "packets_per_s_background",
                |s| s.packets_per_s_background,
                |s| s.packets_per_s_before,
                limit("rate_ratio_min", Bound::AtLeast),
            ),
            compared(
                "packets_per_cpu_s_background",
                |s| s.packets_per_cpu_s_background,
                |s| s.packets_per_cpu_s_before,
                Bound::None,
            ),
            figure("dataplane_busy_before", |s| s.busy_before, limit("busy_min", Bound::AtLeast)),
            figure("background_ms", |s| s.background_ms, Bound::None),
            figure("copy_ms", |s| s.copy_ms, Bound::None),
            figure("blackout_us", |s| s.blackout_us, Bound::None),
            Row::figure(name, "swaps_committed", self.committed as f64, Bound::AtLeast(f64::from(swaps)), host),
            Row::figure(name, "failures", self.failures.len() as f64, Bound::Exactly(0.0), host),
        ]
    }

    pub fn to_text(&self) -> String {
        let line = |sample: &Sample| {
            let Sample { from, to, packets_per_s_before, packets_per_s_background, background_ms, passes, .. } = sample;
            format!(
                "{from}→{to}  before {:>7.0} packets/s  in the background phase {:>7.0}  ratio {:.3}  ({background_ms:.0} ms, {passes} passes)",
                packets_per_s_before,
                packets_per_s_background,
                packets_per_s_background / packets_per_s_before
            )
        };
        let failed = self.failures.iter().map(|failure| format!("FAILED: {failure}"));
        self.samples.iter().map(line).chain(failed).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::SECOND;

    #[test]
    fn cpu_time_is_taken_from_the_samples_inside_a_window() {
        let samples: Vec<(u64, u64)> = (0..10).map(|i| (i * SECOND, i * SECOND / 2)).collect();
        let half = |window| cpu_within(&samples, window).map(|(cpu, wall)| (cpu * 2 == wall, wall));
        assert_eq!(half((SECOND / 2, 5 * SECOND + 1)), Some((true, 4 * SECOND)));
        assert_eq!(half((9 * SECOND, 20 * SECOND)), None, "one sample is no time");
        assert_eq!(half((20 * SECOND, 30 * SECOND)), None);
    }
}
