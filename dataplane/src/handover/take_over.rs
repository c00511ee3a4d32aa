//! The new process's half of the switch, carried out: see [`handover::switch::TakeOver`] for what is done when.

use super::stand_down::ring;
use crate::io::clock::now_ns;
use crate::io::sched;
use handover::messages::{Fault, FieldCount, SwitchReport, TableWork};
use handover::switch::{Failure, NewEffect, NewTold, Sides, TakeOver};
use shm_state::manifest::{Manifest, Request};
use shm_state::map::futex;
use shm_state::owner::{Lost, OwnerState, Party};
use shm_state::recover::{Ledger, Repair, repair};
use shm_state::translate::Copier;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A peer on another processor is waited for by looking, for so long; then by sleeping.
const SPIN_NS: u64 = 100_000;
/// What changed meanwhile is copied up to the last moment, as long as that takes no longer than this.
const TOP_UP: Duration = Duration::from_micros(50);
/// Longest sleep while the old process serves on: then what it wrote meanwhile is copied.
const BREATH: Duration = Duration::from_micros(200);

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
    pub fn make(mut self, manifest: &Manifest) -> Result<Won, Fault> {
        let words = manifest.handover();
        let word = manifest.owner_word();
        let sides = Sides { old: self.from, new: self.me, generation: self.generation };
        let mut half = TakeOver::new(sides, self.predecessor_dead, self.quiesce.as_nanos() as u64);
        let mut report = SwitchReport { requested_ns: now_ns(), ..SwitchReport::default() };
        let (mut repair, mut refusal) = (None, None);
        // The old process's worker 0 tells where it runs only when it stops; what it said at the swap before is as good.
        let my_cpu = sched::cpu().map_or(0, |cpu| cpu + 1);
        let same_cpu = words.stops[0].cpu.load(Ordering::Relaxed) == my_cpu;
        // What the bell said before the word was read: a change since then is not slept over.
        let mut bell = 0;
        let mut effect = half.effect();
        loop {
            let told = match effect {
                // On the old worker's own processor, nothing changes while this runs.
                NewEffect::TopUp => {
                    self.top_up();
                    NewTold::Done
                }
                NewEffect::Ask => {
                    report.requested_ns = now_ns();
                    words.ask(Request { party: self.me, generation: self.generation });
                    futex::wake_all(&words.request_bell);
                    NewTold::Asked { now: report.requested_ns }
                }
                NewEffect::Look => {
                    bell = words.owner_bell.load(Ordering::Acquire);
                    NewTold::Seen { owner: manifest.owner(), now: now_ns() }
                }
                NewEffect::Wait(_) if !same_cpu && half.waited(now_ns()) < SPIN_NS => {
                    // The old process is at its last packets, on another processor.
                    self.top_up();
                    std::hint::spin_loop();
                    NewTold::Done
                }
                NewEffect::Wait(most) => {
                    futex::wait(&words.owner_bell, bell, Duration::from_nanos(most).min(BREATH));
                    if manifest.owner() == (OwnerState::Held { party: self.from, generation: self.generation }) {
                        self.top_up();
                    }
                    NewTold::Done
                }
                NewEffect::Repair => {
                    repair = self.repair(manifest);
                    NewTold::Done
                }
                NewEffect::Translate => {
                    report.foreground_start_ns = now_ns();
                    match self.translate_rest(&mut report) {
                        Ok(records) => {
                            report.foreground_records = records;
                            NewTold::Done
                        }
                        Err(fault) => {
                            refusal = Some(fault);
                            NewTold::Refused
                        }
                    }
                }
                NewEffect::Claim => self.won(manifest, word.claim(self.from, self.me, self.generation), &mut report),
                NewEffect::Inherit => self.won(manifest, word.inherit(self.from, self.me), &mut report),
                NewEffect::Forget => {
                    words.forget();
                    NewTold::Done
                }
                // Followers, and the old process's workers; or an old process that need not wait for its deadline.
                NewEffect::Ring => {
                    ring(manifest);
                    NewTold::Done
                }
                NewEffect::End(Ok(handover::switch::Won { generation })) => {
                    self.stamps(manifest, &mut report);
                    report.tables = self.tables;
                    return Ok(Won { generation, report, repair, spent: self.copiers });
                }
                NewEffect::End(Err(failure)) => return Err(refusal.unwrap_or_else(|| why(failure, self.from))),
            };
            effect = half.step(told);
        }
    }

    /// Right after the step that decides.
    fn won(&self, manifest: &Manifest, step: Result<u64, Lost>, report: &mut SwitchReport) -> NewTold {
        let step = step.map_err(|Lost(owner)| owner);
        if step.is_ok() {
            report.won_ns = now_ns();
            manifest.count_swap();
            if report.dropped_rows > 0 {
                // What named their slots does so still: index, free slots, identities.
                self.ledger.shards().owe_scan();
            }
        }
        NewTold::Stepped(step)
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

/// A failure in words; that of a value is the copier's.
fn why(failure: Failure, from: Party) -> Fault {
    match failure {
        Failure::Changed(owner) => {
            let message = format!("the region changed while its owner was asked for it: {owner:?}");
            Fault::peer("owner-changed", message, "try the swap again")
        }
        Failure::Late { waited } => {
            let waited = Duration::from_nanos(waited);
            let message = format!("the old process (party {from}) did not stop within {waited:?}");
            Fault::peer("quiesce-timeout", message, "see whether it is overloaded or hung")
        }
        Failure::Refused => Fault::operator("value-does-not-fit", "a value does not fit the new layout", ""),
        Failure::Lost(owner) => {
            let message = format!("the region was not won: {}", Lost(owner));
            Fault::peer("lost-owner-word", message, "the old process serves on; try the swap again")
        }
    }
}
