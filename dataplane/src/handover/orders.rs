//! What the main thread tells its workers, and what they tell it.

use super::background::Step;
use handover::messages::{Fault, SwitchReport};
use nix::sys::eventfd::{EfdFlags, EventFd};
use shm_state::map::futex;
use shm_state::owner::Party;
use shm_state::recover::{Repair, Report};
use shm_state::translate::Copier;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Standing orders, read once per turn of the packet loop.
#[derive(Debug, Default)]
pub struct Orders {
    stop: AtomicBool,
    /// Number of the party that may ask for the region; 0 is nobody.
    expected: AtomicU8,
    /// How long to stand still for it.
    quiesce_ns: AtomicU64,
    /// Futex: changes with every order, for workers that stand aside.
    bell: AtomicU32,
}

impl Orders {
    /// End: serve what was received, then return.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether to end.
    #[inline]
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// `party` may ask for the region from now on.
    pub fn expect(&self, party: Party, quiesce: Duration) {
        self.quiesce_ns.store(quiesce.as_nanos() as u64, Ordering::Relaxed);
        self.expected.store(party.number(), Ordering::Release);
    }

    /// Nobody may ask any more.
    pub fn expect_nobody(&self) {
        self.expected.store(0, Ordering::Release);
    }

    /// How long to stand still for this party; `None` when it may not ask.
    pub fn expected(&self, party: Party) -> Option<Duration> {
        (self.expected.load(Ordering::Acquire) == party.number())
            .then(|| Duration::from_nanos(self.quiesce_ns.load(Ordering::Relaxed)))
    }

    /// Sleeps until there may be a new order.
    pub fn wait(&self) {
        let seen = self.bell.load(Ordering::Acquire);
        if !self.stopped() {
            futex::wait(&self.bell, seen, Duration::from_millis(100));
        }
    }

    fn ring(&self) {
        self.bell.fetch_add(1, Ordering::Release);
        futex::wake_all(&self.bell);
    }
}

/// What the other threads tell the main thread.
#[derive(Debug)]
pub enum Event {
    /// The background copy is under way.
    Copying(Step),
    /// The background copy is done; with the nanoseconds that each table took.
    Copied(Vec<(Copier, u64)>),
    /// Its receives are armed; it waits for the switch.
    Armed,
    /// It serves, from a cold start. The scheduling class it got.
    Serving { fifo: bool },
    /// It serves, after a switch; the leader's report, and the tables that are no longer needed.
    /// What was done about the operation that a dead predecessor was in the middle of.
    TookOver { report: Box<SwitchReport>, fifo: bool, repair: Option<Repair>, spent: Vec<Copier> },
    /// The full scan of the flow table is done.
    Recovered { report: Box<Report> },
    /// The switch did not come to pass; the predecessor serves on.
    Undone { fault: Fault },
    /// It has stopped for a successor, which holds this generation.
    Parked { generation: u64 },
    /// It had stopped for a successor that did not come, and serves again.
    Resumed { fault: Fault },
    /// It ended as ordered.
    Stopped,
    /// It cannot go on.
    Failed { fault: Fault },
}

/// Where workers put their events: a channel, and a descriptor that the main thread can poll.
#[derive(Debug, Clone)]
pub struct Outbox {
    sender: Sender<Event>,
    bell: std::sync::Arc<EventFd>,
}

impl Outbox {
    /// Tells the main thread.
    pub fn tell(&self, event: Event) {
        // A main thread that is gone has no use for it.
        let _ = self.sender.send(event);
        let _ = self.bell.write(1);
    }
}

/// Where the main thread takes the events out.
#[derive(Debug)]
pub struct Inbox {
    receiver: Receiver<Event>,
    bell: std::sync::Arc<EventFd>,
}

impl Inbox {
    /// An inbox and the outbox that leads to it.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn new() -> nix::Result<(Self, Outbox)> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let bell = std::sync::Arc::new(bell);
        let (sender, receiver) = channel();
        Ok((Self { receiver, bell: bell.clone() }, Outbox { sender, bell }))
    }

    /// Readable when there are events.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// The next event, if there is one.
    pub fn next(&self) -> Option<Event> {
        // The count only matters to poll(); an empty one is no error.
        let _ = self.bell.read();
        self.receiver.try_recv().ok()
    }
}
