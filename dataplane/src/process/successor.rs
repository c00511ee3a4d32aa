//! A process that is to take over: from the descriptors that it is handed to the switch.

use super::control::Control;
use super::inherited::Inherited;
use super::region::Region;
use crate::handover::background;
use crate::handover::take_over::Switch;
use crate::state::flow::FlowRecord;
use handover::channel::Collector;
use handover::messages::{Fault, Message, Progress, Ready, Reason, Refused, TableWork, Welcome};
use shm_state::owner::{OwnerState, Party};
use shm_state::recover::Ledger;
use shm_state::translate::Copier;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Beyond the copy of what is left: stop, wake-ups and the first enter, generously.
const SWITCH_NS: u64 = 150_000;
/// The supervisor hands descriptors over within this time.
const HANDED_WITHIN: Duration = Duration::from_secs(30);

/// What a successor knows until it serves.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) swap: u64,
    me: Party,
    from: Party,
    generation: u64,
    predecessor_dead: bool,
    armed: usize,
    copied: Option<Vec<Copier>>,
    ledger: Option<Ledger>,
    tables: Vec<TableWork>,
    leader: Option<Sender<Switch>>,
    /// Keeps the other workers waiting; they watch the owner word.
    ready: bool,
}

/// Waits for everything that the predecessor holds.
pub(super) fn receive(control: &mut Control) -> Result<Inherited, Fault> {
    let mut collector = Collector::new();
    loop {
        match control.hear(HANDED_WITHIN) {
            Some((Message::Descriptors(batch), fds)) => {
                if let Some(list) = collector.add(batch, fds)? {
                    return Inherited::new(list);
                }
            }
            Some((Message::Abort(abort), _)) => {
                return Err(Fault::peer("aborted", format!("the swap is off: {}", abort.reason), ""));
            }
            Some((Message::Stop(_), _)) => return Err(Fault::peer("aborted", "told to stop", "")),
            Some((other, _)) => tracing::debug!(?other, "not yet of interest"),
            None => {
                let message = format!("no descriptors came: {}", control.silence(HANDED_WITHIN));
                let remedy = "see controld's log; raise RLIMIT_NOFILE if descriptors were cut off";
                return Err(Fault::peer("no-descriptors", message, remedy));
            }
        }
    }
}

impl Successor {
    /// Notes from whom `region` will be taken.
    ///
    /// # Errors
    /// Nobody holds it, or this party does.
    pub(super) fn new<R: FlowRecord>(
        welcome: &Welcome,
        me: Party,
        region: &mut Region<R>,
        leader: Sender<Switch>,
    ) -> Result<Self, Fault> {
        let owner = region.manifest.owner();
        let from = match owner {
            OwnerState::Held { party, .. } if party != me => party,
            OwnerState::Offered { from, .. } if from != me && welcome.predecessor_dead => from,
            other => {
                let message = format!("the region cannot be taken over by party {me}: {other:?}");
                return Err(Fault::peer("not-held", message, "see `controlctl status`"));
            }
        };
        Ok(Self {
            swap: welcome.swap,
            me,
            from,
            generation: owner.generation(),
            predecessor_dead: welcome.predecessor_dead,
            armed: 0,
            copied: None,
            ledger: region.predecessor.take(),
            tables: region.tables.clone(),
            leader: Some(leader),
            ready: false,
        })
    }

    /// The leader makes the switch: its outcome decides, not the supervisor.
    pub(super) fn switching(&self) -> bool {
        self.leader.is_none()
    }

    pub(super) fn copying(&self, control: &Control, step: background::Step) {
        let background::Step { table, pass, done, total, dirty } = step;
        let phase = "copy".to_owned();
        control.say(Message::Progress(Progress { swap: self.swap, phase, table, pass, records: done, total, dirty }));
    }

    pub(super) fn copied(&mut self, copiers: Vec<(Copier, u64)>) {
        for (copier, elapsed_ns) in &copiers {
            let name = copier.destination().descriptor().name();
            if let Some(work) = self.tables.iter_mut().find(|work| work.table == name) {
                work.passes = copier.passes();
                work.records = copier.loss().rows();
                work.elapsed_ns = *elapsed_ns;
            }
        }
        self.copied = Some(copiers.into_iter().map(|(copier, _)| copier).collect());
    }

    pub(super) fn armed(&mut self) {
        self.armed += 1;
    }

    /// Declares itself ready once everything is, and only once.
    pub(super) fn declare<R: FlowRecord>(&mut self, control: &Control, region: &Region<R>) {
        let Some(copiers) = &mut self.copied else { return };
        if self.ready || self.armed < region.io.len() {
            return;
        }
        // Said before anybody stands still for it.
        if let Some(refusal) = copiers.iter().find_map(Copier::capacity_refusal) {
            let error = Fault::operator("no-room", refusal.to_string(), refusal.remedy);
            control.say(Message::Refused(Refused { error }));
            return;
        }
        self.ready = true;
        let (left, converged) = background::catch_up(copiers);
        control.hand(Reason::Own, &region.own_descriptors());
        control.say(Message::Ready(Ready {
            swap: self.swap,
            estimate_ns: left.time.as_nanos() as u64 + SWITCH_NS,
            dirty: left.slots,
            converged,
            tables: self.tables.clone(),
            released: region.released.clone(),
        }));
    }

    /// Begins the switch; the leader makes it.
    ///
    /// # Errors
    /// This process is not ready, or was told already.
    pub(super) fn proceed(&mut self, quiesce: Duration) -> Result<(), Fault> {
        let unready = || Fault::peer("not-ready", "told to proceed before everything was ready", "");
        let mut copiers = self.copied.take().filter(|_| self.ready).ok_or_else(unready)?;
        let ledger = self.ledger.take().ok_or_else(unready)?;
        let leader = self.leader.take().ok_or_else(unready)?;
        background::catch_up(&mut copiers);
        let switch = Switch {
            me: self.me,
            from: self.from,
            generation: self.generation,
            predecessor_dead: self.predecessor_dead,
            quiesce,
            ledger,
            copiers,
            tables: std::mem::take(&mut self.tables),
        };
        leader.send(switch).map_err(|_| Fault::bug("no-leader", "the worker that was to make the switch is gone", ""))
    }
}
