//! The old process's half of the switch: stop, offer, and either stand aside or serve again.

use super::orders::Orders;
use crate::io::clock::now_ns;
use crate::io::sched;
use crate::io::worker::Worker;
use crate::state::flow::FlowRecord;
use handover::messages::Fault;
use shm_state::manifest::{Manifest, Request};
use shm_state::map::futex;
use shm_state::owner::{OwnerState, Party};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How it ended.
#[derive(Debug)]
pub(super) enum StoodDown {
    /// The successor serves; this worker must not touch a socket again.
    Parked { generation: u64 },
    /// The successor did not come in time; this worker serves again, as `generation`.
    Resumed { generation: u64, fault: Fault },
}

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
/// The last worker to stop offers the region; worker 0 watches the clock. A death of the successor at any instant ends
/// in the withdrawal of the offer, or in a region that the successor has won: never in both.
pub(super) fn stand_down<R: FlowRecord>(
    worker: &mut Worker<R>,
    manifest: &Manifest,
    orders: &Orders,
    standing: Standing,
    request: Request,
    quiesce: Duration,
) -> std::io::Result<StoodDown> {
    let words = manifest.handover();
    let Standing { me, generation, worker: number, workers } = standing;
    let stamp = &words.stops[number];
    stamp.last_return_ns.store(worker.last_return_ns(), Ordering::Relaxed);
    stamp.cpu.store(sched::cpu().map_or(0, |cpu| cpu + 1), Ordering::Relaxed);
    let stopped_ns = worker.finish()?;
    stamp.quiesced_ns.store(stopped_ns, Ordering::Relaxed);
    let deadline_ns = stopped_ns + quiesce.as_nanos() as u64;
    stamp.stop(generation);
    if words.all_stopped(workers as usize, generation) {
        words.offered_ns.store(now_ns(), Ordering::Relaxed);
        // Of two that both see all stopped, one offers; the other's attempt finds the word changed.
        if manifest.owner_word().offer(me, request.party, generation).is_ok() {
            ring(manifest);
        }
    }
    loop {
        let seen = words.owner_bell.load(Ordering::Acquire);
        match manifest.owner() {
            OwnerState::Held { party, generation } if party != me => return Ok(StoodDown::Parked { generation }),
            OwnerState::Held { party, generation: now } if party == me && now > generation => {
                return Ok(resumed(request.party, now, "it did not take over in time"));
            }
            _ => {}
        }
        let now = now_ns();
        // A successor that gives up takes its request back.
        let given_up = words.request() != Some(request);
        if number == 0 && (given_up || now >= deadline_ns || orders.stopped()) {
            if let Some(outcome) = withdraw(manifest, standing, request) {
                return Ok(outcome);
            }
            continue;
        }
        let patience = deadline_ns.saturating_sub(now).clamp(10_000, 5_000_000);
        futex::wait(&words.owner_bell, seen, Duration::from_nanos(patience));
    }
}

/// Takes the offer back, or the stop where no offer was made yet. `None`: somebody else was faster, look again.
fn withdraw(manifest: &Manifest, standing: Standing, request: Request) -> Option<StoodDown> {
    let words = manifest.handover();
    let Standing { me, generation, .. } = standing;
    // Forgotten first: whoever resumes must not find the old request again.
    words.forget();
    let word = manifest.owner_word();
    // Where not every worker has stopped there is no offer yet; the generation rises all the same, so that the others
    // see that it is over.
    let now = word.withdraw(me, request.party, generation).or_else(|_| word.renew(me, generation)).ok()?;
    ring(manifest);
    Some(resumed(request.party, now, "it did not take over in time"))
}

fn resumed(party: Party, generation: u64, why: &str) -> StoodDown {
    let message = format!("the offer to party {party} was withdrawn: {why}");
    let remedy = "look at the new process's log; raise control.quiesce_timeout if it was only slow";
    StoodDown::Resumed { generation, fault: Fault::peer("offer-withdrawn", message, remedy) }
}

fn ring(manifest: &Manifest) {
    let bell = &manifest.handover().owner_bell;
    bell.fetch_add(1, Ordering::Release);
    futex::wake_all(bell);
}
