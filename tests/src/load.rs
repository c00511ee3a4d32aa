//! Paced clients: many flows, a socket each, one thread.
//!
//! The pace is open-loop, but never more is under way than the smallest socket buffer holds: a machine that stalls
//! delays the load, and only a datagram that is really gone counts as lost.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::oracle::{Faults, Oracle};
use crate::wait::until;

/// Answers that are this late are lost.
const LATE: Duration = Duration::from_secs(5);
/// Datagrams under way at most: the default receive buffer holds 256 small ones.
const UNDER_WAY_MAX: u64 = 192;

/// What the clients do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the flows are sent to, in turn.
    pub targets: Vec<SocketAddr>,
    /// Flows that ask all the time.
    pub flows: u32,
    /// Datagrams a second, over all flows.
    pub rate: u32,
    /// New flows a second that ask once.
    pub newcomers: u32,
    /// Bytes of a question.
    pub len: usize,
}

impl Plan {
    /// A load for one address: 200 flows, 3000 datagrams and 50 new flows a second.
    pub fn at(target: SocketAddr) -> Self {
        Self { targets: vec![target], flows: 200, rate: 3000, newcomers: 50, len: 64 }
    }
}

/// Clients at work; they end when dropped.
#[derive(Debug)]
pub struct Load {
    sent: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

/// What the clients saw.
#[derive(Debug, Clone)]
pub struct Seen {
    pub oracle: Oracle,
    /// Local address of each flow.
    pub clients: HashMap<u32, SocketAddr>,
}

impl Seen {
    pub fn sent(&self) -> u64 {
        self.oracle.sent()
    }

    /// Insists that everything was answered, once, in order, from where it was first.
    ///
    /// # Panics
    /// When it was not, or when nothing was sent.
    #[track_caller]
    pub fn assert_perfect(&self) {
        let (sent, received) = (self.oracle.sent(), self.oracle.received());
        assert_eq!(self.oracle.faults(), Faults::default(), "{sent} sent, {received} received");
        assert!(sent > 0 && sent == received, "{sent} sent, {received} received");
    }
}

impl Load {
    /// Starts the clients and waits until each of the lasting flows has asked.
    pub fn start(plan: Plan) -> Self {
        let (sent, end) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let warm = u64::from(plan.flows);
        let clients = Clients::new(plan, sent.clone());
        let thread = std::thread::spawn({
            let end = end.clone();
            move || clients.run(&end)
        });
        let load = Self { sent, end, thread: Some(thread) };
        until("the load is under way", || (load.sent() >= warm).then_some(()));
        load
    }

    /// Datagrams sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until so many more were sent.
    pub fn await_more(&self, count: u64) {
        let goal = self.sent() + count;
        until("the load goes on", || (self.sent() >= goal).then_some(()));
    }

    /// Ends the sending, waits for late answers, and tells.
    ///
    /// # Panics
    /// When the clients' thread did.
    pub fn stop(mut self) -> Seen {
        self.end.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("stopped once");
        thread.join().expect("the clients' thread does not panic")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A number that no other flow of this process has.
fn flow_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[derive(Debug)]
struct Client {
    flow: u32,
    socket: UdpSocket,
    target: SocketAddr,
}

#[derive(Debug)]
struct Clients {
    plan: Plan,
    epoll: Epoll,
    clients: Vec<Client>,
    oracle: Oracle,
    sent: Arc<AtomicU64>,
    received: u64,
    last_answer: Instant,
}

impl Clients {
    fn new(plan: Plan, sent: Arc<AtomicU64>) -> Self {
        if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll instance");
        let last_answer = Instant::now();
        let mut clients =
            Self { plan, epoll, clients: Vec::new(), oracle: Oracle::default(), sent, received: 0, last_answer };
        for _ in 0..clients.plan.flows {
            clients.open();
        }
        clients
    }

    /// A new flow; its position.
    fn open(&mut self) -> usize {
        let at = self.clients.len();
        let target = self.plan.targets[at % self.plan.targets.len()];
        let own: SocketAddr =
            if target.is_ipv4() { (Ipv4Addr::LOCALHOST, 0).into() } else { (Ipv6Addr::LOCALHOST, 0).into() };
        let socket = UdpSocket::bind(own).expect("a client's socket");
        socket.set_nonblocking(true).expect("a non-blocking socket");
        self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, at as u64)).expect("a watched socket");
        self.clients.push(Client { flow: flow_number(), socket, target });
        at
    }

    fn run(mut self, end: &AtomicBool) -> Seen {
        let (mut began, mut paced, mut turn) = (Instant::now(), 0, 0);
        let (mut came, first) = (0, Instant::now());
        while !end.load(Ordering::Relaxed) {
            let due = (began.elapsed().as_secs_f64() * f64::from(self.plan.rate)) as u64;
            if due > paced + UNDER_WAY_MAX {
                // The machine stalled: the pace goes on from here, without a burst.
                (began, paced) = (Instant::now(), 0);
                continue;
            }
            while paced < due && self.may_send() {
                self.ask(turn % self.plan.flows as usize);
                (paced, turn) = (paced + 1, turn + 1);
            }
            let newcomers = (first.elapsed().as_secs_f64() * f64::from(self.plan.newcomers)) as u64;
            while came < newcomers && self.may_send() {
                let at = self.open();
                self.ask(at);
                came += 1;
            }
            self.listen();
        }
        while self.under_way() > 0 && self.last_answer.elapsed() < LATE {
            self.listen();
        }
        // Whatever is doubled comes soon after.
        for _ in 0..50 {
            self.listen();
        }
        let clients = self.clients.iter().map(|client| {
            let address = client.socket.local_addr().expect("a bound socket has an address");
            (client.flow, address)
        });
        Seen { clients: clients.collect(), oracle: self.oracle }
    }

    fn under_way(&self) -> u64 {
        self.sent.load(Ordering::Relaxed) - self.received
    }

    /// Lost datagrams are under way for ever; they do not stop the load.
    fn may_send(&self) -> bool {
        self.under_way() < UNDER_WAY_MAX || self.last_answer.elapsed() > LATE
    }

    fn ask(&mut self, at: usize) {
        let Client { flow, socket, target } = &self.clients[at];
        let question = self.oracle.ask(*flow);
        match socket.send_to(&question.encode(self.plan.len), *target) {
            Ok(_) => {
                self.sent.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.oracle.not_asked(question),
            Err(error) => panic!("sending to {target}: {error}"),
        }
    }

    fn listen(&mut self) {
        let mut events = [EpollEvent::empty(); 64];
        let ready = self.epoll.wait(&mut events, EpollTimeout::from(1_u8)).unwrap_or(0);
        let mut bytes = [0; 2048];
        for event in &events[..ready] {
            let Client { flow, socket, target } = &self.clients[event.data() as usize];
            loop {
                match socket.recv_from(&mut bytes) {
                    Ok((len, from)) => {
                        // An answer from elsewhere than where the question went is no answer.
                        let bytes = if from == *target { &bytes[..len] } else { &[] };
                        self.received += u64::from(self.oracle.arrived(*flow, bytes));
                        self.last_answer = Instant::now();
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("receiving from {target}: {error}"),
                }
            }
        }
    }
}
