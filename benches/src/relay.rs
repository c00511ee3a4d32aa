//! A small forwarder that can be told to do exactly one thing wrong: the proof that the judge sees it.
//!
//! Slow and simple on purpose: std sockets, one upstream socket per flow, one thread.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::check::verdict::Verdict;
use crate::error::{Doing, Result};
use crate::load::backend::BackendPlan;
use crate::load::generator::GeneratorPlan;
use crate::load::schedule::Mix;
use crate::load::session::{Backends, Session};
use crate::sys::clock::{MILLI, SECOND, now};
use crate::sys::interrupt::interrupted;
use crate::sys::place::Placement;
use crate::sys::socket::{Wants, address, grow, udp};
use crate::token::{Key, PAYLOAD_MAX};

/// What to do wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    DropRequest,
    DropReply,
    DoubleRequest,
    DoubleReply,
    /// Hold a request back until the flow's next one has gone.
    ReorderRequests,
    /// Send a reply to another client.
    Misroute,
    /// Send a reply from another address than the client wrote to.
    WrongSource,
    /// From some packet on, use another upstream port for a flow.
    Resource,
    /// From some packet on, use another backend for a flow.
    Move,
    /// Flip a bit of a reply.
    Corrupt,
}

impl Fault {
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::DropRequest,
        Self::DropReply,
        Self::DoubleRequest,
        Self::DoubleReply,
        Self::ReorderRequests,
        Self::Misroute,
        Self::WrongSource,
        Self::Resource,
        Self::Move,
        Self::Corrupt,
    ];
}

/// A short, slow run through a relay that has `fault`.
pub fn trial(fault: Fault) -> Result<Verdict> {
    let key = Key::random().doing(|| "making a key".to_owned())?;
    let place = Placement::here();
    let origin_ns = now();
    let backend = BackendPlan {
        id: 0,
        delay_ns: 0,
        key,
        origin_ns,
        flows: 0,
        train: 1,
        payload: 64,
        cpu: place.backends,
        realtime: false,
    };
    let backends = Backends::start(2, &backend)?;
    let relay = Relay::start(backends.addresses().to_vec(), fault)?;
    let plan = GeneratorPlan {
        mix: Mix {
            rate: 500,
            steady: 8,
            new_per_s: 10,
            new_packets: 3,
            life_ns: SECOND / 4,
            tick_ns: MILLI,
            scattered: false,
            train: 1,
        },
        services: vec![relay.service()],
        payload: 64,
        sockets: 2,
        key,
        origin_ns,
        start_ns: origin_ns,
        idle_timeout_ns: 60 * SECOND,
        patience_ns: SECOND,
        cpu: place.generator,
        realtime: false,
    };
    let session = Session::start(plan, backends)?;
    let deadline = now() + 20 * SECOND;
    while session.live.glance().sent < TRIAL_REQUESTS && now() < deadline && !interrupted() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(session.finish()?.verdict)
}

/// Requests of a [`trial`], at least.
const TRIAL_REQUESTS: u64 = 200;

/// Packet of the afflicted flow that the fault strikes: late enough that the flow is established.
const STRIKE_AT: u32 = 5;

/// A running relay; it ends when dropped.
#[derive(Debug)]
pub struct Relay {
    service: SocketAddrV4,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Relay {
    pub fn start(backends: Vec<SocketAddrV4>, fault: Fault) -> Result<Self> {
        let wants = Wants::default();
        let listener =
            udp(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), wants).doing(|| "binding the relay".to_owned())?;
        let stranger = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 99), 0);
        let stranger = udp(stranger, wants).doing(|| "binding the relay's second address".to_owned())?;
        let service = address(&listener).doing(|| "the relay's address".to_owned())?;
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            listener,
            stranger,
            backends,
            fault,
            struck: false,
            flows: Vec::new(),
            by_client: HashMap::new(),
            held: None,
        };
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || worker.run(&seen));
        Ok(Self { service, stop, thread: Some(thread) })
    }

    pub fn service(&self) -> SocketAddrV4 {
        self.service
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Flow {
    client: SocketAddr,
    /// The last is in use; earlier ones still take what was on its way.
    upstreams: Vec<UdpSocket>,
    backend: usize,
    requests: u32,
    replies: u32,
}

struct Worker {
    listener: UdpSocket,
    stranger: UdpSocket,
    backends: Vec<SocketAddrV4>,
    fault: Fault,
    struck: bool,
    flows: Vec<Flow>,
    by_client: HashMap<SocketAddr, usize>,
    /// A request held back: (flow, payload).
    held: Option<(usize, Vec<u8>)>,
}

fn upstream() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    grow(&socket, 1 << 20)?;
    Ok(socket)
}

