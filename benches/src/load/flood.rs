//! As much load as the system under test can take, from a thread that leaves some of its core to others: clients and
//! backends together, a fixed number of requests in flight, a flow's datagrams in trains.
//!
//! A train leaves in one system call and is cut into datagrams by the kernel (UDP_SEGMENT), so that the load costs less
//! of its core than the datagrams, each on its own, cost the system under test. A closed window, as [`super::pump`]'s:
//! no queue can overflow, so every datagram is accounted for. Unlike the pump this one sleeps, always a tick.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::buckets::Buckets;
use super::client_address;
use super::live::{Glance, Live};
use super::trains::{Trains, cut_into};
use crate::check::backend::BackendOracle;
use crate::check::client::{ClientOracle, Outcome};
use crate::check::verdict::Verdict;
use crate::error::{Doing, Result};
use crate::sys::clock::{MILLI, SECOND, now, sleep_until};
use crate::sys::mmsg::RxBatch;
use crate::sys::socket::{Wants, address, udp};
use crate::sys::{place, raw};
use crate::token::{Key, PAYLOAD_MAX, Token};

const BATCH: usize = 64;
/// The thread looks at its sockets this often; the window has to last longer.
const TICK_NS: u64 = MILLI / 4;
/// Batches taken from one socket before the others are looked at.
const BATCHES_AT_ONCE: usize = 16;
/// Without any arrival for this long, what is in flight counts as lost.
const PATIENCE_NS: u64 = SECOND;

#[derive(Debug, Clone)]
pub struct FloodPlan {
    pub flows: usize,
    pub payload: usize,
    /// Requests in flight at most.
    pub window: usize,
    /// Requests of one flow sent together, once all flows are set up.
    pub train: usize,
    pub service: SocketAddrV4,
    pub origin_ns: u64,
    pub cpu: usize,
    pub realtime: bool,
}

#[derive(Debug)]
pub struct FloodOutcome {
    pub verdict: Verdict,
    /// Requests arriving at backends plus replies arriving at clients.
    pub packets: Buckets,
}

/// The sockets of clients and backends.
#[derive(Debug)]
pub struct FloodSockets {
    client: UdpSocket,
    backends: Vec<UdpSocket>,
}

impl FloodSockets {
    /// Binds them; datagrams will be of `payload` bytes.
    pub fn bind(backends: usize, payload: usize) -> Result<Self> {
        let socket = |ip, destination| {
            let wants = Wants { destination, stamps: false };
            let socket = udp(SocketAddrV4::new(ip, 0), wants).doing(|| "binding a socket of the load".to_owned())?;
            cut_into(&socket, payload)?;
            Ok(socket)
        };
        let client = socket(Ipv4Addr::UNSPECIFIED, true)?;
        let backends = (0..backends).map(|_| socket(Ipv4Addr::LOCALHOST, false)).collect::<Result<_>>()?;
        Ok(Self { client, backends })
    }

    pub fn backend_addresses(&self) -> Result<Vec<SocketAddrV4>> {
        self.backends.iter().map(|b| address(b).doing(|| "a backend's address".to_owned())).collect()
    }
}

/// Runs until [`Live::stop`] and until everything in flight has arrived, or patience ends.
pub fn run(plan: FloodPlan, sockets: &FloodSockets, live: &Arc<Live>) -> Result<FloodOutcome> {
    place::settle(plan.cpu, plan.realtime);
    let key = Key::random().doing(|| "making a key".to_owned())?;
    let port = address(&sockets.client).doing(|| "the client socket's address".to_owned())?.port();
    let mut clients = ClientOracle::new(key);
    clients.expect(plan.flows);
    for number in 0..plan.flows {
        clients.open(SocketAddrV4::new(client_address(number), port), plan.service);
    }
    let backend = |id| {
        let mut oracle = BackendOracle::new(key, id as u8);
        oracle.expect(plan.flows);
        oracle
    };
    let backends = (1..=sockets.backends.len()).map(backend).collect();
    let packets = Buckets::new(plan.origin_ns);
    let rx = RxBatch::new(BATCH, PAYLOAD_MAX + 1);
    let flood = Flood {
        sockets,
        key,
        port,
        clients,
        backends,
        packets,
        rx,
        tx: Trains::new(plan.train),
        next: 0,
        live_flows: 0,
        plan,
    };
    flood.run(live)
}

