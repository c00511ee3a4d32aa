//! Starting a dataplane when none serves: cold, or on the region and the sockets of a dead one.
//!
//! A dead dataplane's flows outlive it: its segments and sockets are held here. The same binary is started on them and
//! may claim the owner word, because this supervisor has reaped the holder. That is tried a few times, for the one that
//! takes over may die, too; with the dead one's own binary where another refuses or hangs. Only if all fail is everything dropped and a cold start made: the flows are lost then, the service is
//! not.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use handover::machine::{Event, Which};
use handover::messages::{Culprit, Fault, Message, Mode, Proceed, Reason, Welcome};
use shm_state::owner::OwnerState;

use super::holdings::Holdings;
use super::inbox::check_hello;
use super::supervisor::Supervisor;
use crate::exit;
use crate::verify::Binary;

/// Attempts to take the region of a dead dataplane over.
const TAKEOVERS: u32 = 3;
/// How long a killed process may take to be gone before the start goes on beside it.
const DYING: Duration = Duration::from_millis(500);

/// A start under way.
#[derive(Debug)]
pub struct Launch {
    party: u8,
    mode: Mode,
    swap: u64,
    binary: Binary,
    fallen: Holdings,
    deadline: Instant,
    /// The first start of this supervisor: if it fails, the supervisor ends.
    first: bool,
    words: Option<Fault>,
    began: Instant,
    /// The process has said that it serves.
    claims: bool,
    /// From 1, of those on one dead dataplane's region.
    attempt: u32,
    /// The same again would have the same end.
    futile: bool,
    /// What the dead one ran, if that is another binary: it fits its own tables.
    other: Option<Binary>,
    /// A killed process that has to be gone first.
    after: Option<u8>,
}

impl Launch {
    pub(super) fn party(&self) -> u8 {
        self.party
    }

    /// It waits for a killed process to be gone.
    pub(super) fn is_waiting(&self) -> bool {
        self.after.is_some()
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// It does not run and is not wanted: a binary that waits for its next start.
    fn waiting(binary: Binary, fallen: Holdings) -> Self {
        let now = Instant::now();
        let mode = if fallen.is_empty() { Mode::Cold } else { Mode::Takeover };
        Self {
            party: 0,
            mode,
            swap: 0,
            binary,
            fallen,
            deadline: now + Duration::from_secs(u64::from(u32::MAX)),
            first: false,
            words: None,
            began: now,
            claims: false,
            attempt: 1,
            futile: false,
            other: None,
            after: None,
        }
    }
}

impl Supervisor {
    /// Starts the first dataplane.
    pub fn start(&mut self, binary: Binary) {
        let launch = Launch { first: true, ..Launch::waiting(binary, Holdings::default()) };
        self.begin(launch);
    }

    /// Starts a binary in place of a dead holder.
    pub(super) fn recover(&mut self, which: Which) {
        if self.stop_asked {
            return self.feed(Event::RecoverFailed);
        }
        let wanted = if which == Which::New { self.next } else { self.current };
        // It lost the word and was killed; what it holds comes free when it is gone.
        let mut dying = [self.current, self.next].into_iter().flatten();
        let dying = dying.rfind(|party| self.children.get(party).is_some_and(|child| child.exit.is_none()));
        let launch = match wanted.and_then(|party| self.children.get(&party)) {
            Some(child) => {
                let binary = child.binary.clone();
                // The region is where the dead holder left it, which need not be the process whose binary is started.
                let holder = self.held_by().and_then(|party| self.children.get(&party)).unwrap_or(child);
                let other = (holder.binary.sha256 != binary.sha256).then(|| holder.binary.clone());
                Launch { other, after: dying, ..Launch::waiting(binary, holder.holdings.clone()) }
            }
            None => match self.launch.take() {
                Some(waiting) => waiting,
                None => return self.feed(Event::RecoverFailed),
            },
        };
        self.current = None;
        self.next = None;
        self.runfile.remove();
        if launch.after.is_some() {
            self.launch = Some(Launch { deadline: Instant::now() + DYING, ..launch });
        } else {
            self.begin(launch);
        }
    }

