//! One load from start to verdict: backends first, then, once the system under test is up, the generator.

use std::net::{SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::backend::{self, BackendOutcome, BackendPlan};
use super::buckets::Buckets;
use super::generator::{self, GeneratorOutcome, GeneratorPlan};
use super::live::Live;
use crate::check::verdict::Verdict;
use crate::error::{Doing, Error, Result};
use crate::sys::socket::address;

/// Running backends.
#[derive(Debug)]
pub struct Backends {
    live: Arc<Live>,
    threads: Vec<JoinHandle<Result<BackendOutcome>>>,
    addresses: Vec<SocketAddrV4>,
}

impl Backends {
    /// Starts `count` backends after `plan`; each gets an id from 1 on.
    pub fn start(count: u8, plan: &BackendPlan) -> Result<Self> {
        let mut backends = Self { live: Arc::default(), threads: Vec::new(), addresses: Vec::new() };
        for id in 1..=count {
            let socket = backend::bind()?;
            backends.addresses.push(address(&socket).doing(|| "a backend's address".to_owned())?);
            let plan = BackendPlan { id, ..plan.clone() };
            let live = Arc::clone(&backends.live);
            backends.threads.push(spawn(&format!("backend-{id}"), move || backend::run(&plan, &socket, &live))?);
        }
        Ok(backends)
    }

    pub fn addresses(&self) -> &[SocketAddrV4] {
        &self.addresses
    }

    fn finish(mut self) -> Result<Vec<BackendOutcome>> {
        self.live.stop();
        self.threads.drain(..).map(join).collect()
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        self.live.stop();
    }
}

/// A running load; dropping it stops its threads.
#[derive(Debug)]
pub struct Session {
    pub live: Arc<Live>,
    generator: Option<JoinHandle<Result<GeneratorOutcome>>>,
    backends: Option<Backends>,
}

/// What came of a load.
#[derive(Debug)]
pub struct SessionOutcome {
    pub verdict: Verdict,
    pub generator: GeneratorOutcome,
    pub backends: Vec<BackendOutcome>,
    /// Requests arriving at backends plus replies arriving at clients.
    pub packets: Buckets,
    pub in_flight_max: u64,
}

impl Session {
    pub fn start(plan: GeneratorPlan, backends: Backends) -> Result<Self> {
        let sockets: Vec<UdpSocket> = generator::bind(&plan)?;
        let live = Arc::new(Live::default());
        let shared = Arc::clone(&live);
        let generator = spawn("generator", move || generator::run(plan, sockets, shared))?;
        Ok(Self { live, generator: Some(generator), backends: Some(backends) })
    }

    /// Whether the generator ended by itself, which means that it failed.
    pub fn ended(&self) -> bool {
        self.generator.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Stops sending, waits for what is in flight, judges.
    pub fn finish(mut self) -> Result<SessionOutcome> {
        self.live.stop();
        let generator = self.generator.take().map(join).expect("finish is called once")?;
        let backends = self.backends.take().map(Backends::finish).expect("finish is called once")?;
        let drops = generator.socket_drops
            + generator.send_failures
            + backends.iter().map(|b| b.socket_drops + b.send_failures).sum::<u64>();
        let mut packets = generator.arrivals.clone();
        for backend in &backends {
            packets.merge(&backend.arrivals);
        }
        let oracles: Vec<_> = backends.iter().map(|backend| &backend.oracle).collect();
        let verdict = Verdict::of(generator.oracle.counts(), &oracles, drops);
        let in_flight_max = self.live.in_flight_max();
        Ok(SessionOutcome { verdict, generator, backends, packets, in_flight_max })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.live.stop();
    }
}

fn spawn<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).doing(|| format!("starting thread {name}"))
}

fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::World("a thread of the load panicked".to_owned())))
}
