//! A paced load through the real service, and swaps while it runs.

use std::time::{Duration, Instant};

use super::definition::{Load, Scenario, Swapping};
use super::host::{Host, udp_errors};
use super::observed::Observed;
use crate::error::{Error, Result};
use crate::load::backend::BackendPlan;
use crate::load::generator::GeneratorPlan;
use crate::load::live::{Glance, Period};
use crate::load::session::{Backends, Session, SessionOutcome};
use crate::sys::clock::{MILLI, SECOND, now};
use crate::sys::interrupt::interrupted;
use crate::sys::place;
use crate::token::Key;
use crate::world::World;
use crate::world::binaries::Binaries;
use crate::world::config::{self, Config, Setting};

/// A flow is taken as live only if it was used within the idle timeout less this.
const LIVE_MARGIN: Duration = Duration::from_secs(1);
/// How long the flows may take to be set up.
const WARM_UP_LIMIT: Duration = Duration::from_secs(10);
/// With all flows set up, how long until figures are taken.
const SETTLE: Duration = Duration::from_millis(500);
/// After the last request: how long without a reply until what is missing is lost.
const PATIENCE_NS: u64 = 2 * SECOND;
/// How often a waiting run looks around.
const LOOK: Duration = Duration::from_millis(10);

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
    let parts =
        scenario.swapping().ok_or_else(|| Error::Usage(format!("{} is not a scenario with swaps", scenario.name)))?;
    let place = host.placement();
    // Whatever this process starts begins beside the load: the core under test is left alone.
    let others: Vec<usize> = place::allowed().into_iter().filter(|&cpu| cpu != place.dut).collect();
    if !others.is_empty() {
        // Where it is refused, noise on the core under test is the only harm.
        let _ = place::pin(&others);
    }

    let key = Key::random().map_err(|source| Error::Io { what: "making a key".to_owned(), source })?;
    let origin_ns = now();
    let backend = BackendPlan {
        id: 0,
        delay_ns: parts.backends.reply_delay.as_nanos() as u64,
        key,
        origin_ns,
        cpu: place.backends,
        realtime: host.realtime_permitted,
    };
    let backends = Backends::start(parts.backends.count, &backend)?;
    let port = config::free_port()?;
    watch.stage("starting controld and dataplane v1");
    let world = World::start(binaries, |dir| {
        let setting = Setting {
            name: &scenario.name,
            dir,
            dataplane: &binaries.dataplane_v1,
            port,
            backends: backends.addresses(),
            cpu: place.dut,
            background_cpu: place.background,
            scheduling: &scenario.dataplane.scheduling,
            probation: parts.swaps.probation,
        };
        Config::of(&scenario.dataplane, &setting)
    })?;
    let status = world.status()?;
    let scheduling = status.dataplane.map_or_else(String::new, |dataplane| dataplane.scheduling);

    let generator = GeneratorPlan {
        mix: parts.load.mix(),
        services: scenario.dataplane.addresses.iter().map(|&ip| std::net::SocketAddrV4::new(ip, port)).collect(),
        payload: parts.load.payload_bytes,
        sockets: client_sockets(parts.load, host.receive_buffer_bytes),
        key,
        origin_ns,
        start_ns: now() + 20 * MILLI,
        idle_timeout_ns: scenario.dataplane.idle_timeout.saturating_sub(LIVE_MARGIN).as_nanos() as u64,
        patience_ns: PATIENCE_NS + backend.delay_ns,
        cpu: place.generator,
        realtime: host.realtime_permitted,
    };
    let errors_before = udp_errors();
    let session = Session::start(generator, backends)?;
    let mut conductor = Conductor { session: &session, world: &world, binaries, watch, faults: Vec::new() };
    let (swaps, mut spans) = conductor.conduct(&parts)?;
    let mut faults = conductor.faults;
    spans.origin_ns = origin_ns;
    watch.stage("waiting for what is in flight");
    let outcome = session.finish()?;
    let counters = world.counters().unwrap_or_default();
    let log = world.log();
    if let Err(error) = world.end() {
        faults.push(error.to_string());
    }
    let udp_errors = udp_errors()
        .into_iter()
        .zip(errors_before)
        .map(|((name, after), (_, before))| (name, after.saturating_sub(before)))
        .collect();
    Ok(SwapRun { outcome, swaps, spans, scheduling, counters, udp_errors, log, faults })
}

