//! The life of a worker thread: arm, wait for the switch, serve, stand aside, end.

use super::background;
use super::orders::{Event, Orders, Outbox};
use super::stand_down::{Standing, stand_down, withdrawn};
use super::take_over::{Switch, Won};
use crate::config::Scheduling;
use crate::core::forward::Forwarder;
use crate::io::sched;
use crate::io::socket_set::SocketSet;
use crate::io::uring::IoShape;
use crate::io::worker::Worker;
use crate::state::flow::FlowRecord;
use handover::messages::Fault;
use handover::switch::StoodDown;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use shm_state::manifest::{Manifest, Request};
use shm_state::owner::{OwnerState, Party};
use shm_state::segment::Segment;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Datagrams that a worker takes last before it stops, where many wait.
const LAST: u16 = 16;
/// Datagrams that a successor takes when it enters first: what is more waits for its first turn, which comes at once.
const FIRST: u16 = 64;

/// All that a worker thread needs.
#[derive(Debug)]
pub struct Seat<R> {
    pub manifest: Manifest,
    pub me: Party,
    pub number: usize,
    pub workers: u32,
    pub cpu: Option<u32>,
    pub scheduling: Scheduling,
    pub orders: Arc<Orders>,
    pub outbox: Outbox,
    pub forwarder: Forwarder<R>,
    pub sockets: Arc<SocketSet>,
    pub io: Segment,
    pub shape: IoShape,
}

/// How a worker comes to serve.
#[derive(Debug)]
pub enum Start {
    /// Its process holds the region already, as this generation.
    Now { generation: u64 },
    /// When it is told to make the switch.
    AfterSwitch { switch: Receiver<Switch> },
}

impl<R: FlowRecord> Seat<R> {
    /// Lives the life of a worker; the thread's body.
    pub fn live(self, start: Start) {
        let outbox = self.outbox.clone();
        let event = match self.run(start) {
            Ok(()) => Event::Stopped,
            Err(fault) => Event::Failed { fault },
        };
        outbox.tell(event);
    }

    fn run(self, start: Start) -> Result<(), Fault> {
        let Self { manifest, me, number, workers, cpu, scheduling, orders, outbox, forwarder, sockets, io, shape } =
            self;
        let home = sched_getaffinity(Pid::from_raw(0)).ok();
        // Made and armed beside the packet threads' processors: a busy predecessor would leave no time for it there.
        let mut worker = Worker::new(forwarder, sockets, &io, &shape, manifest.clone()).map_err(ring_fault)?;
        worker.arm().map_err(ring_fault)?;
        let (mut generation, took_over) = match start {
            Start::Now { generation } => {
                pin(cpu)?;
                let fifo = schedule(scheduling, sched::fifo)?;
                worker.resume(generation);
                outbox.tell(Event::Serving { fifo });
                (generation, None)
            }
            Start::AfterSwitch { switch } => {
                // In its place and class before anything depends on it. Above the predecessor's: on the same processor
                // it has to come to its turn although that one never pauses. Waiting costs nobody anything.
                pin(cpu)?;
                let fifo = schedule(scheduling, sched::fifo_above)?;
                worker.narrow(FIRST);
                outbox.tell(Event::Armed);
                // The sender is dropped when the swap is off.
                let Ok(switch) = switch.recv() else { return Ok(()) };
                match switch.make(&manifest) {
                    Ok(Won { generation, mut report, repair, spent }) => {
                        report.entered_ns = worker.enter(generation).map_err(ring_fault)?;
                        if fifo {
                            schedule(scheduling, sched::fifo)?;
                        }
                        report.blackout_ns = match report.last_return_ns {
                            0 => 0,
                            from => report.entered_ns.saturating_sub(from),
                        };
                        (generation, Some((report, fifo, repair, spent)))
                    }
                    Err(fault) => {
                        leave(&home, cpu);
                        outbox.tell(Event::Undone { fault });
                        return worker.disarm().map_err(ring_fault);
                    }
                }
            }
        };
        if let Some((mut report, fifo, repair, spent)) = took_over {
            // What waited in the sockets comes first; where nothing did, nobody waits for it.
            if worker.has_arrivals() {
                worker.turn().map_err(ring_fault)?;
            }
            report.first_packet_ns = worker.first_packet_ns();
            outbox.tell(Event::TookOver { report: Box::new(report), fifo, repair, spent });
        }
        loop {
            let taken = worker.turn().map_err(ring_fault)?;
            if let Some(report) = worker.forwarder().recovered() {
                outbox.tell(Event::Recovered { report: Box::new(report) });
            }
            if orders.stopped() {
                worker.finish().map_err(ring_fault)?;
                return Ok(());
            }
            let Some((request, quiesce)) = asked(&manifest, &orders, me, generation) else {
                worker.widen();
                worker.tend(taken);
                continue;
            };
            if request.generation != generation {
                generation = request.generation;
                worker.resume(generation);
            }
            // What comes after the last batch was taken waits until that batch is sent: after a large one only a little more
            // is taken, and that is the last.
            if taken > usize::from(LAST) && !worker.is_narrow() && worker.narrow(LAST) {
                continue;
            }
            let standing = Standing { me, generation, worker: number, workers };
            match stand_down(&mut worker, &manifest, &orders, standing, request, quiesce).map_err(ring_fault)? {
                StoodDown::Resumed(now) => {
                    generation = now;
                    worker.resume(generation);
                    outbox.tell(Event::Resumed { fault: withdrawn(request.party) });
                }
                StoodDown::Parked(generation) => {
                    outbox.tell(Event::Parked { generation });
                    while !orders.stopped() {
                        orders.wait();
                    }
                    leave(&home, cpu);
                    return worker.disarm().map_err(ring_fault);
                }
            }
        }
    }
}

