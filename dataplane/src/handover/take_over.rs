//! The new process's half of the switch: ask, wait for the offer, finish the translation, win the word.

use crate::io::clock::now_ns;
use crate::io::sched;
use handover::messages::{Fault, FieldCount, SwitchReport, TableWork};
use shm_state::manifest::{Manifest, Request};
use shm_state::map::futex;
use shm_state::owner::{OwnerState, Party};
use shm_state::recover::{Ledger, Repair, repair};
use shm_state::translate::Copier;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A peer on another processor is waited for by looking, for so long; then by sleeping.
const SPIN_NS: u64 = 100_000;
/// What changed meanwhile is copied up to the last moment, as long as that takes no longer than this.
const TOP_UP: Duration = Duration::from_micros(50);
/// Beyond the old process's own patience, so that it is the one to withdraw.
const MARGIN: Duration = Duration::from_millis(50);

/// A switch that is ready to be made.
#[derive(Debug)]
pub struct Switch {
    pub me: Party,
    pub from: Party,
    pub generation: u64,
    /// The old process is proven dead: nobody has to be asked.
    pub predecessor_dead: bool,
    /// How long the old process stands still.
    pub quiesce: Duration,
    /// The predecessor's flow table, to be repaired if it is dead.
    pub ledger: Ledger,
    /// The tables whose layout changes.
    pub copiers: Vec<Copier>,
    /// What was done to each table so far.
    pub tables: Vec<TableWork>,
}

/// A switch that was won: the caller enters its ring now.
#[derive(Debug)]
pub struct Won {
    pub generation: u64,
    pub report: SwitchReport,
    /// What was done about the operation that a dead predecessor was in the middle of.
    pub repair: Option<Repair>,
    /// The old process's tables, no longer needed. Unmapping them takes as long as the rest of the switch: for later,
    /// and for another thread.
    pub spent: Vec<Copier>,
}

impl Switch {
    /// Makes the switch. On success the calling process owns the region; otherwise it must not touch a socket.
    ///
    /// # Errors
    /// Why the region was not won; the old process serves on, or will when its patience ends.
    pub fn make(self, manifest: &Manifest) -> Result<Won, Fault> {
        let made = self.attempt(manifest);
        if made.is_err() {
            // The old process need not wait for its deadline.
            let words = manifest.handover();
            words.forget();
            words.owner_bell.fetch_add(1, Ordering::Release);
            futex::wake_all(&words.owner_bell);
        }
        made
    }

    fn attempt(mut self, manifest: &Manifest) -> Result<Won, Fault> {
        // On the old worker's own processor, nothing changes while this runs.
        self.top_up();
        let mut report = SwitchReport { requested_ns: now_ns(), ..SwitchReport::default() };
        let repair = if self.predecessor_dead { self.repair(manifest) } else { self.ask(manifest).map(|()| None)? };
        report.foreground_start_ns = now_ns();
        let foreground = self.translate_rest(&mut report)?;
        let word = manifest.owner_word();
        let won = if self.predecessor_dead {
            word.inherit(self.from, self.me)
        } else {
            word.claim(self.from, self.me, self.generation)
        };
        let generation = won.map_err(|lost| {
            let message = format!("the region was not won: {lost}");
            Fault::peer("lost-owner-word", message, "the old process serves on; try the swap again")
        })?;
        report.won_ns = now_ns();
        if report.dropped_rows > 0 {
            // What named their slots does so still: index, free slots, identities.
            self.ledger.shards().owe_scan();
        }
        let words = manifest.handover();
        words.forget();
        manifest.count_swap();
        // Followers, and the old process's workers.
        words.owner_bell.fetch_add(1, Ordering::Release);
        futex::wake_all(&words.owner_bell);
        report.foreground_records = foreground;
        self.stamps(manifest, &mut report);
        report.tables = self.tables;
        Ok(Won { generation, report, repair, spent: self.copiers })
    }