    /// A process is gone: perhaps the one that a start waits for.
    pub(super) fn launch_after(&mut self, party: u8) {
        if let Some(launch) = self.launch.take_if(|launch| launch.after == Some(party)) {
            self.begin(Launch { after: None, ..launch });
        }
    }

    fn begin(&mut self, mut launch: Launch) {
        let how = if launch.mode == Mode::Takeover { "on the region of the dead one" } else { "cold" };
        tracing::info!(binary = %launch.binary.path.display(), how, "starting a dataplane");
        launch.began = Instant::now();
        launch.words = None;
        launch.claims = false;
        launch.swap = if launch.mode == Mode::Takeover { self.reports.next_id() } else { 0 };
        match self.spawn(&launch.binary, &[]) {
            Ok(party) => {
                launch.party = party;
                launch.deadline = launch.began + self.config.phase_timeout;
                self.launch = Some(launch);
            }
            Err(error) => {
                let path = launch.binary.path.display().to_string();
                launch.words = Some(Fault::kernel("spawn-failed", format!("{path}: {error}"), ""));
                self.launch = Some(launch);
                self.launch_failed("not started".to_owned());
            }
        }
    }

    pub(super) fn launch_message(&mut self, message: Message, fds: Vec<OwnedFd>) {
        let quiesce_ns = u64::try_from(self.config.quiesce_timeout.as_nanos()).unwrap_or(u64::MAX);
        let Some(launch) = &mut self.launch else { return };
        let Some(child) = self.children.get_mut(&launch.party) else { return };
        match message {
            Message::Hello(hello) => {
                let agreed = check_hello(child.pid, &hello);
                child.hello = Some(hello);
                match agreed {
                    Ok(protocol) => {
                        let Launch { party, mode, swap, .. } = *launch;
                        let predecessor_dead = mode == Mode::Takeover;
                        child.send(Message::Welcome(Welcome { protocol, party, mode, swap, predecessor_dead }));
                        if mode == Mode::Takeover {
                            child.send_holdings(Reason::Donate, &launch.fallen);
                        }
                    }
                    Err(fault) => {
                        launch.words = Some(fault);
                        child.kill();
                    }
                }
            }
            Message::Descriptors(descriptors) => match child.collector.add(descriptors, fds) {
                Ok(None) => {}
                Ok(Some(list)) => {
                    child.holdings = launch.fallen.succeeded_by(list);
                    self.launch_serves();
                }
                Err(fault) => {
                    launch.words = Some(fault);
                    child.kill();
                }
            },
            Message::Ready(ready) if launch.mode == Mode::Takeover => {
                child.holdings = child.holdings.without(&ready.released);
                child.send(Message::Proceed(Proceed { swap: launch.swap, quiesce_ns }));
            }
            Message::Serving(serving) => {
                for warning in &serving.warnings {
                    tracing::warn!(warning, "dataplane");
                }
                child.serving = serving;
                launch.claims = true;
                self.launch_serves();
            }
            Message::Activated(_) => {
                launch.claims = true;
                self.launch_serves();
            }
            Message::Refused(refused) => {
                // Memory that another process still has comes free; all else will be refused again.
                launch.futile |= refused.error.code != "not-enough-memory";
                launch.words = Some(refused.error);
            }
            Message::Undone(undone) => launch.words = Some(undone.error),
            Message::Recovered(recovered) => child.has_recovered(recovered),
            Message::Progress(_) | Message::Stopping(_) => {}
            Message::Fault(notice) => {
                tracing::warn!(error = %notice.error, "dataplane");
                launch.words.get_or_insert(notice.error);
            }
            other => tracing::warn!(message = other.type_name(), "message out of place"),
        }
    }