/// The request to stop that this worker, serving as `generation`, has to heed.
fn asked(manifest: &Manifest, orders: &Orders, me: Party, generation: u64) -> Option<(Request, Duration)> {
    let request = manifest.handover().request()?;
    let quiesce = orders.expected(request.party)?;
    // Another worker of this process may have resumed meanwhile, under a later generation.
    let held = OwnerState::Held { party: me, generation: request.generation };
    (request.generation == generation || manifest.owner() == held).then_some((request, quiesce))
}

/// Taking down rings and mappings must not disturb whoever serves, nor wait for its processor.
fn leave(home: &Option<CpuSet>, cpu: Option<u32>) {
    if let Some(home) = home {
        let _ = sched_setaffinity(Pid::from_raw(0), home);
    }
    background::keep_off(cpu.as_slice());
    let _ = sched::idle();
}

/// Enters the packet threads' scheduling class by `enter`; true for SCHED_FIFO.
fn schedule(scheduling: Scheduling, enter: fn() -> io::Result<()>) -> Result<bool, Fault> {
    match scheduling {
        Scheduling::Other => Ok(false),
        Scheduling::Auto => Ok(enter().is_ok()),
        Scheduling::Fifo => enter().map(|()| true).map_err(|error| {
            let message = format!("runtime.scheduling = \"fifo\" is not permitted here: {error}");
            Fault::kernel("no-realtime", message, "grant CAP_SYS_NICE or RLIMIT_RTPRIO, or set \"auto\"")
        }),
    }
}

fn pin(cpu: Option<u32>) -> Result<(), Fault> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu as usize).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)).map_err(|error| {
        let message = format!("cannot run a worker on processor {cpu} (runtime.cpus): {error}");
        Fault::kernel("no-such-cpu", message, "name processors that this process may use")
    })
}

fn ring_fault(error: io::Error) -> Fault {
    let remedy = "`controlctl doctor` names what this host lacks (kernel, io_uring, RLIMIT_MEMLOCK)";
    Fault::kernel("io-uring", format!("io_uring failed: {error}"), remedy)
}
