//! Load for saturation: clients and backends in one thread that keeps a fixed number of requests in flight.
//!
//! A closed window on purpose, the opposite of [`super::generator`]: no queue can overflow, so every packet is
//! still accounted for while the system under test has as much to do as it can take. The thread never sleeps;
//! what is measured is the CPU time of the other process.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use super::client_address;
use crate::check::backend::BackendOracle;
use crate::check::client::ClientOracle;
use crate::check::verdict::Verdict;
use crate::error::{Doing, Error, Result};
use crate::sys::clock::{MILLI, SECOND, now, process_cpu, sleep_until};
use crate::sys::interrupt::interrupted;
use crate::sys::mmsg::{RxBatch, TxBatch};
use crate::sys::socket::{Wants, address, udp};
use crate::sys::{place, raw};
use crate::token::{Key, PAYLOAD_MAX};

const BATCH: usize = 64;
/// How long the system under test may take to come up.
const PATIENCE_NS: u64 = 10 * SECOND;
/// Without any arrival for this long, what is in flight counts as lost.
const STALL_NS: u64 = 500 * MILLI;

#[derive(Debug, Clone)]
pub struct PumpPlan {
    pub flows: usize,
    pub payload: usize,
    pub window: usize,
    pub settle_ns: u64,
    pub measure_ns: u64,
    pub cpu: usize,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Pumped {
    /// Datagrams that went through within the measured time, both directions.
    pub packets: u64,
    /// CPU time of the process under test, and wall time.
    pub cpu_ns: u64,
    pub wall_ns: u64,
    pub verdict: Verdict,
}

impl Pumped {
    pub fn per_cpu_second(&self) -> f64 {
        self.packets as f64 * SECOND as f64 / self.cpu_ns.max(1) as f64
    }

    /// Share of a core that the process used.
    pub fn busy(&self) -> f64 {
        self.cpu_ns as f64 / self.wall_ns.max(1) as f64
    }
}

#[derive(Debug)]
pub struct Pump {
    plan: PumpPlan,
    client: UdpSocket,
    port: u16,
    backends: Vec<UdpSocket>,
    rx: RxBatch,
    tx: TxBatch,
    arena: Vec<u8>,
}

/// Oracles of one stretch.
struct Judges {
    key: Key,
    clients: ClientOracle,
    backends: Vec<BackendOracle>,
    failed: u64,
    next: usize,
}

impl Judges {
    fn new(backends: usize) -> Result<Self> {
        let key = Key::random().doing(|| "making a key".to_owned())?;
        let backends = (1..=backends).map(|id| BackendOracle::new(key, id as u8)).collect();
        Ok(Self { key, clients: ClientOracle::new(key), backends, failed: 0, next: 0 })
    }

    fn in_flight(&self) -> usize {
        self.clients.counts().lost() as usize
    }

    fn packets(&self) -> u64 {
        self.clients.counts().received + self.backends.iter().map(|b| b.counts().requests).sum::<u64>()
    }
}

impl Pump {
    pub fn new(plan: PumpPlan, backends: usize) -> Result<Self> {
        let socket = |ip, destination| {
            let wants = Wants { destination, stamps: false };
            udp(SocketAddrV4::new(ip, 0), wants).doing(|| "binding a socket of the load".to_owned())
        };
        let client = socket(Ipv4Addr::UNSPECIFIED, true)?;
        Ok(Self {
            port: address(&client).doing(|| "the client socket's address".to_owned())?.port(),
            client,
            backends: (0..backends).map(|_| socket(Ipv4Addr::LOCALHOST, false)).collect::<Result<_>>()?,
            rx: RxBatch::new(BATCH, PAYLOAD_MAX + 1),
            tx: TxBatch::new(BATCH),
            arena: vec![0; BATCH * PAYLOAD_MAX],
            plan,
        })
    }

    pub fn backend_addresses(&self) -> Result<Vec<SocketAddrV4>> {
        self.backends.iter().map(|b| address(b).doing(|| "a backend's address".to_owned())).collect()
    }

    /// Waits until `service` answers, lets the load settle, measures the process `pid`.
    pub fn measure(&mut self, service: SocketAddrV4, pid: u32) -> Result<Pumped> {
        place::pin(&[self.plan.cpu]).doing(|| format!("pinning to CPU {}", self.plan.cpu))?;
        self.wait_for(service)?;
        let mut judges = Judges::new(self.backends.len())?;
        for number in 0..self.plan.flows {
            judges.clients.open(SocketAddrV4::new(client_address(number), self.port), service);
        }
        let drops_before = self.drops()?;
        let cpu = |pid| process_cpu(pid).doing(|| format!("reading the CPU clock of process {pid}"));
        self.turn_until(&mut judges, now() + self.plan.settle_ns)?;
        let (packets, cpu_before, wall) = (judges.packets(), cpu(pid)?, now());
        self.turn_until(&mut judges, wall + self.plan.measure_ns)?;
        let (cpu_after, end, packets_after) = (cpu(pid)?, now(), judges.packets());
        self.drain(&mut judges)?;
        let oracles: Vec<_> = judges.backends.iter().collect();
        let drops = self.drops()? - drops_before + judges.failed;
        Ok(Pumped {
            packets: packets_after - packets,
            cpu_ns: cpu_after - cpu_before,
            wall_ns: end - wall,
            verdict: Verdict::of(judges.clients.counts(), &oracles, drops),
        })
    }

