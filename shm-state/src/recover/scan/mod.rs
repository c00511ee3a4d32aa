//! The full scan: everything is looked at, and put right where it is wrong.
//!
//! The holder of the table runs it itself, a few steps between two turns of its packet loop, so that nothing changes
//! during a step. What changes between steps goes through operations that leave everything consistent, and of which the
//! scan is told ([`Scan::begun`], [`Scan::ended`], [`Scan::woken`]), so that what it has seen stays exact.
//!
//! Phases, each relying on those before:
//!
//! 1. the index of each shard: each entry names a live record of its key, once;
//! 2. the free slots of each: every place names a slot that is not live, once (what was seen is kept, a bit a slot);
//! 3. slots: each live record is found by its key and its identity leads to it; every other slot is free;
//! 4. for each backend pool, queue, identities: each is free, bound or resting, once (a bit an identity).
//!
//! A death during a scan leaves losses at worst, never an identity or a slot in two places; a scan is owed until one has
//! come to its end.

mod bits;
mod identities;
mod slots;

use super::ledger::Ledger;
use super::operation::{Begin, End};
use super::report::Report;
use crate::identities::Waking;
pub(super) use bits::Bits;

/// Where the scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Index,
    Free,
    Slots,
    Pool,
    Queue,
    Identities,
    Over,
}

/// A scan under way. Allocates when it is made and never again.
#[derive(Debug)]
pub struct Scan {
    ledger: Ledger,
    phase: Phase,
    /// How far the phase is, in what it looks at.
    at: u64,
    /// The shard whose index or free slots are looked at.
    shard: usize,
    /// The backend whose identities are looked at.
    row: usize,
    /// Slots seen among the lowest `free_seen` of the free ones of each shard.
    free: Bits,
    free_seen: Vec<usize>,
    /// Identities of `row` seen in the lowest `pool_seen` of the pool and the oldest `queue_seen` of the queue.
    spare: Bits,
    pool_seen: usize,
    queue_seen: usize,
    report: Report,
    began_ns: u64,
}

impl Scan {
    /// A scan that has not begun.
    pub fn new(ledger: Ledger) -> Self {
        let most = (0..ledger.identities.rows()).map(|row| ledger.identities.spec(row).identities as usize).max();
        Self {
            phase: Phase::Index,
            at: 0,
            shard: 0,
            row: 0,
            free: Bits::new(ledger.capacity()),
            free_seen: vec![0; ledger.shards.count()],
            spare: Bits::new(most.unwrap_or(0)),
            pool_seen: 0,
            queue_seen: 0,
            report: Report::default(),
            began_ns: 0,
            ledger,
        }
    }

    /// Whether a scan is owed to the table.
    pub fn is_owed(&self) -> bool {
        self.ledger.shards.scan_owed()
    }

    /// Makes at most `steps` steps; the report once all is done. A step looks at one bucket entry, slot or identity.
    pub fn step(&mut self, steps: usize, now_ns: u64) -> Option<Report> {
        if self.began_ns == 0 {
            self.began_ns = now_ns.max(1);
            // Also where a scan was asked for and not owed: a death in it owes one.
            self.ledger.shards.owe_scan();
        }
        for _ in 0..steps {
            if self.phase == Phase::Over {
                self.ledger.shards.scanned();
                self.report.elapsed_ns = now_ns.saturating_sub(self.began_ns);
                return Some(self.report.clone());
            }
            if !self.one(now_ns) {
                self.next_phase();
            }
        }
        None
    }

    /// Scans a table that nobody serves, in one go. `clock` is read now and then, in nanoseconds.
    pub fn run(mut self, mut clock: impl FnMut() -> u64) -> Report {
        loop {
            if let Some(report) = self.step(1 << 16, clock()) {
                return report;
            }
        }
    }

    /// A record began.
    #[inline]
    pub fn begun(&mut self, begin: &Begin) {
        self.popped(begin);
        self.taken(&begin.taking);
    }

    /// A record ended.
    #[inline]
    pub fn ended(&mut self, end: &End) {
        self.pushed(end.shard, end.slot, end.depth as usize);
        if let Some(resting) = &end.resting {
            self.rested(resting);
        }
    }

    /// Identities woke.
    #[inline]
    pub fn woken(&mut self, waking: &Waking) {
        self.woke(waking);
    }

    /// One step of the phase; false when the phase is over.
    fn one(&mut self, now_ns: u64) -> bool {
        match self.phase {
            Phase::Index => self.index_entry(),
            Phase::Free => self.free_slot(),
            Phase::Slots => self.slot(now_ns),
            Phase::Pool => self.pooled(),
            Phase::Queue => self.queued(now_ns),
            Phase::Identities => self.identity(now_ns),
            Phase::Over => true,
        }
    }

    fn next_phase(&mut self) {
        self.at = 0;
        self.phase = match self.phase {
            Phase::Index => self.next_shard(Phase::Index, Phase::Free),
            Phase::Free => self.next_shard(Phase::Free, Phase::Slots),
            Phase::Slots => self.row(0),
            Phase::Pool => Phase::Queue,
            Phase::Queue => Phase::Identities,
            Phase::Identities => self.row(self.row + 1),
            Phase::Over => Phase::Over,
        };
    }

    /// Goes on with the next shard, or after the last with the next phase.
    fn next_shard(&mut self, this: Phase, next: Phase) -> Phase {
        self.shard += 1;
        if self.shard < self.ledger.shards.count() {
            return this;
        }
        self.shard = 0;
        next
    }

    /// Goes on with the identities of a row.
    fn row(&mut self, row: usize) -> Phase {
        self.row = row;
        (self.pool_seen, self.queue_seen) = (0, 0);
        self.spare.clear();
        if row < self.ledger.identities.rows() { Phase::Pool } else { Phase::Over }
    }
}