    /// Puts right what a dead predecessor left half done.
    ///
    /// Before the word is won: if this process dies too, whoever comes next finds the same holder and the same intent.
    /// And before the last copy, which takes what is touched here. Nobody else writes: the predecessor is dead, and the
    /// supervisor starts one successor at a time.
    fn repair(&mut self, manifest: &Manifest) -> Option<Repair> {
        let owner = manifest.owner();
        // Somebody else's by now: not to be touched, and the word will not be won.
        (owner.holder() == Some(self.from)).then(|| repair(&mut self.ledger, owner.generation()))
    }

    fn top_up(&mut self) {
        self.copiers.iter_mut().for_each(|copier| copier.top_up(TOP_UP));
    }

    /// Asks the old process to stop, and waits for its offer.
    fn ask(&mut self, manifest: &Manifest) -> Result<(), Fault> {
        let words = manifest.handover();
        // The old process's worker 0 tells where it runs only when it stops; what it said at the swap before is as good.
        let my_cpu = sched::cpu().map_or(0, |cpu| cpu + 1);
        let same_cpu = words.stops[0].cpu.load(Ordering::Relaxed) == my_cpu;
        let start = now_ns();
        let deadline = start + (self.quiesce + MARGIN).as_nanos() as u64;
        words.ask(Request { party: self.me, generation: self.generation });
        futex::wake_all(&words.request_bell);
        loop {
            let seen = words.owner_bell.load(Ordering::Acquire);
            match manifest.owner() {
                OwnerState::Offered { from, to, generation }
                    if from == self.from && to == self.me && generation == self.generation =>
                {
                    return Ok(());
                }
                OwnerState::Held { party, generation } if party == self.from && generation == self.generation => {}
                other => {
                    let message = format!("the region changed while its owner was asked for it: {other:?}");
                    return Err(Fault::peer("owner-changed", message, "try the swap again"));
                }
            }
            let now = now_ns();
            if now >= deadline {
                let waited = Duration::from_nanos(now - start);
                let message = format!("the old process (party {}) did not stop within {waited:?}", self.from);
                return Err(Fault::peer("quiesce-timeout", message, "see whether it is overloaded or hung"));
            }
            if !same_cpu && now < start + SPIN_NS {
                // The old process is at its last packets, on another processor.
                self.top_up();
                std::hint::spin_loop();
            } else {
                futex::wait(&words.owner_bell, seen, Duration::from_nanos((deadline - now).min(5_000_000)));
            }
        }
    }

    /// Translates what changed since the last pass, with the old process standing still.
    fn translate_rest(&mut self, report: &mut SwitchReport) -> Result<u64, Fault> {
        let mut records = 0;
        for copier in &mut self.copiers {
            let start = now_ns();
            let pass = copier.last().map_err(|refusal| {
                Fault::operator("value-does-not-fit", refusal.to_string(), refusal.remedy.clone())
            })?;
            records += pass.records;
            let loss = copier.loss().report();
            let name = copier.destination().descriptor().name().to_owned();
            if let Some(table) = self.tables.iter_mut().find(|table| table.table == name) {
                table.passes = copier.passes();
                table.records = loss.rows;
                table.elapsed_ns += now_ns() - start;
            }
            let counts = |from: &[shm_state::translate::FieldCount]| -> Vec<FieldCount> {
                let count = |c: &shm_state::translate::FieldCount| FieldCount {
                    table: name.clone(),
                    field: c.field.clone(),
                    count: c.count,
                };
                from.iter().filter(|c| c.count > 0).map(count).collect()
            };
            report.clamped.extend(counts(&loss.clamped));
            report.defaulted.extend(counts(&loss.defaulted));
            report.dropped_rows += loss.rows_dropped.iter().map(|c| c.count).sum::<u64>();
        }
        Ok(records)
    }

    fn stamps(&self, manifest: &Manifest, report: &mut SwitchReport) {
        if self.predecessor_dead {
            return;
        }
        let words = manifest.handover();
        let workers = manifest.workers(self.from).max(1) as usize;
        let stops = &words.stops[..workers];
        report.last_return_ns = stops.iter().map(|stop| stop.last_return_ns.load(Ordering::Relaxed)).min().unwrap_or(0);
        report.quiesced_ns = stops.iter().map(|stop| stop.quiesced_ns.load(Ordering::Relaxed)).max().unwrap_or(0);
        report.offered_ns = words.offered_ns.load(Ordering::Relaxed);
    }
}
