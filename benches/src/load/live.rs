//! What a running load lets its conductor see, and what the conductor tells it. Relaxed throughout: these are
//! figures to show and switches to notice soon; exact counts are handed over when the threads are joined.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Parts of a run with figures of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Period {
    /// Flows are being set up.
    Warmup = 0,
    /// No swap: what the same run looks like without one.
    Control = 1,
    /// From the first swap to the end of the last.
    Swapping = 2,
    After = 3,
}

pub const PERIODS: usize = 4;

#[derive(Debug, Default)]
pub struct Live {
    sent: AtomicU64,
    received: AtomicU64,
    /// Replies that were neither good nor merely late.
    bad: AtomicU64,
    in_flight_max: AtomicU64,
    flows_live: AtomicU64,
    period: AtomicUsize,
    pause: AtomicBool,
    stop: AtomicBool,
}

/// One look at the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Glance {
    pub sent: u64,
    pub received: u64,
    pub bad: u64,
    /// Flows that certainly stand in the table of the system under test.
    pub flows_live: u64,
}

impl Live {
    pub fn glance(&self) -> Glance {
        Glance {
            sent: self.sent.load(Relaxed),
            received: self.received.load(Relaxed),
            bad: self.bad.load(Relaxed),
            flows_live: self.flows_live.load(Relaxed),
        }
    }

    pub(super) fn publish(&self, glance: Glance) {
        self.sent.store(glance.sent, Relaxed);
        self.received.store(glance.received, Relaxed);
        self.bad.store(glance.bad, Relaxed);
        self.flows_live.store(glance.flows_live, Relaxed);
    }

    pub fn enter(&self, period: Period) {
        self.period.store(period as usize, Relaxed);
    }

    pub(super) fn period(&self) -> usize {
        self.period.load(Relaxed).min(PERIODS - 1)
    }

    /// Tells the generator to send nothing until [`Live::resume`]. What would have been due meanwhile is due later.
    pub fn pause(&self) {
        self.pause.store(true, Relaxed);
    }

    pub fn resume(&self) {
        self.pause.store(false, Relaxed);
    }

    pub(super) fn paused(&self) -> bool {
        self.pause.load(Relaxed)
    }

    /// Tells the generator to send no more (it then waits for what is in flight), or a backend to end.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    pub(super) fn raise_in_flight(&self, in_flight: u64) {
        self.in_flight_max.fetch_max(in_flight, Relaxed);
    }

    pub fn in_flight_max(&self) -> u64 {
        self.in_flight_max.load(Relaxed)
    }
}