    /// Probes until the service answers. Probes have a key of their own: late answers to them are discarded here
    /// and would be foreign later.
    fn wait_for(&mut self, service: SocketAddrV4) -> Result<()> {
        let mut judges = Judges::new(self.backends.len())?;
        judges.clients.open(SocketAddrV4::new(client_address(0), self.port), service);
        let deadline = now() + PATIENCE_NS;
        while judges.clients.counts().received == 0 {
            if interrupted() {
                return Err(Error::Interrupted);
            }
            if now() > deadline {
                return Err(Error::World(format!("{service} does not answer")));
            }
            self.send(&mut judges, 1);
            let until = now() + 50 * MILLI;
            while judges.clients.counts().received == 0 && now() < until {
                self.receive(&mut judges)?;
            }
        }
        // What else is on its way belongs to this key.
        sleep_until(now() + 20 * MILLI);
        self.receive(&mut judges)?;
        sleep_until(now() + 20 * MILLI);
        self.receive(&mut judges)?;
        Ok(())
    }

    fn turn_until(&mut self, judges: &mut Judges, until: u64) -> Result<()> {
        let mut progress = now();
        loop {
            let at = now();
            if at >= until {
                return Ok(());
            }
            if interrupted() {
                return Err(Error::Interrupted);
            }
            if judges.in_flight() + BATCH <= self.plan.window.max(BATCH) {
                self.send(judges, BATCH);
            }
            if self.receive(judges)? > 0 {
                progress = at;
            } else if at > progress + STALL_NS {
                return Err(Error::World(format!("nothing comes back; {} in flight", judges.in_flight())));
            }
        }
    }

    fn drain(&mut self, judges: &mut Judges) -> Result<()> {
        let mut progress = now();
        while judges.in_flight() > 0 && now() < progress + STALL_NS {
            if self.receive(judges)? > 0 {
                progress = now();
            }
        }
        Ok(())
    }

    fn send(&mut self, judges: &mut Judges, count: usize) {
        let due = now();
        for i in 0..count {
            let flow = judges.next;
            judges.next = (flow + 1) % judges.clients.flows().len();
            let range = i * PAYLOAD_MAX..i * PAYLOAD_MAX + self.plan.payload;
            let state = judges.clients.request(flow, due, &mut self.arena[range.clone()]);
            self.tx.push(range, state.service, Some(*state.client.ip()));
        }
        let (sent, failed) = self.tx.flush(&self.client, &self.arena);
        judges.clients.sent(sent);
        judges.failed += failed as u64;
    }

    /// Answers what reached the backends, judges what reached the clients. Returns how many datagrams came.
    fn receive(&mut self, judges: &mut Judges) -> Result<usize> {
        let mut came = 0;
        let at = now();
        for (socket, oracle) in self.backends.iter().zip(&mut judges.backends) {
            let n = self.rx.receive(socket).doing(|| "receiving at a backend".to_owned())?;
            came += n;
            for i in 0..n {
                let datagram = self.rx.datagram(i);
                if let Some(reply) = oracle.request(datagram.from, at, self.rx.payload(&datagram)) {
                    let range = i * PAYLOAD_MAX..i * PAYLOAD_MAX + reply.len;
                    reply.encode(judges.key, &mut self.arena[range.clone()]);
                    self.tx.push(range, datagram.from, None);
                }
            }
            let (_, failed) = self.tx.flush(socket, &self.arena);
            judges.failed += failed as u64;
        }
        let n = self.rx.receive(&self.client).doing(|| "receiving at the client".to_owned())?;
        for i in 0..n {
            let datagram = self.rx.datagram(i);
            let to = SocketAddrV4::new(datagram.to.unwrap_or(Ipv4Addr::UNSPECIFIED), self.port);
            judges.clients.reply(to, datagram.from, self.rx.payload(&datagram));
        }
        Ok(came + n)
    }

    fn drops(&self) -> Result<u64> {
        std::iter::once(&self.client)
            .chain(&self.backends)
            .map(|socket| raw::drops(std::os::fd::AsFd::as_fd(socket)).doing(|| "reading drop counts".to_owned()))
            .sum()
    }
}
