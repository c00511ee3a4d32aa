//! The clients: one thread that sends what the schedule says and judges what comes back.
//!
//! Open loop: the schedule is absolute. What is late is sent late, with its own due time in the token, and the
//! lateness is recorded; nothing is ever left out because replies are slow. Arrival times are the kernel's, so
//! the thread's own wake-ups do not show in the figures of the system under test.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;

use super::buckets::Buckets;
use super::latency::{Feeling, Felt, Nanos};
use super::live::{Glance, Live, PERIODS};
use super::schedule::{Mix, Schedule, Slot};
use super::trains::{Trains, cut_into};
use super::{client_address, service_of};
use crate::check::client::{ClientOracle, Outcome};
use crate::error::{Doing, Result};
use crate::sys::clock::{MILLI, StampClock, now, sleep_until};
use crate::sys::mmsg::RxBatch;
use crate::sys::socket::{Wants, address, udp};
use crate::sys::{place, raw};
use crate::token::{Key, PAYLOAD_MAX};

const BATCH: usize = 64;
/// Slots sent before the sockets are looked at again, when the generator has fallen behind.
const SLOTS_PER_TURN: usize = 1024;
/// Longest sleep between two turns.
const NAP_NS: u64 = 2 * MILLI;
/// How long to go on listening after the last reply arrived, for what should not come.
const SETTLE_NS: u64 = 150 * MILLI;

#[derive(Debug, Clone)]
pub struct GeneratorPlan {
    pub mix: Mix,
    pub services: Vec<SocketAddrV4>,
    pub payload: usize,
    /// Client sockets; each has a port of its own and carries its share of the flows.
    pub sockets: usize,
    pub key: Key,
    /// Origin of the time series, as the backends'.
    pub origin_ns: u64,
    /// When the first request is due.
    pub start_ns: u64,
    /// After this long without packets the system under test may forget a flow.
    pub idle_timeout_ns: u64,
    /// After the last request, how long without any reply until what is missing is lost.
    pub patience_ns: u64,
    pub cpu: usize,
    pub realtime: bool,
}

#[derive(Debug)]
pub struct GeneratorOutcome {
    pub oracle: ClientOracle,
    pub felt: [Felt; PERIODS],
    /// How late requests were sent.
    pub lateness: Nanos,
    pub arrivals: Buckets,
    pub send_failures: u64,
    pub socket_drops: u64,
    pub scheduling: &'static str,
}

struct ClientSocket {
    socket: UdpSocket,
    port: u16,
    tx: Trains,
    /// Due times of what is queued.
    dues: Vec<u64>,
}

struct Generator {
    plan: GeneratorPlan,
    live: Arc<Live>,
    sockets: Vec<ClientSocket>,
    rx: RxBatch,
    stamps: StampClock,
    schedule: Schedule,
    /// Flow number of each short flow.
    shorts: Vec<usize>,
    /// When the system under test may have forgotten which short flow.
    forgettable: VecDeque<(u64, usize)>,
    feeling: Feeling,
    flows_live: u64,
    bad: u64,
    outcome: GeneratorOutcome,
}

/// Binds the client sockets; what can fail, fails here and not in the thread.
pub fn bind(plan: &GeneratorPlan) -> Result<Vec<UdpSocket>> {
    let wants = Wants { destination: true, stamps: true };
    let bind = |_| {
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let socket = udp(any, wants).doing(|| "binding a client socket".to_owned())?;
        if plan.mix.train > 1 {
            cut_into(&socket, plan.payload)?;
        }
        Ok(socket)
    };
    (0..plan.sockets).map(bind).collect()
}

/// Runs until [`Live::stop`] and until everything in flight has arrived, or patience ends.
pub fn run(plan: GeneratorPlan, sockets: Vec<UdpSocket>, live: Arc<Live>) -> Result<GeneratorOutcome> {
    let scheduling = place::settle(plan.cpu, plan.realtime);
    Generator::new(plan, sockets, live, scheduling)?.run()
}

impl Generator {
    fn new(plan: GeneratorPlan, sockets: Vec<UdpSocket>, live: Arc<Live>, scheduling: &'static str) -> Result<Self> {
        let sockets = sockets.into_iter().map(|socket| {
            Ok(ClientSocket {
                port: address(&socket).doing(|| "a client socket's address".to_owned())?.port(),
                socket,
                tx: Trains::new(plan.mix.train),
                dues: Vec::with_capacity(BATCH),
            })
        });
        let outcome = GeneratorOutcome {
            oracle: ClientOracle::new(plan.key),
            felt: Default::default(),
            lateness: Nanos::default(),
            arrivals: Buckets::new(plan.origin_ns),
            send_failures: 0,
            socket_drops: 0,
            scheduling,
        };
        let mut generator = Self {
            live,
            sockets: sockets.collect::<Result<_>>()?,
            rx: RxBatch::new(BATCH, PAYLOAD_MAX + 1),
            stamps: StampClock::new(),
            schedule: Schedule::new(plan.mix, plan.start_ns),
            shorts: Vec::new(),
            forgettable: VecDeque::new(),
            feeling: Feeling::default(),
            flows_live: 0,
            bad: 0,
            outcome,
            plan,
        };
        let steady = generator.plan.mix.steady;
        generator.outcome.oracle.expect(steady);
        generator.feeling.expect(steady);
        for _ in 0..steady {
            generator.open();
        }
        Ok(generator)
    }

