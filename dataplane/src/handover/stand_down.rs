//! The old process's half of the switch, carried out: see [`handover::switch::StandDown`] for what is done when.

use super::orders::Orders;
use crate::io::clock::now_ns;
use crate::io::sched;
use crate::io::worker::Worker;
use crate::state::flow::FlowRecord;
use handover::messages::Fault;
use handover::switch::{OldEffect, OldTold, Sides, StandDown, StoodDown};
use shm_state::manifest::{Manifest, Request};
use shm_state::map::futex;
use shm_state::owner::{Lost, Party};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Who stands down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) me: Party,
    pub(super) generation: u64,
    pub(super) worker: usize,
    pub(super) workers: u32,
}

/// Stops this worker in favour of `request.party` and waits for what becomes of it, at most `quiesce`.
///
/// # Errors
/// What the kernel said to the ring.
pub(super) fn stand_down<R: FlowRecord>(
    worker: &mut Worker<R>,
    manifest: &Manifest,
    orders: &Orders,
    standing: Standing,
    request: Request,
    quiesce: Duration,
) -> std::io::Result<StoodDown> {
    let words = manifest.handover();
    let word = manifest.owner_word();
    let Standing { me, generation, worker: number, workers } = standing;
    let to = request.party;
    let stamp = &words.stops[number];
    let sides = Sides { old: me, new: to, generation };
    let mut half = StandDown::new(sides, quiesce.as_nanos() as u64);
    let mut effect = half.effect();
    // What the bell said before the words were read: a change since then is not slept over.
    let mut bell = 0;
    loop {
        let told = match effect {
            OldEffect::Finish => {
                stamp.last_return_ns.store(worker.last_return_ns(), Ordering::Relaxed);
                stamp.cpu.store(sched::cpu().map_or(0, |cpu| cpu + 1), Ordering::Relaxed);
                let now = worker.finish()?;
                stamp.quiesced_ns.store(now, Ordering::Relaxed);
                OldTold::Finished { now }
            }
            OldEffect::Stop => {
                stamp.stop(generation);
                OldTold::Stopped { all: words.all_stopped(workers as usize, generation) }
            }
            OldEffect::Offer => {
                words.offered_ns.store(now_ns(), Ordering::Relaxed);
                OldTold::Stepped(word.offer(me, to, generation).ok().map(|()| generation))
            }
            OldEffect::Ring => {
                ring(manifest);
                OldTold::Done
            }
            OldEffect::Look => {
                bell = words.owner_bell.load(Ordering::Acquire);
                let (owner, wanted) = (manifest.owner(), words.request() == Some(request));
                OldTold::Seen { owner, wanted, ending: orders.stopped(), now: now_ns() }
            }
            OldEffect::Sleep(most) => {
                futex::wait(&words.owner_bell, bell, Duration::from_nanos(most));
                OldTold::Done
            }
            OldEffect::Forget => {
                words.forget();
                OldTold::Done
            }
            OldEffect::Withdraw => stepped(word.withdraw(me, to, generation)),
            OldEffect::Renew => stepped(word.renew(me, generation)),
            OldEffect::End(how) => return Ok(how),
        };
        effect = half.step(told);
    }
}

fn stepped(step: Result<u64, Lost>) -> OldTold {
    OldTold::Stepped(step.ok())
}

/// Why the worker serves again.
pub(super) fn withdrawn(party: Party) -> Fault {
    let message = format!("the offer to party {party} was withdrawn: it did not take over in time");
    let remedy = "look at the new process's log; raise control.quiesce_timeout if it was only slow";
    Fault::peer("offer-withdrawn", message, remedy)
}

/// Wakes whoever waits for the owner word.
pub(super) fn ring(manifest: &Manifest) {
    let bell = &manifest.handover().owner_bell;
    bell.fetch_add(1, Ordering::Release);
    futex::wake_all(bell);
}
