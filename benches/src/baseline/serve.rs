//! The loop: wait, receive a batch, look up in stages, send a batch per socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use dataplane::config::{Config, Scheduling};
use dataplane::core::forward::{Departure, Forwarder, Packet};
use dataplane::core::topology::Topology;
use dataplane::state::flow_v2::FlowV2;
use dataplane::wire::sockaddr::{Endpoint, to_ip16, unmap_v4};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::tables::forwarder;
use crate::error::{Doing, Error, Result};
use crate::sys::clock::{SECOND, now};
use crate::sys::mmsg::{Received, RxBatch, TxBatch};
use crate::sys::socket::{Wants, grow, udp};
use crate::sys::{place, raw};

const BATCH: usize = 64;
/// Batches taken from one socket before the others get their turn.
const ROUNDS: usize = 4;
const WAIT_MS: u8 = 20;
/// A full expiry sweep takes about this long, at most so many slots at once: as the dataplane does it.
const SWEEP_NS: u64 = 2 * SECOND;
const SWEEP_SLOTS: usize = 512;

/// Forwards until `stop`.
pub fn serve(config: &Config, stop: &AtomicBool) -> Result<()> {
    if let Some(&cpu) = config.runtime.cpus.first() {
        place::pin(&[cpu as usize]).doing(|| format!("pinning to CPU {cpu}"))?;
    }
    match config.runtime.scheduling {
        Scheduling::Other => {}
        Scheduling::Fifo => raw::fifo(1).doing(|| "asking for SCHED_FIFO".to_owned())?,
        Scheduling::Auto => drop(raw::fifo(1)),
    }
    Baseline::new(config)?.run(stop)
}

struct Baseline {
    tables: Forwarder<FlowV2>,
    epoll: Epoll,
    /// In the topology's order: listeners first.
    sockets: Vec<UdpSocket>,
    listeners: usize,
    rx: RxBatch,
    tx: Vec<TxBatch>,
    swept_ns: u64,
}

impl Baseline {
    fn new(config: &Config) -> Result<Self> {
        let topology = Topology::new(config).map_err(|error| Error::Usage(error.to_string()))?;
        let listening = topology.listening.iter().map(|socket| socket.address);
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let addresses: Vec<_> = listening.chain(topology.upstream.iter().map(|_| any)).collect();
        let sockets = addresses.into_iter().map(|address| socket(config, address)).collect::<Result<Vec<_>>>()?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).doing(|| "creating an epoll".to_owned())?;
        for (i, socket) in sockets.iter().enumerate() {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, i as u64);
            epoll.add(socket, event).doing(|| "watching a socket".to_owned())?;
        }
        Ok(Self {
            listeners: topology.listening.len(),
            tables: forwarder(config, Arc::new(topology))?,
            epoll,
            tx: sockets.iter().map(|_| TxBatch::new(BATCH)).collect(),
            sockets,
            rx: RxBatch::new(BATCH, config.limits.datagram_bytes_max),
            swept_ns: now(),
        })
    }

    fn run(&mut self, stop: &AtomicBool) -> Result<()> {
        let mut events = vec![EpollEvent::empty(); self.sockets.len()];
        while !stop.load(Relaxed) {
            // EINTR is a wake-up like any other.
            let ready = self.epoll.wait(&mut events, EpollTimeout::from(WAIT_MS)).unwrap_or(0);
            for event in &events[..ready] {
                let socket = event.data() as usize;
                for _ in 0..ROUNDS {
                    if self.serve(socket)? < BATCH {
                        break;
                    }
                }
            }
            self.sweep();
        }
        Ok(())
    }

    /// One batch from one socket.
    fn serve(&mut self, socket: usize) -> Result<usize> {
        let n = match self.rx.receive(&self.sockets[socket]) {
            Ok(n) => n,
            // An ICMP error of an earlier send: reported once, nothing is wrong with the socket.
            Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => return Ok(BATCH),
            Err(error) => return Err(error).doing(|| "receiving".to_owned()),
        };
        let at = now();
        if socket < self.listeners {
            self.up(socket, n, at)
        } else {
            self.down(socket, n, at)
        }
        for (tx, socket) in self.tx.iter_mut().zip(&self.sockets) {
            if !tx.is_empty() {
                tx.flush(socket, self.rx.bytes());
            }
        }
        Ok(n)
    }

    fn up(&mut self, socket: usize, n: usize, at: u64) {
        let mut lookups = [None; BATCH];
        for (i, lookup) in lookups[..n].iter_mut().enumerate() {
            let datagram = self.rx.datagram(i);
            if let Some(packet) = packet(&datagram) {
                *lookup = Some((packet, self.tables.begin(socket, &packet)));
            }
        }
        for (_, lookup) in lookups[..n].iter_mut().flatten() {
            self.tables.prefetch(lookup);
        }
        for (i, lookup) in lookups[..n].iter().enumerate() {
            let Some((packet, lookup)) = lookup else {
                continue;
            };
            if let Some(departure) = self.tables.up(socket, packet, lookup, at) {
                self.send(i, &departure);
            }
        }
    }

    fn down(&mut self, socket: usize, n: usize, at: u64) {
        let mut places = [None; BATCH];
        for (i, place) in places[..n].iter_mut().enumerate() {
            let datagram = self.rx.datagram(i);
            if let Some(packet) = packet(&datagram) {
                *place = self.tables.locate(socket, &packet).map(|found| (packet, found));
            }
        }
        for (i, place) in places[..n].iter().enumerate() {
            let Some((packet, found)) = *place else {
                continue;
            };
            if let Some(departure) = self.tables.down(found, &packet, at) {
                self.send(i, &departure);
            }
        }
    }

    fn send(&mut self, i: usize, departure: &Departure) {
        let v4 = |ip: &[u8; 16]| unmap_v4(ip).map(Ipv4Addr::from);
        let Some(ip) = v4(&departure.to.ip) else {
            return;
        };
        let source = departure.from.as_ref().and_then(v4);
        self.tx[departure.socket].push(self.rx.range(i), SocketAddrV4::new(ip, departure.to.port), source);
    }

    fn sweep(&mut self) {
        let at = now();
        let elapsed = at.saturating_sub(self.swept_ns);
        let share = u128::from(elapsed) * self.tables.capacity() as u128 / u128::from(SWEEP_NS);
        if share > 0 {
            self.swept_ns = at;
            self.tables.sweep((share as usize).min(SWEEP_SLOTS), at);
        }
    }
}

fn socket(config: &Config, address: SocketAddr) -> Result<UdpSocket> {
    let SocketAddr::V4(v4) = address else {
        return Err(Error::Usage(format!("{address}: the baseline forwards IPv4 only")));
    };
    let socket = udp(v4, Wants { destination: true, stamps: false }).doing(|| format!("binding {address}"))?;
    grow(&socket, config.limits.socket_buffer_bytes).doing(|| "sizing a socket buffer".to_owned())?;
    Ok(socket)
}

fn packet(datagram: &Received) -> Option<Packet> {
    let ip = |ip: Ipv4Addr| to_ip16(IpAddr::V4(ip));
    let sender = Endpoint { ip: ip(*datagram.from.ip()), port: datagram.from.port(), scope: 0 };
    let len = datagram.range.len() as u32;
    (!datagram.truncated).then_some(Packet { sender, local: ip(datagram.to?), tos: 0, len })
}