struct Flood<'a> {
    plan: FloodPlan,
    sockets: &'a FloodSockets,
    key: Key,
    port: u16,
    clients: ClientOracle,
    backends: Vec<BackendOracle>,
    packets: Buckets,
    rx: RxBatch,
    tx: Trains,
    /// Trains sent so far.
    next: usize,
    live_flows: u64,
}

impl Flood<'_> {
    fn run(mut self, live: &Live) -> Result<FloodOutcome> {
        let mut progress = now();
        loop {
            let at = now();
            let came = self.receive(at)?;
            if came > 0 {
                progress = at;
            }
            let lost = self.clients.counts().lost();
            if live.stopped() {
                if lost == 0 || at > progress + PATIENCE_NS {
                    break;
                }
            } else {
                self.send(at);
            }
            let counts = self.clients.counts();
            live.publish(Glance {
                sent: counts.sent,
                received: counts.received,
                bad: counts.duplicated + counts.misrouted + counts.foreign,
                flows_live: self.live_flows,
            });
            sleep_until(at + TICK_NS);
        }
        // What should not come may still be on its way.
        sleep_until(now() + 100 * MILLI);
        self.receive(now())?;
        let drops = std::iter::once(&self.sockets.client)
            .chain(&self.sockets.backends)
            .map(|socket| raw::drops(socket.as_fd()).doing(|| "reading drop counts".to_owned()))
            .sum::<Result<u64>>()?;
        let oracles: Vec<_> = self.backends.iter().collect();
        let verdict = Verdict::of(self.clients.counts(), &oracles, drops + self.tx.failed());
        Ok(FloodOutcome { verdict, packets: self.packets })
    }

    /// Fills the window up.
    fn send(&mut self, due: u64) {
        let mut room = self.plan.window.saturating_sub(self.clients.counts().lost() as usize);
        loop {
            // Set up one by one, then in trains.
            let train = if self.next < self.plan.flows { 1 } else { self.plan.train };
            if room < train {
                break;
            }
            room -= train;
            let flow = self.next % self.plan.flows;
            self.next += 1;
            for _ in 0..train {
                let (service, client) = {
                    let state = &self.clients.flows()[flow];
                    (state.service, *state.client.ip())
                };
                let payload = self.tx.add(service, Some(client), self.plan.payload, &self.sockets.client);
                self.clients.request(flow, due, payload);
            }
        }
        self.tx.flush(&self.sockets.client);
        self.clients.sent(self.tx.take_sent());
    }

    /// Answers what reached the backends, judges what reached the clients. Returns how many datagrams came.
    fn receive(&mut self, at: u64) -> Result<usize> {
        let mut came = 0;
        for (socket, oracle) in self.sockets.backends.iter().zip(&mut self.backends) {
            for _ in 0..BATCHES_AT_ONCE {
                let n = self.rx.receive(socket).doing(|| "receiving at a backend".to_owned())?;
                for i in 0..n {
                    let datagram = self.rx.datagram(i);
                    let Some(reply) = oracle.request(datagram.from, at, self.rx.payload(&datagram)) else { continue };
                    self.packets.add(at);
                    reply.encode(self.key, self.tx.add(datagram.from, None, reply.len, socket));
                }
                came += n;
                if n < self.rx.slots() {
                    break;
                }
            }
            self.tx.flush(socket);
        }
        self.tx.take_sent();
        for _ in 0..BATCHES_AT_ONCE {
            let n = self.rx.receive(&self.sockets.client).doing(|| "receiving at the client".to_owned())?;
            for i in 0..n {
                let datagram = self.rx.datagram(i);
                let to = SocketAddrV4::new(datagram.to.unwrap_or(Ipv4Addr::UNSPECIFIED), self.port);
                let (outcome, token) = self.clients.reply(to, datagram.from, self.rx.payload(&datagram));
                self.packets.add(at);
                let first = |token: Token| token.seq == 0 && matches!(outcome, Outcome::Good | Outcome::Late);
                self.live_flows += u64::from(token.is_some_and(first));
            }
            came += n;
            if n < self.rx.slots() {
                break;
            }
        }
        Ok(came)
    }
}
