//! A backend: answers every request of the run after a fixed delay, in order, and keeps account of who asked.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::buckets::Buckets;
use super::latency::Nanos;
use super::live::Live;
use super::trains::{Trains, cut_into};
use crate::check::backend::BackendOracle;
use crate::error::{Doing, Result};
use crate::sys::clock::{MILLI, StampClock, now, sleep_until};
use crate::sys::mmsg::RxBatch;
use crate::sys::socket::{Wants, udp};
use crate::sys::{place, raw};
use crate::token::{Key, PAYLOAD_MAX, Token};

const BATCH: usize = 64;
/// With replies waiting, the thread looks at its socket this often; arrivals are stamped by the kernel.
const TICK_NS: u64 = MILLI / 5;
const IDLE_POLL_MS: u8 = 10;

#[derive(Debug, Clone)]
pub struct BackendPlan {
    /// 1-based; stands in every reply.
    pub id: u8,
    pub delay_ns: u64,
    pub key: Key,
    /// Origin of the time series.
    pub origin_ns: u64,
    /// How many flows there will be; more may come.
    pub flows: usize,
    /// Replies to one address in a row leave in trains of so many, of so many bytes each.
    pub train: usize,
    pub payload: usize,
    pub cpu: usize,
    pub realtime: bool,
}

#[derive(Debug)]
pub struct BackendOutcome {
    pub oracle: BackendOracle,
    pub arrivals: Buckets,
    /// How much longer than the delay replies were held.
    pub overheld: Nanos,
    pub send_failures: u64,
    pub socket_drops: u64,
}

struct Held {
    due_ns: u64,
    to: SocketAddrV4,
    token: Token,
}

/// Binds a backend's socket to an address of its own choice.
pub fn bind() -> Result<UdpSocket> {
    let wants = Wants { destination: false, stamps: true };
    udp(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), wants).doing(|| "binding a backend".to_owned())
}

/// Runs until [`Live::stop`].
pub fn run(plan: &BackendPlan, socket: &UdpSocket, live: &Arc<Live>) -> Result<BackendOutcome> {
    place::settle(plan.cpu, plan.realtime);
    let mut backend = Backend {
        socket,
        rx: RxBatch::new(BATCH, PAYLOAD_MAX + 1),
        tx: Trains::new(plan.train),
        stamps: StampClock::new(),
        held: VecDeque::new(),
        delay_ns: plan.delay_ns,
        key: plan.key,
        outcome: BackendOutcome {
            oracle: BackendOracle::new(plan.key, plan.id),
            arrivals: Buckets::new(plan.origin_ns),
            overheld: Nanos::default(),
            send_failures: 0,
            socket_drops: 0,
        },
    };
    backend.outcome.oracle.expect(plan.flows);
    if plan.train > 1 {
        cut_into(socket, plan.payload)?;
    }
    while !live.stopped() {
        let at = now();
        backend.stamps.refresh(at);
        backend.receive(at)?;
        backend.release();
        match backend.held.front() {
            Some(first) => sleep_until(first.due_ns.clamp(at, at + TICK_NS)),
            None => {
                let mut wanted = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
                // An interrupted or timed-out wait is as good as any: the loop looks anyway.
                let _ = poll(&mut wanted, PollTimeout::from(IDLE_POLL_MS));
            }
        }
    }
    backend.outcome.send_failures = backend.tx.failed();
    backend.outcome.socket_drops = raw::drops(socket.as_fd()).doing(|| "a backend's drop count".to_owned())?;
    Ok(backend.outcome)
}

struct Backend<'a> {
    socket: &'a UdpSocket,
    rx: RxBatch,
    tx: Trains,
    stamps: StampClock,
    held: VecDeque<Held>,
    delay_ns: u64,
    key: Key,
    outcome: BackendOutcome,
}

impl Backend<'_> {
    /// Takes everything that lies in the socket; with replies falling due, at most a few batches at a time.
    fn receive(&mut self, at: u64) -> Result<()> {
        for _ in 0..16 {
            let n = self.rx.receive(self.socket).doing(|| "receiving at a backend".to_owned())?;
            for i in 0..n {
                let datagram = self.rx.datagram(i);
                let arrived = datagram.stamp.map_or(at, |stamp| self.stamps.monotonic(stamp));
                let payload = self.rx.payload(&datagram);
                if let Some(token) = self.outcome.oracle.request(datagram.from, arrived, payload) {
                    self.outcome.arrivals.add(arrived);
                    self.held.push_back(Held { due_ns: arrived + self.delay_ns, to: datagram.from, token });
                }
            }
            if n < self.rx.slots() {
                break;
            }
        }
        Ok(())
    }

    /// Sends the replies that are due.
    fn release(&mut self) {
        let at = now();
        while self.held.front().is_some_and(|held| held.due_ns <= at) {
            let Held { due_ns, to, mut token } = self.held.pop_front().expect("looked at above");
            token.hold_ns = u32::try_from(at.saturating_sub(token.backend_ns)).unwrap_or(u32::MAX);
            self.outcome.overheld.add(at.saturating_sub(due_ns));
            token.encode(self.key, self.tx.add(to, None, token.len, self.socket));
        }
        self.tx.flush(self.socket);
    }
}