    /// Once the new process has said that it serves and has handed over its descriptors, the owner word says whether
    /// it does.
    fn launch_serves(&mut self) {
        let Some(launch) = &mut self.launch else { return };
        let Some(child) = self.children.get_mut(&launch.party) else { return };
        if !launch.claims || child.holdings.is_empty() {
            return;
        }
        let holds = match child.holdings.owner() {
            Ok(OwnerState::Held { party, .. }) => party.number() == launch.party,
            Ok(_) => false,
            Err(fault) => {
                launch.words = Some(fault);
                false
            }
        };
        if !holds {
            launch.words.get_or_insert_with(|| {
                Fault::bug("not-the-holder", "it says that it serves and does not hold the owner word", "")
            });
            child.kill();
            return;
        }
        let (pid, party) = (child.pid, launch.party);
        let elapsed = launch.began.elapsed();
        tracing::info!(pid, ?elapsed, "dataplane serves");
        self.failures = 0;
        self.current = Some(party);
        self.launch = None;
        self.note_running(party);
        self.feed(Event::Recovered);
    }

    pub(super) fn launch_late(&mut self) {
        let timeout = self.config.phase_timeout;
        if let Some(launch) = self.launch.take_if(|launch| launch.is_waiting()) {
            return self.begin(Launch { after: None, ..launch });
        }
        let Some(launch) = &mut self.launch else { return };
        launch.deadline += timeout;
        launch.futile = true;
        launch.words.get_or_insert_with(|| {
            Fault::peer(
                "start-late",
                format!("the dataplane did not serve within {}", humantime::format_duration(timeout)),
                "read its log; raise [control] phase_timeout if it only needs longer",
            )
        });
        let party = launch.party;
        if let Some(child) = self.children.get_mut(&party) {
            child.kill();
        }
    }

    /// The process that was being started has ended.
    pub(super) fn launch_died(&mut self, how: String) {
        self.launch_failed(how);
    }

    fn launch_failed(&mut self, how: String) {
        let Some(launch) = self.launch.take() else { return };
        let code = self.children.get(&launch.party).and_then(|child| child.exit).and_then(|status| status.code());
        let why = launch.words.as_ref().map(ToString::to_string).unwrap_or_default();
        tracing::error!(how, why, "the dataplane could not be started");
        if self.stop_asked {
            return self.feed(Event::RecoverFailed);
        }
        if launch.first {
            let operator = launch.words.as_ref().is_some_and(|fault| fault.culprit == Culprit::Operator);
            let usage = operator || code == Some(i32::from(exit::USAGE));
            self.over = Some(if usage { exit::USAGE } else { exit::FAILED });
            return;
        }
        let again = !launch.futile || launch.other.is_some();
        if launch.mode == Mode::Takeover && launch.attempt < TAKEOVERS && again {
            let Launch { party, binary, fallen, attempt, futile, other, .. } = launch;
            let (binary, other) = if futile { (other.unwrap_or(binary), None) } else { (binary, other) };
            // It may have won the word before it died: then the region is as it left it.
            let died = self.children.get(&party).map(|child| child.holdings.clone()).unwrap_or_default();
            let holds = |owner| matches!(owner, Ok(OwnerState::Held { party: holder, .. }) if holder.number() == party);
            let fallen = if !died.is_empty() && holds(died.owner()) { died } else { fallen };
            return self.begin(Launch { attempt: attempt + 1, other, ..Launch::waiting(binary, fallen) });
        }
        let next = Launch::waiting(launch.binary, Holdings::default());
        if launch.mode == Mode::Takeover {
            tracing::error!("the region of the dead dataplane cannot be taken over: its flows are lost, starting cold");
            // The old sockets must be closed, or the new ones could not be bound.
            drop(launch.fallen);
            self.release_dead();
            return self.begin(next);
        }
        self.failures += 1;
        self.launch = Some(next);
        self.feed(Event::RecoverFailed);
    }

    /// Closes the descriptors of every dead process.
    fn release_dead(&mut self) {
        for child in self.children.values_mut().filter(|child| child.exit.is_some()) {
            child.holdings = Holdings::default();
        }
    }
}