struct Conductor<'a> {
    session: &'a Session,
    world: &'a World,
    binaries: &'a Binaries,
    watch: &'a mut dyn Watch,
    faults: Vec<String>,
}

impl Conductor<'_> {
    fn conduct(&mut self, parts: &Swapping<'_>) -> Result<(Vec<Observed>, Spans)> {
        let mut spans = Spans::default();
        self.watch.stage(&format!("setting up {} flows", parts.load.flows));
        let deadline = Instant::now() + WARM_UP_LIMIT;
        while self.session.live.glance().flows_live < parts.load.flows as u64 {
            if Instant::now() > deadline {
                let live = self.session.live.glance().flows_live;
                let why = format!("only {live} of {} flows got a reply", parts.load.flows);
                return Err(Error::World(format!("{why}; controld's log: {}", self.world.log_tail())));
            }
            self.pause(LOOK)?;
        }
        self.pause(SETTLE)?;

        self.watch.stage("no swap, for comparison");
        self.session.live.enter(Period::Control);
        spans.before.0 = now();
        self.pause(parts.swaps.before)?;
        spans.before.1 = now();

        self.session.live.enter(Period::Swapping);
        let swaps = self.swap_all(parts)?;

        self.watch.stage("after the last swap");
        self.session.live.enter(Period::After);
        spans.after.0 = now();
        self.pause(parts.swaps.after)?;
        spans.after.1 = now();
        Ok((swaps, spans))
    }

    /// All swaps, each at its time of an absolute schedule; the first that fails is the last.
    fn swap_all(&mut self, parts: &Swapping<'_>) -> Result<Vec<Observed>> {
        let count = parts.swaps.count;
        let mut swaps = Vec::with_capacity(count as usize);
        let mut next = Instant::now();
        for number in 1..=count {
            let (direction, binary) = match number % 2 {
                1 => (("v1", "v2"), &self.binaries.dataplane),
                _ => (("v2", "v1"), &self.binaries.dataplane_v1),
            };
            self.pause(next.saturating_duration_since(Instant::now()))?;
            next += parts.swaps.every;
            self.watch.stage(&format!("swap {number}/{count} {}→{}", direction.0, direction.1));
            let glance = self.session.live.glance();
            self.watch.glance(glance);
            let swap = match self.world.swap(binary) {
                Ok(swap) => swap,
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    self.faults.push(format!("swap {number}: {error}"));
                    break;
                }
            };
            let observed = Observed { number, direction, swap, flows_live: glance.flows_live };
            self.watch.swapped(&observed, count);
            let go_on = observed.report().committed();
            swaps.push(observed);
            if !go_on {
                break;
            }
        }
        Ok(swaps)
    }

    /// Waits, shows progress, and notices the end of the world.
    fn pause(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            if interrupted() {
                return Err(Error::Interrupted);
            }
            if self.session.ended() {
                return Err(Error::World("the generator ended early".to_owned()));
            }
            self.watch.glance(self.session.live.glance());
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK * 5));
        }
    }
}

/// Client sockets: where the host grants small buffers, enough that a stall of the load itself loses nothing.
fn client_sockets(load: &Load, buffer_bytes: usize) -> usize {
    /// What the kernel charges for a small datagram in a receive queue.
    const CHARGE: u64 = 832;
    const STALL_MS: u64 = 200;
    const MOST: usize = 16;
    let needed = load.requests_per_s * STALL_MS / 1000 * (CHARGE + load.payload_bytes as u64);
    (needed.div_ceil(buffer_bytes.max(1) as u64) as usize).clamp(load.sockets, MOST.max(load.sockets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::demo;

    #[test]
    fn small_buffers_are_made_up_for_by_more_sockets() {
        let scenario = demo(&[]).expect("demo");
        let load = scenario.load.as_ref().expect("a load");
        assert_eq!(client_sockets(load, 16 << 20), 1);
        assert_eq!(client_sockets(load, 425_984), 9);
        assert_eq!(client_sockets(load, 0), 16);
        assert_eq!(client_sockets(&Load { sockets: 20, ..load.clone() }, 0), 20);
    }
}