/// Receives until nothing is left.
fn each(socket: &UdpSocket, mut act: impl FnMut(&mut [u8], SocketAddr) -> io::Result<()>) -> io::Result<()> {
    let mut payload = [0; PAYLOAD_MAX];
    loop {
        match socket.recv_from(&mut payload) {
            Ok((len, from)) => act(&mut payload[..len], from)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

impl Worker {
    fn run(mut self, stop: &AtomicBool) -> io::Result<()> {
        while !stop.load(Relaxed) {
            self.wait();
            let listener = self.listener.try_clone()?;
            each(&listener, |payload, client| self.request(payload, client))?;
            for number in 0..self.flows.len() {
                for nth in 0..self.flows[number].upstreams.len() {
                    let upstream = self.flows[number].upstreams[nth].try_clone()?;
                    each(&upstream, |payload, _| self.reply(number, payload))?;
                }
            }
        }
        Ok(())
    }

    fn wait(&self) {
        let sockets = std::iter::once(&self.listener).chain(self.flows.iter().flat_map(|flow| &flow.upstreams));
        let mut wanted: Vec<_> = sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        let _ = poll(&mut wanted, PollTimeout::from(10u8));
    }

    /// Whether the fault strikes now; at most once, and always the first flow.
    fn strikes(&mut self, fault: Fault, flow: usize, nth: u32) -> bool {
        let now = !self.struck && self.fault == fault && flow == 0 && nth == STRIKE_AT;
        self.struck |= now;
        now
    }

    fn request(&mut self, payload: &[u8], client: SocketAddr) -> io::Result<()> {
        let number = match self.by_client.get(&client) {
            Some(&number) => number,
            None => {
                let number = self.flows.len();
                let backend = number % self.backends.len();
                self.flows.push(Flow { client, upstreams: vec![upstream()?], backend, requests: 0, replies: 0 });
                self.by_client.insert(client, number);
                number
            }
        };
        self.flows[number].requests += 1;
        let nth = self.flows[number].requests;
        if self.strikes(Fault::DropRequest, number, nth) {
            return Ok(());
        }
        if self.strikes(Fault::ReorderRequests, number, nth) {
            self.held = Some((number, payload.to_vec()));
            return Ok(());
        }
        if self.strikes(Fault::Resource, number, nth) {
            self.flows[number].upstreams.push(upstream()?);
        }
        if self.strikes(Fault::Move, number, nth) {
            self.flows[number].backend = (self.flows[number].backend + 1) % self.backends.len();
        }
        if self.strikes(Fault::DoubleRequest, number, nth) {
            self.forward(number, payload)?;
        }
        self.forward(number, payload)?;
        match self.held.take() {
            Some((flow, late)) if flow == number => self.forward(number, &late),
            other => {
                self.held = other;
                Ok(())
            }
        }
    }

    fn forward(&self, number: usize, payload: &[u8]) -> io::Result<()> {
        let flow = &self.flows[number];
        let upstream = flow.upstreams.last().expect("a flow has an upstream socket");
        upstream.send_to(payload, self.backends[flow.backend]).map(drop)
    }

    fn reply(&mut self, number: usize, payload: &mut [u8]) -> io::Result<()> {
        self.flows[number].replies += 1;
        let nth = self.flows[number].replies;
        if self.strikes(Fault::DropReply, number, nth) {
            return Ok(());
        }
        if self.strikes(Fault::Corrupt, number, nth) {
            payload[30] ^= 4;
        }
        let mut client = self.flows[number].client;
        if self.strikes(Fault::Misroute, number, nth) {
            client = self.flows[1].client;
        }
        let misaddressed = self.strikes(Fault::WrongSource, number, nth);
        let doubled = self.strikes(Fault::DoubleReply, number, nth);
        let from = if misaddressed { &self.stranger } else { &self.listener };
        for _ in 0..1 + u8::from(doubled) {
            from.send_to(payload, client)?;
        }
        Ok(())
    }
}
