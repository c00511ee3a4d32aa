//! One service under one load, with everything that is watched while it runs: what scenarios with swaps are played on.
//! Scenes are called in order; a scenario may have several stages and play them in turn, all but one paused.

use std::time::{Duration, Instant};

use super::definition::{Load, Scenario, Swapping};
use super::host::{Host, udp_errors};
use super::observed::Observed;
use super::swapping::{Spans, SwapRun, Watch};
use crate::error::{Error, Result};
use crate::load::backend::BackendPlan;
use crate::load::generator::GeneratorPlan;
use crate::load::live::Period;
use crate::load::session::{Backends, Session};
use crate::sys::clock::{MILLI, SECOND, now};
use crate::sys::interrupt::interrupted;
use crate::sys::place::{self, Placement};
use crate::token::Key;
use crate::world::World;
use crate::world::binaries::Binaries;
use crate::world::config::{self, Config, Setting};

/// A flow is taken as live only if it was used within the idle timeout less this.
const LIVE_MARGIN: Duration = Duration::from_secs(1);
/// How long no flow at all may be set up, beyond the turn in which each of those that are missing sends once more.
const WARM_UP_MARGIN: Duration = Duration::from_secs(10);
/// How often a long set-up says how far it is.
const WARM_UP_SAYS: Duration = Duration::from_secs(5);
/// With all flows set up, or after a pause: how long until figures are taken.
const SETTLE: Duration = Duration::from_millis(500);
/// After the last request: how long without a reply until what is missing is lost.
const PATIENCE_NS: u64 = 2 * SECOND;
/// How often a waiting run looks around.
const LOOK: Duration = Duration::from_millis(10);

pub(super) struct Stage<'a> {
    parts: Swapping<'a>,
    binaries: &'a Binaries,
    world: World,
    session: Session,
    scheduling: String,
    errors_before: Vec<(String, u64)>,
    spans: Spans,
    swaps: Vec<Observed>,
    faults: Vec<String>,
}

/// Binds this thread to the core under test: for measurements of this process itself.
pub(super) fn settle_on(host: &Host) {
    // Where it is refused, noise is the only harm.
    let _ = place::pin(&[host.placement().dut]);
}

/// Keeps the calling thread, and what it starts, beside the load: the core under test is left alone. Returns who runs
/// where, which cannot be told from this thread afterwards.
pub(super) fn stand_aside(host: &Host) -> Placement {
    let place = host.placement();
    let others: Vec<usize> = place::allowed().into_iter().filter(|&cpu| cpu != place.dut).collect();
    if !others.is_empty() {
        // Where it is refused, noise on the core under test is the only harm.
        let _ = place::pin(&others);
    }
    place
}

