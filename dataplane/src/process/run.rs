//! The main thread: starts the workers and speaks with the supervisor for them.

use super::args::Args;
use super::aside::step_aside;
use super::control::Control;
use super::real_time;
use super::region::Region;
use super::signals;
use super::successor::{self, Successor};
use crate::config::Config;
use crate::core::topology::Topology;
use crate::handover::background;
use crate::handover::orders::{Event, Inbox, Orders, Outbox};
use crate::handover::seat::{Seat, Start};
use crate::io::descriptors;
use crate::io::sched;
use crate::io::socket_set::SocketSet;
use crate::io::sockets::{self, Options};
use crate::state::flow::FlowRecord;
use clap::Parser as _;
use handover::messages::{
    Activated, Expecting, Fault, FaultNotice, Message, Mode, Parked, Reason, Recovered, Refused, Resumed, Serving,
    Stopping, Undone, Welcome,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use shm_state::owner::{OwnerState, Party};
use shm_state::recover::{Repair, Report};
use shm_state::translate::Copier;
use std::io::IsTerminal as _;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

const FAILED: u8 = 1;
const BAD_CONFIG: u8 = 2;
const REFUSED: u8 = 3;
const UNDONE: u8 = 4;
/// The supervisor answers a greeting within this time.
const WELCOMED_WITHIN: Duration = Duration::from_secs(30);

/// Runs a dataplane whose flows have layout `R`; `name` is the executable's.
pub fn main<R: FlowRecord>(name: &'static str) -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("HITLESS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let loaded = Config::load(&args.config).and_then(|config| Ok((Topology::new(&config)?, config)));
    let (topology, config) = match loaded {
        Ok((topology, config)) => (Arc::new(topology), config),
        Err(error) => {
            eprintln!("{name}: {error}");
            refuse_early(&args, name, &error.to_string());
            return ExitCode::from(BAD_CONFIG);
        }
    };
    if args.check {
        println!("{}: ok", config.file.display());
        for warning in &config.warnings {
            println!("warning: {}", warning.message);
        }
        return ExitCode::SUCCESS;
    }
    let control = match Control::new(args.control_fd) {
        Ok(control) => control,
        Err(fault) => {
            eprintln!("{name}: {fault}");
            return ExitCode::from(BAD_CONFIG);
        }
    };
    match Process::<R>::start(name, config, topology, control) {
        Ok(mut process) => process.run(),
        Err((code, fault)) => {
            eprintln!("{name}: {fault}");
            ExitCode::from(code)
        }
    }
}

/// A supervisor that waits for a greeting is told why none will come.
fn refuse_early(args: &Args, name: &str, why: &str) {
    if let Ok(control) = Control::new(args.control_fd) {
        control.hello(name);
        let error = Fault::operator("bad-config", why, "correct the config file");
        control.say(Message::Refused(Refused { error }));
    }
}

struct Process<R> {
    name: &'static str,
    config: Config,
    topology: Arc<Topology>,
    control: Control,
    signals: SignalFd,
    inbox: Inbox,
    outbox: Outbox,
    orders: Arc<Orders>,
    region: Region<R>,
    me: Party,
    /// Until this process serves after a swap.
    successor: Option<Successor>,
    /// The swap in which this process is to be replaced.
    leaving: u64,
    parked: bool,
    /// What was done about the operation that a dead predecessor was in the middle of.
    repair: Option<Repair>,
    /// The predecessor's tables, until the swap is final.
    spent: Vec<Copier>,
    warnings: Vec<String>,
    running: usize,
}

type Ended = (u8, Fault);

impl<R: FlowRecord> Process<R> {
    fn start(name: &'static str, config: Config, topology: Arc<Topology>, mut control: Control) -> Result<Self, Ended> {
        let signals = signals::ending()
            .map_err(|e| (FAILED, Fault::kernel("signalfd", format!("signalfd failed: {e}"), "see signalfd(2)")))?;
        control.hello(name);
        let welcome = match welcomed(&mut control) {
            Ok(welcome) => welcome,
            Err(fault) => return Err((FAILED, fault)),
        };
        // The main thread, and all that prepares a switch, keeps off the packet threads' processors.
        background::keep_off(&config.runtime.cpus);
        match Self::prepare(name, config, topology, &mut control, signals, &welcome) {
            Ok(process) => Ok(Self { control, ..process }),
            Err((code, error)) => {
                control.say(Message::Refused(Refused { error: error.clone() }));
                Err((code, error))
            }
        }
    }

    fn prepare(
        name: &'static str,
        config: Config,
        topology: Arc<Topology>,
        control: &mut Control,
        signals: SignalFd,
        welcome: &Welcome,
    ) -> Result<Self, Ended> {
        let me = Party::new(welcome.party).ok_or_else(|| {
            (FAILED, Fault::peer("bad-party", format!("party {} is not 1 to 254", welcome.party), ""))
        })?;
        let (inbox, outbox) = Inbox::new()
            .map_err(|e| (FAILED, Fault::kernel("eventfd", format!("eventfd failed: {e}"), "see eventfd(2)")))?;
        let mut warnings: Vec<_> = config.warnings.iter().map(|warning| warning.message.clone()).collect();
        let region = match welcome.mode {
            Mode::Cold => {
                let opened = sockets::open(&config, Options { gro: false }).map_err(|error| {
                    let fault = Fault::operator("no-socket", error.to_string(), "");
                    (if matches!(error, sockets::SocketError::Config(_)) { BAD_CONFIG } else { FAILED }, fault)
                })?;
                warnings.extend(opened.warnings.iter().map(|warning| warning.message.clone()));
                let sockets = Arc::new(SocketSet::opened(opened, &topology));
                Region::<R>::cold(&config, topology.clone(), sockets).map_err(|fault| (FAILED, fault))?
            }
            Mode::Takeover => {
                descriptors::make_room(topology.sockets()).map_err(|error| {
                    (REFUSED, Fault::kernel("too-many-sockets", error.to_string(), "raise RLIMIT_NOFILE"))
                })?;
                let mut inherited = successor::receive(control).map_err(|fault| (REFUSED, fault))?;
                let handed = std::mem::take(&mut inherited.sockets);
                let sockets = SocketSet::inherited(handed, &topology).map_err(|missing| {
                    let remedy = "a swap cannot change listeners or [snat] in this version";
                    (REFUSED, Fault::operator("socket-missing", missing.to_string(), remedy))
                })?;
                Region::<R>::inherit(&config, topology.clone(), Arc::new(sockets), &inherited)
                    .map_err(|fault| (REFUSED, fault))?
            }
        };
        let mut process = Self {
            name,
            config,
            topology,
            control: Control::none(),
            signals,
            inbox,
            outbox,
            orders: Arc::default(),
            region,
            me,
            successor: None,
            leaving: 0,
            parked: false,
            repair: None,
            spent: Vec::new(),
            warnings,
            running: 0,
        };
        let workers = process.region.io.len() as u32;
        process.region.manifest.enter(me, std::process::id(), workers);
        match welcome.mode {
            Mode::Cold => {
                let generation = process.region.manifest.owner_word().found(me).map_err(|lost| {
                    (FAILED, Fault::bug("region-taken", format!("a new region is held already: {lost}"), ""))
                })?;
                process.seat(Start::Now { generation }).map_err(|fault| (FAILED, fault))?;
            }
            Mode::Takeover => {
                let (leader, switch) = channel();
                let successor =
                    Successor::new(welcome, me, &mut process.region, leader).map_err(|fault| (REFUSED, fault))?;
                process.successor = Some(successor);
                process.seat(Start::AfterSwitch { switch }).map_err(|fault| (FAILED, fault))?;
                process.copy().map_err(|fault| (FAILED, fault))?;
            }
        }
        Ok(process)
    }

    /// Starts the worker.
    fn seat(&mut self, start: Start) -> Result<(), Fault> {
        let forwarder = self.region.forwarder.take().ok_or_else(|| Fault::bug("no-tables", "no tables to seat", ""))?;
        let seat = Seat {
            manifest: self.region.manifest.clone(),
            me: self.me,
            number: 0,
            workers: self.region.io.len() as u32,
            cpu: self.config.runtime.cpus.first().copied(),
            scheduling: self.config.runtime.scheduling,
            orders: self.orders.clone(),
            outbox: self.outbox.clone(),
            forwarder,
            sockets: self.region.sockets.clone(),
            io: self.region.io[0].clone(),
            shape: self.region.shape,
        };
        self.running += 1;
        spawn("worker-0", move || seat.live(start))
    }

    /// Starts the background copy.
    fn copy(&mut self) -> Result<(), Fault> {
        let copiers = std::mem::take(&mut self.region.copiers);
        let outbox = self.outbox.clone();
        spawn("copier", move || {
            let done = background::copy(copiers, |step| outbox.tell(Event::Copying(step)));
            outbox.tell(Event::Copied(done));
        })
    }

    fn run(&mut self) -> ExitCode {
        tracing::info!(name = self.name, party = %self.me, "started");
        loop {
            while let Some(event) = self.inbox.next() {
                if let Some(code) = self.event(event) {
                    return self.end(code);
                }
            }
            if self.signals.read_signal().ok().flatten().is_some() {
                tracing::info!("told to end by a signal");
                self.control.say(Message::Stopping(Stopping {}));
                if self.stop() {
                    return self.end(0);
                }
            }
            while let Some((message, _)) = self.control.hear(Duration::ZERO) {
                if let Some(code) = self.message(message) {
                    return self.end(code);
                }
            }
            if !self.control.present() {
                if self.waiting() {
                    // Nobody is left to tell it to proceed, and the predecessor serves.
                    return self.end(UNDONE);
                }
                // Nobody is left to undo the swap either: it is final.
                self.retire_tables();
                if self.parked {
                    self.orders.stop();
                }
            }
            self.sleep();
        }
    }

    /// Nobody goes back to the tables that were translated.
    fn retire_tables(&mut self) {
        self.spent.drain(..).for_each(Copier::retire);
    }

    fn sleep(&self) {
        let mut fds =
            vec![PollFd::new(self.inbox.fd(), PollFlags::POLLIN), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.control.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        // Interrupted or not: the loop looks at everything anyway.
        let _ = poll(&mut fds, PollTimeout::NONE);
    }

    /// Tells the workers to end; true when there is nothing to wait for.
    fn stop(&mut self) -> bool {
        self.orders.stop();
        // A successor that has not begun the switch has a worker that waits for it; it ends with the process.
        self.running == 0 || self.waiting()
    }

    /// A successor that has not begun the switch: it can end without a trace.
    fn waiting(&self) -> bool {
        self.successor.as_ref().is_some_and(|successor| !successor.switching())
    }

    /// Another process holds the region that this one held: it is parked, whether or not its workers could say so yet.
    fn displaced(&self) -> bool {
        let held_by_other = matches!(self.region.manifest.owner(), OwnerState::Held { party, .. } if party != self.me);
        self.successor.is_none() && held_by_other
    }

    fn event(&mut self, event: Event) -> Option<u8> {
        match event {
            Event::Copying(step) => {
                if let Some(successor) = &self.successor {
                    successor.copying(&self.control, step);
                }
            }
            Event::Copied(copiers) => {
                if let Some(successor) = &mut self.successor {
                    successor.copied(copiers);
                    successor.declare(&self.control, &self.region);
                }
            }
            Event::Armed => {
                if let Some(successor) = &mut self.successor {
                    successor.armed();
                    successor.declare(&self.control, &self.region);
                }
            }
            Event::Serving { fifo } => {
                let generation = self.region.manifest.owner().generation();
                self.control.hand(Reason::Serving, &self.region.descriptors());
                self.serving(generation, fifo);
            }
            Event::TookOver { report, fifo, repair, spent } => {
                self.repair = repair;
                self.spent = spent;
                self.spent.iter_mut().for_each(Copier::unfollow);
                let swap = self.successor.take().map_or(0, |successor| successor.swap);
                tracing::info!(swap, blackout_us = report.blackout_ns / 1000, "took over");
                self.control.say(Message::Activated(Activated { swap, report: *report }));
                let generation = self.region.manifest.owner().generation();
                self.serving(generation, fifo);
            }
            Event::Recovered { report } => {
                let report = recovered(self.repair, &report);
                tracing::info!(?report, "looked through the tables");
                self.control.say(Message::Recovered(report));
            }
            Event::Undone { fault } => {
                let swap = self.successor.take().map_or(0, |successor| successor.swap);
                tracing::warn!(swap, %fault, "the switch was undone");
                self.control.say(Message::Undone(Undone { swap, error: fault }));
                return Some(UNDONE);
            }
            Event::Parked { generation } => {
                self.parked = true;
                self.control.say(Message::Parked(Parked { swap: self.leaving, generation }));
            }
            Event::Resumed { fault } => {
                tracing::warn!(%fault, "serving again");
                self.orders.expect_nobody();
                self.control.say(Message::Resumed(Resumed { swap: self.leaving, error: fault }));
            }
            Event::Stopped => {
                self.running -= 1;
                if self.running == 0 {
                    return Some(0);
                }
            }
            Event::Failed { fault } => {
                tracing::error!(%fault, "a worker cannot go on");
                let error = fault;
                if self.successor.is_some() {
                    self.control.say(Message::Refused(Refused { error }));
                    return Some(REFUSED);
                }
                self.control.say(Message::Fault(FaultNotice { error }));
                return Some(FAILED);
            }
        }
        None
    }

    fn serving(&mut self, generation: u64, fifo: bool) {
        self.warnings.extend(real_time::limit().filter(|_| fifo));
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        let scheduling = if fifo { "fifo" } else { "other" }.to_owned();
        let listeners = self.topology.listening.len();
        tracing::info!(generation, listeners, scheduling, "serving");
        self.control.say(Message::Serving(Serving { generation, scheduling, warnings: self.warnings.clone() }));
    }

    fn message(&mut self, message: Message) -> Option<u8> {
        match message {
            Message::Donate(_) => self.control.hand(Reason::Donate, &self.region.descriptors()),
            Message::Expect(expect) => {
                let Some(party) = Party::new(expect.party).filter(|party| *party != self.me) else {
                    let error = Fault::peer("bad-party", format!("cannot expect party {}", expect.party), "");
                    self.control.say(Message::Fault(FaultNotice { error }));
                    return None;
                };
                self.leaving = expect.swap;
                self.orders.expect(party, Duration::from_nanos(expect.quiesce_ns));
                self.control.say(Message::Expecting(Expecting { swap: expect.swap }));
            }
            Message::Abort(abort) => {
                tracing::info!(abort.swap, abort.reason, "the swap is off");
                self.orders.expect_nobody();
                if self.waiting() {
                    return Some(UNDONE);
                }
            }
            Message::Proceed(proceed) => {
                let quiesce = Duration::from_nanos(proceed.quiesce_ns);
                if let Some(successor) = &mut self.successor
                    && !successor.switching()
                    && let Err(error) = successor.proceed(quiesce)
                {
                    self.control.say(Message::Undone(Undone { swap: proceed.swap, error }));
                    return Some(UNDONE);
                }
            }
            Message::Committed(committed) => {
                tracing::debug!(committed.swap, "the swap is final");
                self.retire_tables();
            }
            Message::Commit(_) if self.parked || self.displaced() => {
                step_aside();
                // What is left is taking down, which must not disturb the successor.
                let _ = sched::idle();
                self.orders.stop();
            }
            Message::Commit(commit) => {
                let message = format!("told to end by swap {}, but no successor has taken over", commit.swap);
                self.control.say(Message::Fault(FaultNotice { error: Fault::peer("not-parked", message, "") }));
            }
            Message::Stop(_) => {
                self.control.say(Message::Stopping(Stopping {}));
                if self.stop() {
                    return Some(0);
                }
            }
            other => tracing::debug!(?other, "not for a dataplane"),
        }
        None
    }

    /// The last words. Threads that still wait end with the process.
    fn end(&self, code: u8) -> ExitCode {
        tracing::info!(code, "ended");
        ExitCode::from(code)
    }
}

/// What the supervisor wants; without one a cold start as party 1.
fn welcomed(control: &mut Control) -> Result<Welcome, Fault> {
    let alone = Welcome { protocol: 0, party: 1, mode: Mode::Cold, swap: 0, predecessor_dead: false };
    if !control.present() {
        return Ok(alone);
    }
    match control.hear(WELCOMED_WITHIN) {
        Some((Message::Welcome(welcome), _)) => Ok(welcome),
        Some((Message::Refused(refused), _)) => Err(refused.error),
        Some((other, _)) => Err(Fault::peer("unexpected", format!("expected welcome, got {other:?}"), "")),
        None => {
            let message = format!("the supervisor did not answer: {}", control.silence(WELCOMED_WITHIN));
            Err(Fault::peer("not-welcomed", message, "see controld's log"))
        }
    }
}

/// What a full scan found, for the supervisor.
fn recovered(repair: Option<Repair>, report: &Report) -> Recovered {
    let operation = match repair {
        None | Some(Repair::Unknown) => "unknown",
        Some(Repair::Nothing) => "nothing",
        Some(Repair::Finished(_)) => "finished",
        Some(Repair::TakenBack(_)) => "taken-back",
    };
    Recovered {
        operation: operation.to_owned(),
        flows: report.live,
        dropped: report.dropped(),
        found: report.found().map(|(finding, count)| (finding.name().to_owned(), count)).collect(),
        elapsed_ns: report.elapsed_ns,
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(body);
    started.map(drop).map_err(|error| Fault::kernel("no-thread", format!("cannot start thread {name}: {error}"), ""))
}