    fn run(mut self) -> Result<GeneratorOutcome> {
        let mut progress = (0, now());
        let mut paused_at = None;
        loop {
            let now = now();
            self.stamps.refresh(now);
            self.receive(now)?;
            if self.live.paused() && !self.live.stopped() {
                paused_at.get_or_insert(now);
                self.feeling.trickle();
                self.publish();
                progress.1 = now;
                sleep_until(now + NAP_NS);
                continue;
            }
            if let Some(at) = paused_at.take() {
                self.schedule.postpone(now - at);
                self.feeling.resume(now);
            }
            if self.live.stopped() {
                self.feeling.trickle();
                let counts = *self.outcome.oracle.counts();
                if counts.received != progress.0 {
                    progress = (counts.received, now);
                }
                let wait = if counts.lost() == 0 { SETTLE_NS } else { self.plan.patience_ns };
                if now >= progress.1 + wait {
                    break;
                }
                sleep_until(now + MILLI);
            } else {
                self.feeling.turn(self.live.period());
                self.send(now);
                progress.1 = now;
                sleep_until(self.schedule.next_due().min(now + NAP_NS));
            }
        }
        for client in &self.sockets {
            self.outcome.send_failures += client.tx.failed();
            self.outcome.socket_drops += raw::drops(std::os::fd::AsFd::as_fd(&client.socket))
                .doing(|| "a client socket's drop count".to_owned())?;
        }
        self.outcome.felt = self.feeling.finish();
        Ok(self.outcome)
    }

    /// A new flow, with the next client address.
    fn open(&mut self) -> usize {
        let number = self.outcome.oracle.flows().len();
        let port = self.sockets[number % self.sockets.len()].port;
        let client = SocketAddrV4::new(client_address(number), port);
        self.outcome.oracle.open(client, service_of(number, &self.plan.services))
    }

    fn send(&mut self, now: u64) {
        for _ in 0..SLOTS_PER_TURN {
            let Some((due, slot)) = self.schedule.take(now) else {
                break;
            };
            let flow = match slot {
                Slot::Steady(flow) => flow,
                Slot::Open(_) => {
                    let flow = self.open();
                    self.shorts.push(flow);
                    self.forgettable.push_back((due + self.plan.idle_timeout_ns, flow));
                    flow
                }
                Slot::Short(short) => self.shorts[short],
            };
            self.queue(flow, due);
        }
        for socket in 0..self.sockets.len() {
            self.flush(socket);
        }
        while self.forgettable.front().is_some_and(|&(at, _)| at <= now) {
            let (_, flow) = self.forgettable.pop_front().expect("looked at above");
            self.flows_live -= u64::from(self.feeling.answered(flow));
        }
        self.publish();
    }

    fn publish(&self) {
        let counts = self.outcome.oracle.counts();
        self.live.raise_in_flight(counts.lost());
        self.live.publish(Glance {
            sent: counts.sent,
            received: counts.received,
            bad: self.bad,
            flows_live: self.flows_live,
        });
    }

    fn queue(&mut self, flow: usize, due: u64) {
        let index = flow % self.sockets.len();
        if self.sockets[index].tx.is_full() {
            self.flush(index);
        }
        let client = &mut self.sockets[index];
        let state = &self.outcome.oracle.flows()[flow];
        let (to, from) = (state.service, Some(*state.client.ip()));
        let payload = client.tx.add(to, from, self.plan.payload, &client.socket);
        self.outcome.oracle.request(flow, due, payload);
        client.dues.push(due);
    }

    fn flush(&mut self, index: usize) {
        let client = &mut self.sockets[index];
        if client.tx.is_empty() {
            return;
        }
        let at = now();
        for due in client.dues.drain(..) {
            self.outcome.lateness.add(at.saturating_sub(due));
        }
        client.tx.flush(&client.socket);
        self.outcome.oracle.sent(client.tx.take_sent());
    }

    fn receive(&mut self, now: u64) -> Result<()> {
        for index in 0..self.sockets.len() {
            loop {
                let n =
                    self.rx.receive(&self.sockets[index].socket).doing(|| "receiving at a client socket".to_owned())?;
                for i in 0..n {
                    self.judge(index, i, now);
                }
                if n < self.rx.slots() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn judge(&mut self, index: usize, i: usize, now: u64) {
        let datagram = self.rx.datagram(i);
        let at = datagram.stamp.map_or(now, |stamp| self.stamps.monotonic(stamp));
        let to = SocketAddrV4::new(datagram.to.unwrap_or(Ipv4Addr::UNSPECIFIED), self.sockets[index].port);
        let payload = self.rx.payload(&datagram);
        let (outcome, token) = self.outcome.oracle.reply(to, datagram.from, payload);
        match (outcome, token) {
            (Outcome::Good | Outcome::Late, Some(token)) => {
                let first = self.feeling.reply(self.live.period(), &token, at);
                self.flows_live += u64::from(first);
            }
            _ => self.bad += 1,
        }
        if outcome != Outcome::Foreign {
            self.outcome.arrivals.add(at);
        }
    }
}