impl<'a> Stage<'a> {
    /// Starts backends, service and load.
    pub(super) fn start(
        scenario: &'a Scenario,
        binaries: &'a Binaries,
        host: &Host,
        place: Placement,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let parts = scenario
            .swapping()
            .ok_or_else(|| Error::Usage(format!("{} is not a scenario with swaps", scenario.name)))?;
        let key = Key::random().map_err(|source| Error::Io { what: "making a key".to_owned(), source })?;
        let origin_ns = now();
        let backend = BackendPlan {
            id: 0,
            delay_ns: parts.backends.reply_delay.as_nanos() as u64,
            key,
            origin_ns,
            flows: parts.load.flows,
            train: parts.load.train,
            payload: parts.load.payload_bytes,
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
        let spans = Spans { origin_ns, ..Spans::default() };
        Ok(Self {
            parts,
            binaries,
            world,
            session,
            scheduling,
            errors_before,
            spans,
            swaps: Vec::new(),
            faults: Vec::new(),
        })
    }

    /// Waits until every flow has had a reply.
    pub(super) fn warm_up(&mut self, watch: &mut dyn Watch) -> Result<()> {
        let flows = self.parts.load.flows as u64;
        watch.stage(&format!("setting up {flows} flows"));
        let patience = WARM_UP_MARGIN + self.parts.load.turn() * self.parts.load.train as u32;
        let (mut most, mut deadline) = (0, Instant::now() + patience);
        let mut said = Instant::now();
        loop {
            let live = self.session.live.glance().flows_live;
            if live >= flows {
                break;
            }
            if live > most {
                (most, deadline) = (live, Instant::now() + patience);
            }
            if Instant::now() > deadline {
                let why = format!("only {live} of {flows} flows got a reply");
                return Err(Error::World(format!("{why}; controld's log: {}", self.world.log_tail())));
            }
            if said.elapsed() > WARM_UP_SAYS {
                said = Instant::now();
                watch.stage(&format!("setting up {flows} flows: {live}"));
            }
            self.wait(LOOK, watch)?;
        }
        self.wait(SETTLE, watch)
    }

    /// The load without a swap, for comparison.
    pub(super) fn without(&mut self, watch: &mut dyn Watch) -> Result<()> {
        watch.stage("no swap, for comparison");
        self.session.live.enter(Period::Control);
        self.spans.before.0 = now();
        self.wait(self.parts.swaps.before, watch)?;
        self.spans.before.1 = now();
        Ok(())
    }

    /// The next `count` swaps, each at its time of an absolute schedule; the first that fails is the last. False then.
    pub(super) fn swap(&mut self, count: u32, watch: &mut dyn Watch) -> Result<bool> {
        self.session.live.enter(Period::Swapping);
        let mut next = Instant::now();
        for _ in 0..count {
            let (number, of) = (self.swaps.len() as u32 + 1, self.parts.swaps.count);
            let (direction, binary) = match number % 2 {
                1 => (("v1", "v2"), &self.binaries.dataplane),
                _ => (("v2", "v1"), &self.binaries.dataplane_v1),
            };
            self.wait(next.saturating_duration_since(Instant::now()), watch)?;
            next += self.parts.swaps.every;
            watch.stage(&format!("swap {number}/{of} {}→{}", direction.0, direction.1));
            let glance = self.session.live.glance();
            watch.glance(glance);
            let swap = match self.world.swap(binary) {
                Ok(swap) => swap,
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    self.faults.push(format!("swap {number}: {error}"));
                    return Ok(false);
                }
            };
            let observed = Observed { number, direction, swap, flows_live: glance.flows_live };
            watch.swapped(&observed, of);
            let go_on = observed.report().committed();
            self.swaps.push(observed);
            if !go_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The load after the last swap.
    pub(super) fn after(&mut self, watch: &mut dyn Watch) -> Result<()> {
        watch.stage("after the last swap");
        self.session.live.enter(Period::After);
        self.spans.after.0 = now();
        self.wait(self.parts.swaps.after, watch)?;
        self.spans.after.1 = now();
        Ok(())
    }

    /// Stops the load for a while, and waits until nothing is in flight or what is missing is lost.
    pub(super) fn pause(&mut self, watch: &mut dyn Watch) -> Result<()> {
        self.session.live.pause();
        let deadline = Instant::now() + Duration::from_nanos(PATIENCE_NS);
        // At least once: what was sent last is not counted yet.
        self.wait(SETTLE, watch)?;
        while Instant::now() < deadline {
            let glance = self.session.live.glance();
            if glance.sent == glance.received {
                return Ok(());
            }
            self.wait(LOOK, watch)?;
        }
        Ok(())
    }

    /// Goes on after a pause.
    pub(super) fn resume(&mut self, watch: &mut dyn Watch) -> Result<()> {
        self.session.live.resume();
        self.wait(SETTLE, watch)
    }

    /// Ends load and service, and judges.
    pub(super) fn finish(self, watch: &mut dyn Watch) -> Result<SwapRun> {
        let Self { world, session, scheduling, errors_before, spans, swaps, mut faults, parts: _, binaries: _ } = self;
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

    /// Waits, shows progress, and notices the end of the world.
    fn wait(&self, time: Duration, watch: &mut dyn Watch) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            if interrupted() {
                return Err(Error::Interrupted);
            }
            if self.session.ended() {
                return Err(Error::World("the generator ended early".to_owned()));
            }
            watch.glance(self.session.live.glance());
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
